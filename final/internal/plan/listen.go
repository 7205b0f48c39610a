//go:build linux

package plan

import (
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/op"
)

// listenPID is the variable that tells the command of socket activation that it is the one meant, and not one that
// has inherited its environment: the value is its own pid, as it sees it (sd_listen_fds(3)).
const listenPID = "LISTEN_PID="

// awaitPID reads the pid into its place in the environment. Nobody knows it before there is a process; the parent
// sees it then, and says it, while this side has no way to write a number in digits.
func (c *create) awaitPID() error {
	if !c.o.ListenPID {
		return nil
	}
	const digits = 10 // a pid has no more
	c.pid = &op.Data{Bytes: append([]byte(listenPID), make([]byte, digits+1)...), Text: `"` + listenPID + `PID"`}
	place := &op.Var{Name: "LISTEN_PID", Data: c.pid, Offset: len(listenPID)}
	c.Add(op.Op{Name: "read", Nr: unix.SYS_READ, Args: []op.Arg{op.Int(c.o.Sync).As("sync"), op.Addr(place), op.Int(digits)},
		Zero: "gone", Why: "the command's own pid in its PID namespace, which sd_listen_fds(3) asks for"})
	return nil
}

// environment is the command's.
func (c *create) environment() *op.Data {
	env := op.Strings(c.process.Env)
	if c.pid != nil {
		env.Append(c.pid)
	}
	return env
}
