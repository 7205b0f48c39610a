//go:build linux

package kernel

import (
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Kill ends a process: Signal with SIGKILL.
func (d *Door) Kill(pid int, verify func() bool) error { return d.Signal(pid, unix.SIGKILL, verify) }

// Signal sends a signal to a process, provided that verify, asked while the process id can no longer pass to another
// process, still says that it is the right one; nil for verify trusts the caller. A process that is gone
// already is ESRCH.
//
// The process id is pinned by a pidfd (pidfd_open(2), since Linux 5.3).
func (d *Door) Signal(pid int, signal unix.Signal, verify func() bool) error {
	name := unix.SignalName(signal)
	if name == "" { // a real-time signal
		name = strconv.Itoa(int(signal))
	}
	call := Call{
		Op: "pidfd_send_signal", Object: strconv.Itoa(pid), Value: name,
		Shell: fmt.Sprintf("kill -%s %d", strings.TrimPrefix(name, "SIG"), pid),
	}
	return d.Do(call, func() error {
		fd, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		if verify != nil && !verify() {
			return unix.ESRCH
		}
		return unix.PidfdSendSignal(fd, signal, nil, 0)
	})
}
