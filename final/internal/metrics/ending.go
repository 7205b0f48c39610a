//go:build linux

package metrics

import (
	"bytes"
	"context"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// An ending is the end of a process.
type ending struct {
	id     string
	pid    int
	status unix.WaitStatus
	known  bool // of status
}

// code is the exit code as runtimes tell it, 128 and the number of a signal if one ended the process, and the
// signal's name.
func (e ending) code() (code *int, signal string) {
	n := e.status.ExitStatus()
	if e.status.Signaled() {
		n, signal = 128+int(e.status.Signal()), unix.SignalName(e.status.Signal())
	}
	return &n, signal
}

// awaitEnd waits for the end of a target's first process and closes its pidfd. How the process ended is for its
// parent to know; others may learn it from /proc as long as the parent has not asked, and since Linux 6.15 also
// after, by the pidfd.
func awaitEnd(ctx context.Context, fd int, t Target) ending {
	e := ending{id: t.ID, pid: t.Pid}
	if fd < 0 {
		return e
	}
	defer unix.Close(fd)
	for ended := false; !ended; {
		if ctx.Err() != nil {
			return e
		}
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 200)
		ended = n > 0 || err != nil && err != unix.EINTR
	}
	for range 20 { // until the parent has asked
		if e.status, e.known = zombieStatus(t.Pid); e.known {
			return e
		}
		info := unix.PidfdInfo{Mask: unix.PIDFD_INFO_EXIT}
		if unix.IoctlPidfdInfo(fd, &info) == nil && info.Mask&unix.PIDFD_INFO_EXIT != 0 {
			e.status, e.known = unix.WaitStatus(info.Exit_code), true
			return e
		}
		time.Sleep(5 * time.Millisecond)
	}
	return e
}

// zombieStatus reads the status that a process which has ended keeps for its parent: the last field of
// /proc/PID/stat, since Linux 3.5.
func zombieStatus(pid int) (status unix.WaitStatus, ok bool) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	end := bytes.LastIndexByte(text, ')')
	if err != nil || end < 0 {
		return 0, false
	}
	fields := bytes.Fields(text[end+1:])
	const exitCode = 52 - 3 // fields are counted from 1, and two are before
	if len(fields) <= exitCode || fields[0][0] != 'Z' {
		return 0, false
	}
	n, err := strconv.Atoi(string(fields[exitCode]))
	return unix.WaitStatus(n), err == nil
}
