//go:build linux

package main

import (
	"fmt"
	"os/signal"

	"golang.org/x/sys/unix"
)

// terminal is what is known of descriptor 0 when we start. A terminal has one foreground process group: it
// alone may read, and it alone gets the signals of Ctrl-C and Ctrl-Z. For job control in the container to
// work, the container must be that group while it runs (tcsetpgrp(3), credentials(7)).
type terminal struct {
	foreground bool // it is a terminal, and ours to lend
	background bool // it is a terminal, and somebody else's: we were started with &
	modes      *unix.Termios
}

func openTerminal() terminal {
	modes, err := unix.IoctlGetTermios(0, unix.TCGETS)
	if err != nil {
		return terminal{} // a file, a pipe
	}
	group, err := unix.IoctlGetInt(0, unix.TIOCGPGRP)
	ours := err == nil && group == unix.Getpgrp()
	return terminal{foreground: ours, background: !ours, modes: modes}
}

// lend makes the process group led by pid the foreground.
func (t terminal) lend(pid int) error {
	if !t.foreground {
		return nil
	}
	return setForeground(pid)
}

// takeBack makes us the foreground again, in the modes we found: whoever the container's end left without
// a chance to tidy up may have had them raw.
func (t terminal) takeBack() {
	if !t.foreground {
		return
	}
	signal.Ignore(unix.SIGTTOU) // the kernel's answer to a background process that touches its terminal
	_ = setForeground(unix.Getpgrp())
	_ = unix.IoctlSetTermios(0, unix.TCSETSW, t.modes) // both fail only when the terminal has hung up
}

func setForeground(group int) error {
	say(fmt.Sprintf("ioctl(0, TIOCSPGRP, [%d])", group), "")
	if err := unix.IoctlSetPointerInt(0, unix.TIOCSPGRP, group); err != nil {
		return fmt.Errorf("ioctl 0: TIOCSPGRP %d: %w", group, err)
	}
	return nil
}
