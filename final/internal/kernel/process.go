//go:build linux

package kernel

import (
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"
)

// Kill ends a process, provided that verify, asked while the process id can no longer pass to another
// process, still says that it is the right one; nil for verify trusts the caller. A process that is gone
// already is ESRCH.
//
// The process id is pinned by a pidfd (pidfd_open(2), since Linux 5.3).
func (d *Door) Kill(pid int, verify func() bool) error {
	call := Call{
		Op: "pidfd_send_signal", Object: strconv.Itoa(pid), Value: "SIGKILL",
		Shell: fmt.Sprintf("kill -KILL %d", pid),
	}
	return d.do(call, func() error {
		fd, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		if verify != nil && !verify() {
			return unix.ESRCH
		}
		return unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
	})
}
