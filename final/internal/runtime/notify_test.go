//go:build linux

package runtime

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// kernelAnswer receives one notification and answers it with an error (seccomp_unotify(2)).
func kernelAnswer(listener uintptr, errno unix.Errno) error {
	const receive, send = 0xc0502100, 0xc0182101 // SECCOMP_IOCTL_NOTIF_RECV, SECCOMP_IOCTL_NOTIF_SEND
	var request struct {                         // struct seccomp_notif
		id         uint64
		pid, flags uint32
		data       [64]byte
	}
	if _, _, e := unix.Syscall(unix.SYS_IOCTL, listener, receive, uintptr(unsafe.Pointer(&request))); e != 0 {
		return e
	}
	response := struct { // struct seccomp_notif_resp
		id    uint64
		val   int64
		error int32
		flags uint32
	}{id: request.id, error: -int32(errno)}
	if _, _, e := unix.Syscall(unix.SYS_IOCTL, listener, send, uintptr(unsafe.Pointer(&response))); e != 0 {
		return e
	}
	return nil
}
