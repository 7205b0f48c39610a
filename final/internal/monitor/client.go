//go:build linux

package monitor

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// Attach connects to a container's monitor, by the directory of its attach socket.
func Attach(dir string) (*Client, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	err = at(dir, func(short string) error {
		return unix.Connect(fd, &unix.SockaddrUnix{Name: short + "/" + AttachFile})
	})
	if err == nil {
		err = welcome(fd)
	}
	if err == nil {
		err = unix.SetNonblock(fd, true) // Go then waits for it without a thread, and Close ends all waiting
	}
	if err != nil {
		unix.Close(fd)
		return nil, &os.PathError{Op: "connect", Path: dir + "/" + AttachFile, Err: err}
	}
	return &Client{os.NewFile(uintptr(fd), AttachFile)}, nil
}

// welcome waits until the monitor has taken the client.
func welcome(fd int) error {
	for {
		n, err := unix.Read(fd, make([]byte, 1))
		switch {
		case err == nil && n == 1:
			return nil
		case err == nil || err == unix.ECONNRESET:
			return unix.ECONNREFUSED // the monitor has just ended
		case err != unix.EINTR:
			return err
		}
	}
}

// A Client is attached to a container.
type Client struct{ socket *os.File }

// Receive waits for a message. io.EOF is the end of the monitor; text is good until the next call.
func (c *Client) Receive(buffer []byte) (kind byte, text []byte, err error) {
	n, err := c.socket.Read(buffer)
	for errors.Is(err, unix.ECONNRESET) {
		// It ended without having read all that we sent. The kernel says so once, and before it hands out what was sent
		// to us.
		n, err = c.socket.Read(buffer)
	}
	if err != nil || n == 0 {
		return 0, nil, err
	}
	return buffer[0], buffer[1:n], nil
}

// BufferSize is what Receive needs for any message.
const BufferSize = 1 + chunk

// Write types text on the container's standard input.
func (c *Client) Write(text []byte) (n int, err error) {
	for len(text) > 0 {
		part := text[:min(len(text), chunk)]
		if err := c.Send(Stdin, part...); err != nil {
			return n, err
		}
		n, text = n+len(part), text[len(part):]
	}
	return n, nil
}

// Send sends a message.
func (c *Client) Send(kind byte, body ...byte) error {
	_, err := c.socket.Write(append([]byte{kind}, body...))
	return err
}

// Resize makes the container's terminal as large as ours.
func (c *Client) Resize(rows, columns uint16) error {
	return c.Send(Resize, byte(rows>>8), byte(rows), byte(columns>>8), byte(columns))
}

// Keep hands a terminal's master over, which the monitor keeps for the process that runs in it.
func (c *Client) Keep(terminal *os.File) error {
	raw, err := c.socket.SyscallConn()
	if err != nil {
		return err
	}
	from, err := terminal.SyscallConn()
	if err != nil {
		return err
	}
	controlErr := from.Control(func(fd uintptr) {
		load := unix.UnixRights(int(fd))
		writeErr := raw.Write(func(socket uintptr) bool {
			err = unix.Sendmsg(int(socket), []byte{Keep}, load, nil, unix.MSG_NOSIGNAL)
			return err != unix.EAGAIN
		})
		err = errors.Join(writeErr, os.NewSyscallError("sendmsg", err))
	})
	return errors.Join(controlErr, err)
}

// Close ends the connection.
func (c *Client) Close() error { return c.socket.Close() }
