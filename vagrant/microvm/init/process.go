//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// environment of everything that init starts.
var environment = []string{
	"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
	"HOME=/root", "TMPDIR=/tmp", "LANG=C", "TERM=linux", "MICROVM=1",
}

// A command is a process to start. os/exec cannot be used here: process 1 has
// to wait for every process that loses its parent, and os/exec's own wait
// would race with that.
type command struct {
	Args   []string
	Dir    string
	Env    []string // in addition to environment
	Input  *os.File
	Output *os.File // standard output and error
	Login  bool     // a session of its own with Input as its terminal
}

// run starts the command and reaps processes until it has ended. The exit code
// is 128+n when it was ended by signal n.
func (c *command) run() (int, error) {
	attr := &syscall.ProcAttr{Dir: c.Dir, Env: append(environment[:len(environment):len(environment)], c.Env...),
		Files: []uintptr{c.Input.Fd(), c.Output.Fd(), c.Output.Fd()}}
	if c.Login {
		attr.Sys = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 0}
	} else {
		attr.Sys = &syscall.SysProcAttr{Setsid: true}
	}
	pid, err := syscall.ForkExec(c.Args[0], c.Args, attr)
	if err != nil {
		return 0, fmt.Errorf("start %s: %w", c.Args[0], err)
	}
	return reapUntil(pid)
}

// reapUntil waits for all children, our own and adopted ones, until pid ends.
func reapUntil(pid int) (int, error) {
	for {
		var status unix.WaitStatus
		switch ended, err := unix.Wait4(-1, &status, 0, nil); {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return 0, fmt.Errorf("wait for process %d: %w", pid, err)
		case ended != pid:
		case status.Signaled():
			return 128 + int(status.Signal()), nil
		default:
			return status.ExitStatus(), nil
		}
	}
}

// reapAll ends every process but this one, and gives how many there were, so
// that what one test forgot does not disturb the next.
func reapAll() int {
	if unix.Kill(-1, unix.SIGKILL) != nil { // ESRCH: nobody there
		return 0
	}
	n := 0
	for {
		switch _, err := unix.Wait4(-1, nil, 0, nil); {
		case errors.Is(err, unix.EINTR):
		case err != nil: // ECHILD: nobody left
			return n
		default:
			n++
		}
	}
}
