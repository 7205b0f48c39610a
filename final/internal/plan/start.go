//go:build linux

package plan

import (
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/op"
)

// WaitLabel is the label of the op that waits for start.
const WaitLabel = "accept"

// waitForStart ends the creation and waits for whoever starts the container. From here on it is they who
// hear of a failure: their connection takes the sync socket's number.
//
//	container side                 start
//	accept4 ◀──────────────────────── connect
//	the namespaces ────────────────▶ if it is not root's, and there are startContainer hooks
//	                               runs them
//	read ◀────────────────────────── write
//	execve
//	the connection closes ─────────▶ end of file: the command runs; or a report
func (c *create) waitForStart() error {
	ready := op.Write(op.Int(c.o.Sync).As("sync"), Ready)
	ready.Message, ready.Label, ready.Why = Ready, "found", "the command is there, and all is done that can be done before start"
	c.Add(ready)
	if c.o.Start == 0 {
		return nil
	}
	connection := op.NewVar("connection")
	accept := op.Op{Name: "accept4", Nr: unix.SYS_ACCEPT4, Args: []op.Arg{
		op.Int(c.o.Start).As("start"), op.Null(), op.Null(), op.Int(unix.SOCK_CLOEXEC).As("SOCK_CLOEXEC"),
	}, Result: connection, Label: WaitLabel, Accept: []unix.Errno{unix.EINTR, unix.ECONNABORTED}, Accepted: WaitLabel,
		Why: "the container is created; here it waits for start"}
	answer := op.Dup(op.Val(connection), c.o.Sync, unix.O_CLOEXEC)
	answer.Why = "whoever starts the container hears what goes wrong from here on"
	word := op.Read(op.Int(c.o.Sync).As("connection"), op.Zeros(1))
	word.Zero, word.Why = WaitLabel, "the word to go; if they are gone instead, somebody else may come"
	c.Add(accept, answer, op.Close(op.Val(connection)))
	if c.held != nil && len(c.spec.Hooks.StartContainer) > 0 {
		hide := op.Prctl("PR_SET_DUMPABLE", unix.PR_SET_DUMPABLE, op.Int(0))
		hide.Why = "hooks are about to run in the container, none of which may look into this process, or write to it"
		send := c.sendNamespaces(Namespaces)
		send.Accept, send.Accepted = []unix.Errno{unix.EPIPE, unix.ECONNRESET}, WaitLabel
		send.Why = "where the startContainer hooks are to run"
		c.Add(hide, send)
	}
	c.Add(word)
	return nil
}
