//go:build linux

package cgroup

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Messages of D-Bus, byte for byte. Each value stands at a multiple of its size; its type is in a signature.

// A wire is a message, or a part of one that begins at a multiple of 8, as it is written. It is little-endian.
type wire []byte

func (w *wire) pad(size int) {
	for len(*w)%size != 0 {
		*w = append(*w, 0)
	}
}

func (w *wire) number(n uint32) {
	w.pad(4)
	*w = binary.LittleEndian.AppendUint32(*w, n)
}

func (w *wire) text(s string) {
	w.number(uint32(len(s)))
	*w = append(append(*w, s...), 0)
}

func (w *wire) signature(s string) { *w = append(append(append(*w, byte(len(s))), s...), 0) }

// array writes items that begin at multiples of size.
func (w *wire) array(size int, items func()) {
	w.number(0)
	length := len(*w) - 4
	w.pad(size)
	begin := len(*w)
	items()
	binary.LittleEndian.PutUint32((*w)[length:], uint32(len(*w)-begin))
}

// signatureOf is the type of what value can write.
func signatureOf(v any) string {
	switch v.(type) {
	case string:
		return "s"
	case bool:
		return "b"
	case int32:
		return "i"
	case uint32:
		return "u"
	case int64:
		return "x"
	case uint64:
		return "t"
	case []string:
		return "as"
	case []uint32:
		return "au"
	case []byte:
		return "ay"
	case []allowedPath:
		return "a(ss)"
	case []property:
		return "a(sv)"
	case noUnits:
		return "a(sa(sv))"
	}
	return "" // which the other side refuses
}

// noUnits are the units that StartTransientUnit starts beside the one.
type noUnits struct{}

func (w *wire) value(v any) {
	switch v := v.(type) {
	case string:
		w.text(v)
	case bool:
		w.number(map[bool]uint32{true: 1}[v])
	case int32:
		w.number(uint32(v))
	case uint32:
		w.number(v)
	case int64:
		w.value(uint64(v))
	case uint64:
		w.pad(8)
		*w = binary.LittleEndian.AppendUint64(*w, v)
	case []string:
		w.array(4, func() { each(v, w.text) })
	case []uint32:
		w.array(4, func() { each(v, w.number) })
	case []byte:
		w.array(1, func() { *w = append(*w, v...) })
	case []allowedPath:
		w.array(8, func() {
			each(v, func(a allowedPath) {
				w.pad(8)
				w.text(a.Path)
				w.text(a.Access)
			})
		})
	case []property:
		w.array(8, func() { each(v, w.property) })
	case noUnits:
		w.array(8, func() {})
	}
}

func (w *wire) property(p property) {
	w.pad(8)
	w.text(p.Name)
	w.signature(signatureOf(p.Value))
	w.value(p.Value)
}

func each[T any](list []T, do func(T)) {
	for _, item := range list {
		do(item)
	}
}

// The kinds of messages, and of the fields in a message's head.
const (
	isCall, isReply, isError, isSignal = 1, 2, 3, 4

	fieldPath, fieldInterface, fieldMember, fieldErrorName          = 1, 2, 3, 4
	fieldReplySerial, fieldDestination, fieldSender, fieldSignature = 5, 6, 7, 8
)

// encodeCall writes a call of a method.
func encodeCall(serial uint32, destination, path, iface, member string, args []any) []byte {
	var body wire
	types := ""
	for _, arg := range args {
		types += signatureOf(arg)
		body.value(arg)
	}
	w := wire{'l', isCall, 0, 1} // little-endian, no flags, version 1
	w.number(uint32(len(body)))
	w.number(serial)
	w.array(8, func() {
		for _, field := range []struct {
			code byte
			kind string
			text string
		}{
			{fieldPath, "o", path}, {fieldInterface, "s", iface}, {fieldMember, "s", member}, {fieldDestination, "s", destination},
		} {
			w.pad(8)
			w = append(w, field.code)
			w.signature(field.kind)
			w.text(field.text)
		}
		if types != "" {
			w.pad(8)
			w = append(w, fieldSignature)
			w.signature("g")
			w.signature(types)
		}
	})
	w.pad(8)
	return append(w, body...)
}

// A message is one that was received.
type message struct {
	kind      byte
	replyTo   uint32 // the serial of the call
	errorName string
	iface     string
	member    string
	signature string // of the body
	body      *unwire
}

// decodeMessage reads what comes behind the first 16 bytes: the fields, and from an offset on the body.
func decodeMessage(order binary.ByteOrder, kind byte, rest []byte, fields, body int) (*message, error) {
	m := &message{kind: kind, body: &unwire{order: order, data: rest[body:]}}
	head := &unwire{order: order, data: rest[:fields]}
	for head.pad(8); head.at < len(head.data) && head.err == nil; head.pad(8) {
		code, text, number := head.byte(), "", uint32(0)
		switch kind := head.signature(); kind {
		case "s", "o":
			text = head.text()
		case "g":
			text = head.signature()
		case "u":
			number = head.number()
		default:
			return nil, fmt.Errorf("message: field %d of type %q", code, kind)
		}
		switch code {
		case fieldReplySerial:
			m.replyTo = number
		case fieldErrorName:
			m.errorName = text
		case fieldInterface:
			m.iface = text
		case fieldMember:
			m.member = text
		case fieldSignature:
			m.signature = text
		}
	}
	return m, head.err
}

// An unwire is a message as it is read. What comes behind its end is an error, and zero.
type unwire struct {
	order binary.ByteOrder
	data  []byte
	at    int
	err   error
}

// take returns the next bytes.
func (u *unwire) take(n int) []byte {
	if u.err != nil || n > len(u.data)-u.at {
		u.err = errors.New("message: it ends too early")
		return make([]byte, min(n, 8))
	}
	u.at += n
	return u.data[u.at-n : u.at]
}

// pad goes to a multiple of size, at most to the end.
func (u *unwire) pad(size int) { u.at = min((u.at+size-1)/size*size, len(u.data)) }

func (u *unwire) byte() byte { return u.take(1)[0] }

func (u *unwire) number() uint32 {
	u.pad(4)
	return u.order.Uint32(u.take(4))
}

func (u *unwire) text() string { return u.string(int(u.number())) }

func (u *unwire) signature() string { return u.string(int(u.byte())) }

func (u *unwire) string(length int) string {
	text := string(u.take(length))
	u.take(1) // the zero behind it
	return text
}
