//go:build linux

package cgroup

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/simple-container/simple-container/final/internal/kernel"
	"golang.org/x/sys/unix"
)

// This file is as much of D-Bus as systemd needs (D-Bus specification, "Message Protocol", "Authentication
// Protocol"): method calls with their replies, and signals. A package for all of it, with the network that it brings
// along, would take longer to initialise than a container without systemd takes to be deleted.

// A connection is to a message bus, or to systemd itself.
type connection struct {
	fd       int
	in       *bufio.Reader
	patience time.Duration // for what the other side is to say
	serial   uint32        // of the last call
	signals  []*message    // that came while a reply was awaited
	begun    bool          // something has been received since the authentication
}

// dialBus connects to the first address that answers: unix:path=/run/dbus/system_bus_socket;unix:abstract=x.
func dialBus(addresses string, patience time.Duration) (c *connection, err error) {
	for address := range strings.SplitSeq(addresses, ";") {
		if c, err = dialOne(address, patience); err == nil {
			break
		}
	}
	return c, err
}

func dialOne(address string, patience time.Duration) (*connection, error) {
	name := ""
	keys, _ := strings.CutPrefix(address, "unix:")
	for pair := range strings.SplitSeq(keys, ",") { // others, such as guid=, are not needed
		switch key, value, _ := strings.Cut(pair, "="); key {
		case "path":
			name = unescape(value)
		case "abstract":
			name = "@" + unescape(value)
		}
	}
	if name == "" || keys == address {
		return nil, fmt.Errorf("dial %s: want unix:path=PATH or unix:abstract=NAME", address)
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	c := &connection{fd: fd, patience: patience}
	c.in = bufio.NewReader(c)
	hear, tell := unix.NsecToTimeval(poke.Nanoseconds()), unix.NsecToTimeval(patience.Nanoseconds())
	err = errors.Join(
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &hear),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &tell), // also for a place in the line (unix(7))
		unix.Connect(fd, &unix.SockaddrUnix{Name: name}),
	)
	if err == nil {
		err = c.authenticate()
	}
	if err != nil {
		c.Close()
		return nil, fmt.Errorf("dial %s: %w", address, err)
	}
	return c, nil
}

// unescape undoes the escapes of an address: %20 is a space.
func unescape(value string) string {
	var text strings.Builder
	for value != "" {
		n := 1
		c, err := uint64(value[0]), error(nil)
		if value[0] == '%' && len(value) > 2 {
			c, err = strconv.ParseUint(value[1:3], 16, 8)
			n = 3
		}
		if err != nil { // it is no escape
			c, n = uint64(value[0]), 1
		}
		text.WriteByte(byte(c))
		value = value[n:]
	}
	return text.String()
}

func (c *connection) Close() { _ = unix.Close(c.fd) } // what was sent, was sent

// authenticate says who we are, which the other side asks the kernel about (SO_PEERCRED).
func (c *connection) authenticate() error {
	uid := hex.EncodeToString([]byte(strconv.Itoa(kernel.OuterUser())))
	if err := c.send([]byte("\x00AUTH EXTERNAL " + uid + "\r\n")); err != nil {
		return err
	}
	line, err := c.in.ReadString('\n')
	if err != nil {
		return fmt.Errorf("authenticate: %w", err)
	}
	if !strings.HasPrefix(line, "OK ") {
		return fmt.Errorf("authenticate: %q", strings.TrimSpace(line))
	}
	return c.send([]byte("BEGIN\r\n"))
}

func (c *connection) send(data []byte) error {
	for len(data) > 0 {
		n, err := unix.SendmsgN(c.fd, data, nil, nil, unix.MSG_NOSIGNAL)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("send: %w", err)
		}
		data = data[max(n, 0):]
	}
	return nil
}

// poke is how long systemd may be silent before it is poked.
const poke = 100 * time.Millisecond

// Read is for c.in. A systemd that gets the end of the authentication and the first call in one piece looks at the
// call only when more comes: so more comes.
func (c *connection) Read(p []byte) (int, error) {
	for deadline := time.Now().Add(c.patience); ; {
		n, err := unix.Read(c.fd, p)
		switch {
		case n > 0:
			return n, nil
		case err == nil:
			return 0, io.EOF
		case errors.Is(err, unix.EAGAIN) && time.Now().After(deadline):
			return 0, fmt.Errorf("receive: %w after %v", unix.ETIMEDOUT, c.patience)
		case errors.Is(err, unix.EAGAIN) && c.serial > 0 && !c.begun:
			c.serial++ // nobody waits for an answer to this one
			if err := c.send(encodeCall(c.serial, service, busPath, "org.freedesktop.DBus.Peer", "Ping", nil)); err != nil {
				return 0, err
			}
		case !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR):
			return 0, fmt.Errorf("receive: %w", err)
		}
	}
}

// A busError is what the other side answers in place of a result.
type busError struct{ name, text string }

func (e *busError) Error() string {
	if e.text == "" {
		return e.name
	}
	return e.text
}

// call calls a method and waits for what it returns.
func (c *connection) call(destination, path, iface, member string, args ...any) (*message, error) {
	c.serial++
	serial := c.serial
	if err := c.send(encodeCall(serial, destination, path, iface, member, args)); err != nil {
		return nil, err
	}
	for {
		m, err := c.receive()
		switch {
		case err != nil:
			return nil, err
		case m.kind == isSignal:
			c.signals = append(c.signals, m)
		case m.replyTo != serial:
		case m.kind == isError:
			failed := &busError{name: m.errorName}
			if strings.HasPrefix(m.signature, "s") {
				failed.text = m.body.text()
			}
			return nil, failed
		default:
			return m, nil
		}
	}
}

// signal waits for the next signal.
func (c *connection) signal() (*message, error) {
	for len(c.signals) == 0 {
		m, err := c.receive()
		if err != nil {
			return nil, err
		}
		if m.kind == isSignal {
			return m, nil
		}
	}
	m := c.signals[0]
	c.signals = c.signals[1:]
	return m, nil
}

// receive reads a message.
func (c *connection) receive() (*message, error) {
	const most = 1 << 20 // of what systemd tells us
	head := make([]byte, 16)
	if _, err := io.ReadFull(c.in, head); err != nil {
		return nil, err
	}
	order := binary.ByteOrder(binary.LittleEndian)
	if head[0] == 'B' {
		order = binary.BigEndian
	}
	body, fields := order.Uint32(head[4:]), order.Uint32(head[12:])
	if body > most || fields > most {
		return nil, fmt.Errorf("message of %d and %d bytes: too long", fields, body)
	}
	rest := make([]byte, (fields+7)/8*8+body)
	if _, err := io.ReadFull(c.in, rest); err != nil {
		return nil, err
	}
	c.begun = true
	return decodeMessage(order, head[1], rest, int(fields), len(rest)-int(body))
}
