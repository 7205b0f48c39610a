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

// TestKeepAfterReset: a terminal that was handed over is kept, though its client has gone without having read all.
func TestKeepAfterReset(t *testing.T) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	client, socket := &Client{os.NewFile(uintptr(pair[0]), "client")}, os.NewFile(uintptr(pair[1]), "socket")
	defer socket.Close()
	if _, err := socket.Write([]byte{Stdout, 'y'}); err != nil {
		t.Fatal(err)
	}
	end, terminal, err := os.Pipe() // any file will do
	if err != nil {
		t.Fatal(err)
	}
	defer end.Close()
	if err := errors.Join(client.Keep(terminal), terminal.Close(), client.Close()); err != nil {
		t.Fatal(err)
	}
	message := make([]byte, 1+chunk)
	n, file, err := receive(socket, message)
	if err != nil || n != 1 || message[0] != Keep || file == nil {
		t.Fatalf("got %q, %v, %v", message[:max(n, 0)], file, err)
	}
	file.Close()
	if n, _, err := receive(socket, message); err != nil || n != 0 {
		t.Errorf("then %d bytes, %v, want the end", n, err)
	}
}
