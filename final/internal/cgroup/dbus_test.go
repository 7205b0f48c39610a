//go:build linux

package cgroup

import (
	"bytes"
	"encoding/binary"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// TestEncodeCall: what we write, another implementation reads.
func TestEncodeCall(t *testing.T) {
	properties := []property{
		prop("Text", "é"), prop("Yes", true), prop("Number", uint64(1)<<63), prop("Few", []uint32{1, 2}),
		prop("Words", []string{"a", "bcd", ""}), prop("Bits", []byte{7, 1}), prop("Devices", []allowedPath{{"/a", "r"}, {"/b", "rwm"}}),
		prop("None", []allowedPath{}), prop("Less", int32(-2)), prop("Least", int64(-1)<<63),
	}
	wire := encodeCall(7, "to.it", "/path", "its.Interface", "Method", []any{"x", false, properties, noUnits{}, uint32(9)})
	m, err := dbus.DecodeMessage(bytes.NewReader(wire))
	if err != nil {
		t.Fatal(err)
	}
	if m.Type != dbus.TypeMethodCall || m.Serial() != 7 || m.Headers[dbus.FieldDestination].Value() != "to.it" ||
		m.Headers[dbus.FieldPath].Value() != dbus.ObjectPath("/path") || m.Headers[dbus.FieldMember].Value() != "Method" ||
		m.Headers[dbus.FieldInterface].Value() != "its.Interface" {
		t.Errorf("got %+v", m)
	}
	var got []any
	for _, p := range m.Body[2].([][]any) {
		got = append(got, p[0], p[1].(dbus.Variant).Value())
	}
	want := []any{"Text", "é", "Yes", true, "Number", uint64(1) << 63, "Few", []uint32{1, 2}, "Words", []string{"a", "bcd", ""},
		"Bits", []byte{7, 1}, "Devices", [][]any{{"/a", "r"}, {"/b", "rwm"}}, "None", [][]any{}, "Less", int32(-2), "Least", int64(-1) << 63}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if m.Body[0] != "x" || m.Body[1] != false || m.Body[4] != uint32(9) {
		t.Errorf("got %v", m.Body)
	}
}

// TestDecodeMessage: what another implementation writes, in either order of bytes, we read; and a part of it is an
// error.
func TestDecodeMessage(t *testing.T) {
	for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		sent := &dbus.Message{Type: dbus.TypeSignal, Headers: map[dbus.HeaderField]dbus.Variant{
			dbus.FieldPath: dbus.MakeVariant(dbus.ObjectPath("/a")), dbus.FieldInterface: dbus.MakeVariant("b.c"),
			dbus.FieldMember: dbus.MakeVariant("D"), dbus.FieldReplySerial: dbus.MakeVariant(uint32(5)),
			dbus.FieldErrorName: dbus.MakeVariant("e.f"), dbus.FieldSignature: dbus.MakeVariant(dbus.SignatureOf("", uint32(0))),
		}, Body: []any{"word", uint32(8)}}
		var out bytes.Buffer
		if err := sent.EncodeTo(&out, order); err != nil {
			t.Fatal(err)
		}
		wire := out.Bytes()
		fields, body := int(order.Uint32(wire[12:])), int(order.Uint32(wire[4:]))
		m, err := decodeMessage(order, wire[1], wire[16:], fields, len(wire)-16-body)
		if err != nil {
			t.Fatal(err)
		}
		if m.kind != isSignal || m.iface != "b.c" || m.member != "D" || m.replyTo != 5 || m.errorName != "e.f" || m.signature != "su" {
			t.Errorf("got %+v", m)
		}
		if text, n := m.body.text(), m.body.number(); text != "word" || n != 8 || m.body.err != nil {
			t.Errorf("got %q, %d, %v", text, n, m.body.err)
		}
		if m.body.text() != "" && m.body.err == nil {
			t.Error("behind the end there is more")
		}
		for cut := range fields {
			_, _ = decodeMessage(order, wire[1], wire[16:16+fields], cut, fields) // must not panic
		}
	}
}

// TestSilentBus: whoever listens and never answers, be it that others wait for it already, is not waited for for ever.
func TestSilentBus(t *testing.T) {
	listener, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(listener)
	path := filepath.Join(t.TempDir(), "bus")
	if err := errors.Join(unix.Bind(listener, &unix.SockaddrUnix{Name: path}), unix.Listen(listener, 0)); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	for _, who := range []string{"the first", "one behind it"} { // whose connection stays in the line that has an end
		go func() {
			_, err := dialBus("unix:path="+path, 200*time.Millisecond)
			ended <- err
		}()
		select {
		case err := <-ended:
			if err == nil {
				t.Errorf("%s: no error", who)
			}
		case <-time.After(30 * time.Second):
			t.Fatalf("%s waits for ever", who)
		}
	}
}

func TestBusAddress(t *testing.T) {
	for _, address := range []string{"", "tcp:host=a", "unix:", "unix:guid=1", "path=/a"} {
		if c, err := dialBus(address, 0); err == nil {
			c.Close()
			t.Errorf("%q: no error", address)
		}
	}
	if got := unescape("%2frun%2x%4%"); got != "/run%2x%4%" {
		t.Errorf("got %q", got)
	}
}
