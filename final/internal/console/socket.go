//go:build linux

package console

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Dial connects to the socket at a path, which an engine listens on: the one of --console-socket, to be passed
// on to the container side, or the one of --pidfd-socket, for [Send]. An address has room for 107 bytes, and
// engines have longer paths, so the address is a descriptor of the socket's file.
func Dial(path string) (*os.File, error) {
	file, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("connect %s: %w", path, err)
	}
	defer unix.Close(file)
	socket, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("socket AF_UNIX: %w", err)
	}
	if err := unix.Connect(socket, &unix.SockaddrUnix{Name: fmt.Sprintf("/proc/self/fd/%d", file)}); err != nil {
		unix.Close(socket)
		return nil, fmt.Errorf("connect %s: %w", path, err)
	}
	return os.NewFile(uintptr(socket), path), nil
}

// Pair returns two connected sockets: one for [Receive], and one for the container side. The second must be
// closed here once the container side has it, or a Receive from one that failed would wait for ever.
func Pair() (ours, theirs *os.File, err error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("socketpair: %w", err)
	}
	return os.NewFile(uintptr(pair[0]), "console"), os.NewFile(uintptr(pair[1]), "console"), nil
}

// Send sends a descriptor, with its name for the byte that must go along: a pidfd to an engine's socket.
func Send(socket, file *os.File) error {
	load := unix.UnixRights(int(file.Fd()))
	if err := unix.Sendmsg(int(socket.Fd()), []byte(file.Name()), load, nil, unix.MSG_NOSIGNAL); err != nil {
		return fmt.Errorf("sendmsg %s: %s: %w", socket.Name(), file.Name(), err)
	}
	return nil
}

// Receive waits for the master of a terminal. The sender is the container side before it runs anything of the
// container's; what it sent is looked at all the same.
func Receive(socket *os.File) (master *os.File, err error) {
	name, load := make([]byte, 4096), make([]byte, unix.CmsgSpace(4))
	n, size, _, _, err := unix.Recvmsg(int(socket.Fd()), name, load, unix.MSG_CMSG_CLOEXEC)
	switch {
	case err != nil:
		return nil, fmt.Errorf("recvmsg %s: %w", socket.Name(), err)
	case n == 0:
		return nil, fmt.Errorf("recvmsg %s: %w", socket.Name(), errNoTerminal)
	}
	fd, err := descriptor(load[:size])
	if err != nil {
		return nil, fmt.Errorf("recvmsg %s: %w", socket.Name(), err)
	}
	if _, err := unix.IoctlGetInt(fd, unix.TIOCGPTN); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("ioctl %s: TIOCGPTN: %w", name[:n], err)
	}
	// In non-blocking mode the Go runtime waits for it without a thread, and Close ends all waiting.
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("fcntl O_NONBLOCK: %w", err)
	}
	return os.NewFile(uintptr(fd), string(name[:n])), nil
}

// errNoTerminal says that the container side ended before it had a terminal; why, its report says.
var errNoTerminal = errors.New("no terminal came")

// descriptor returns the one descriptor of a message's load. There is room for a second, since the kernel counts in 8
// bytes: of too many none stays open.
func descriptor(load []byte) (int, error) {
	messages, err := unix.ParseSocketControlMessage(load)
	if err != nil {
		return -1, err
	}
	if len(messages) != 1 {
		return -1, fmt.Errorf("%d descriptors: %w", len(messages), errNoTerminal)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		return -1, err
	}
	if len(fds) > 1 {
		for _, fd := range fds {
			_ = unix.Close(fd)
		}
		return -1, errors.New("more than one descriptor")
	}
	return fds[0], nil
}
