//go:build linux

package monitor

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// keep keeps a terminal for a process that runs in it (exec), whose person has gone: a terminal without a master hangs
// up, and one whose master nobody reads is full before long.
func keep(terminal *os.File) {
	defer terminal.Close()
	buffer := make([]byte, 4<<10)
	for {
		if _, err := terminal.Read(buffer); err != nil {
			return // EIO: nobody has it open any more
		}
	}
}

// receive waits for a message of a client, and the file that may come with it. One that has gone without having read all
// may have left messages: the kernel says ECONNRESET once, and before it hands them out.
func receive(socket *os.File, message []byte) (n int, file *os.File, err error) {
	raw, err := socket.SyscallConn()
	if err != nil {
		return 0, nil, err
	}
	readErr := raw.Read(func(fd uintptr) bool {
		if n, file, err = receiveFile(int(fd), message); err == unix.ECONNRESET {
			n, file, err = receiveFile(int(fd), message)
		}
		return err != unix.EAGAIN
	})
	return n, file, errors.Join(readErr, err)
}

// receiveFile is recvmsg(2), which hands out a descriptor that was sent along (SCM_RIGHTS, unix(7)). file is nil if there
// was none.
func receiveFile(socket int, text []byte) (n int, file *os.File, err error) {
	load, size := make([]byte, unix.CmsgSpace(4)), 0
	for {
		n, size, _, _, err = unix.Recvmsg(socket, text, load, unix.MSG_CMSG_CLOEXEC)
		if err != unix.EINTR {
			break
		}
	}
	if err != nil || size == 0 {
		return n, nil, err
	}
	messages, err := unix.ParseSocketControlMessage(load[:size])
	if err != nil || len(messages) != 1 {
		return n, nil, err
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		return n, nil, err
	}
	for i, fd := range fds {
		if i > 0 || unix.SetNonblock(fd, true) != nil { // so that Go waits for it without a thread
			unix.Close(fd)
			continue
		}
		file = os.NewFile(uintptr(fd), "terminal")
	}
	return n, file, nil
}
