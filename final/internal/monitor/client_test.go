//go:build linux

package monitor

import (
	"errors"
	"io"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// TestReceiveAfterReset: what a monitor has said before it ended arrives, though it has not read all that it was told.
func TestReceiveAfterReset(t *testing.T) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	client := &Client{os.NewFile(uintptr(pair[0]), "client")}
	defer client.Close()
	if err := client.Send(Stdin, 'x'); err != nil {
		t.Fatal(err)
	}
	if _, err := unix.Write(pair[1], []byte{Stdout, 'y'}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Close(pair[1]); err != nil {
		t.Fatal(err)
	}
	buffer := make([]byte, BufferSize)
	if kind, text, err := client.Receive(buffer); err != nil || kind != Stdout || string(text) != "y" {
		t.Errorf("got %c %q, %v", kind, text, err)
	}
	if _, _, err := client.Receive(buffer); !errors.Is(err, io.EOF) {
		t.Errorf("then %v, want the end", err)
	}
}
