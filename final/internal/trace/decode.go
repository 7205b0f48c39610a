//go:build linux

package trace

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Arguments are the call's, as people read them.
func (e *Event) Arguments() []string {
	name := e.Call.Name()
	forms, ok := signatureOf(name)
	if !ok {
		forms = []form{address, address, address, address, address, address}
	}
	if (name == "open" || name == "openat") && !creates(e.Args[len(forms)-2]) {
		forms = forms[:len(forms)-1] // the mode is not looked at
	}
	words := make([]string, len(forms))
	for i, f := range forms {
		words[i] = e.argument(i, f)
	}
	return words
}

func creates(flags uint64) bool {
	return flags&unix.O_CREAT != 0 || flags&unix.O_TMPFILE == unix.O_TMPFILE
}

func (e *Event) argument(i int, f form) string {
	value := e.Args[i]
	switch f {
	case number:
		return strconv.FormatInt(signed(value), 10)
	case size:
		return strconv.FormatUint(value, 10)
	case dirfd:
		if int32(value) == unix.AT_FDCWD {
			return "AT_FDCWD"
		}
		return strconv.FormatInt(int64(int32(value)), 10)
	case mode:
		return fmt.Sprintf("%#o", uint32(value))
	case path, text, written, socket:
		return e.pointed(i, f)
	}
	if int(f) < len(wordsOf) && wordsOf[f].known() {
		return wordsOf[f].text(value)
	}
	return pointer(value, f)
}

// signed reads a register as the int that most calls take: the upper half may be anything.
func signed(value uint64) int64 {
	if value>>32 == 0 || value>>31 == 1<<33-1 {
		return int64(int32(value))
	}
	return int64(value)
}

func pointer(value uint64, f form) string {
	if value == 0 && f == address {
		return "NULL"
	}
	return fmt.Sprintf("%#x", value)
}

// pointed is memory that an argument points to, as far as the engine could read it.
func (e *Event) pointed(i int, f form) string {
	for _, t := range e.Texts {
		if t.Bytes == nil || t.Arg != i {
			continue
		}
		if f == socket {
			return socketAddress(t.Bytes)
		}
		more := ""
		if t.Cut {
			more = "..."
		}
		return quoted(t.Bytes) + more
	}
	return pointer(e.Args[i], address)
}

// quoted is a string as C would write it. It may be any bytes, and those that would change a terminal are not shown.
func quoted(b []byte) string { return strconv.QuoteToGraphic(string(b)) }

// socketAddress reads struct sockaddr (socket(7), ip(7), ipv6(7), unix(7)).
func socketAddress(b []byte) string {
	if len(b) < 2 {
		return "{}"
	}
	kind := binary.NativeEndian.Uint16(b)
	switch {
	case kind == unix.AF_INET && len(b) >= 8:
		a, _ := netip.AddrFromSlice(b[4:8])
		return fmt.Sprintf("{AF_INET, %s}", netip.AddrPortFrom(a, binary.BigEndian.Uint16(b[2:])))
	case kind == unix.AF_INET6 && len(b) >= 24:
		a, _ := netip.AddrFromSlice(b[8:24])
		return fmt.Sprintf("{AF_INET6, %s}", netip.AddrPortFrom(a, binary.BigEndian.Uint16(b[2:])))
	case kind == unix.AF_UNIX && len(b) > 2 && b[2] == 0:
		return fmt.Sprintf("{AF_UNIX, @%s}", quoted(b[3:]))
	case kind == unix.AF_UNIX:
		return fmt.Sprintf("{AF_UNIX, %s}", quoted([]byte(unix.ByteSliceToString(b[2:]))))
	}
	return fmt.Sprintf("{%s, [%d bytes]}", wordsOf[family].text(uint64(kind)), len(b))
}

// Words are the names of a number's values, or of its bits.
type words struct {
	none    string // for 0; empty for 0 itself
	field   uint64 // the bits that are one value among names; the others are flags
	names   []word
	signals bool // the names are those of signals
	flags   []word
}

type word struct {
	value uint64
	name  string
}

func (w *words) known() bool { return w.field != 0 || w.flags != nil }

// text is a number in words: the value that is in its field, and the names of its bits.
func (w *words) text(value uint64) string {
	value = uint64(uint32(value))
	var parts []string
	if w.field != 0 {
		if one := value & w.field; one != 0 || w.names != nil {
			parts = append(parts, w.value(one))
		}
		value &^= w.field
	}
	for _, f := range w.flags {
		if f.value != 0 && value&f.value == f.value {
			parts = append(parts, f.name)
			value &^= f.value
		}
	}
	if value != 0 {
		parts = append(parts, fmt.Sprintf("%#x", value))
	}
	if len(parts) == 0 {
		return cmp.Or(w.none, "0")
	}
	return strings.Join(parts, "|")
}

// value is what the field says.
func (w *words) value(one uint64) string {
	if w.signals {
		if name, ok := signalName(one); ok {
			return name
		}
	}
	for _, name := range w.names {
		if name.value == one {
			return name.name
		}
	}
	return strconv.FormatInt(int64(int32(one)), 10)
}
