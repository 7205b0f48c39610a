//go:build linux

package plan

import (
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/console"
	"github.com/simple-container/simple-container/final/internal/op"
)

// openConsole opens a terminal in the container's devpts.
func (c *create) openConsole() error {
	if c.o.Console == 0 {
		return nil
	}
	c.slave = console.Open(c.List, c.root, c.process.ConsoleSize, c.o.Console)
	if c.first { // the container's first process
		console.Bind(c.List, c.root, c.slave)
	}
	return nil
}

// giveStreams makes the terminal, or the standard streams of whoever made the container, the user's: a command
// that is not root may open them again by name.
func (c *create) giveStreams() error {
	if c.slave != nil {
		console.Give(c.List, c.slave, c.process.User.UID)
		return nil
	}
	for _, fd := range c.o.Chown {
		c.Add(op.Op{Name: "fchown", Nr: unix.SYS_FCHOWN,
			Args:   []op.Arg{op.Int(fd), op.Int(c.process.User.UID), op.Int(-1)},
			Accept: []unix.Errno{unix.EINVAL, unix.EPERM, unix.EROFS, unix.ENOSYS}, // then it is not to be
			Why:    "the command may open its streams again by name"})
	}
	return nil
}

// takeTerminal makes the process the leader of a session, and the terminal the session's.
func (c *create) takeTerminal() error {
	c.Add(op.Op{Name: "setsid", Nr: unix.SYS_SETSID, Shell: "setsid",
		Why: "no terminal of the host: it could be typed into (TIOCSTI)"})
	if c.slave != nil {
		console.Attach(c.List, c.slave)
	}
	return nil
}
