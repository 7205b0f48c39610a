//go:build linux

package plan

import (
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/confine"
	"github.com/simple-container/simple-container/final/internal/op"
)

// WaitLabel is the label of the op that waits for start.
const WaitLabel = "accept"

// waitForStart ends the creation and waits for whoever starts the container. From here on it is they who
// hear of a failure: their connection takes the sync socket's number.
//
//	container side                 start
//	accept4 ◀──────────────────────── connect
//	                               runs the startContainer hooks
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
	c.Add(accept, answer, op.Close(op.Val(connection)), word)
	return nil
}

// execute becomes the command.
func (c *create) execute() error {
	if !c.hasCommand() {
		c.end()
		return nil
	}
	c.keep(3+c.o.Preserved, "the command gets the descriptors meant for it, and no other")
	if err := confine.AtLast(c.List, c.process, c.o.NoFile); err != nil {
		return err
	}
	if err := confine.Finish(c.List, c.process, c.o.Host, c.o.Filter); err != nil {
		return err
	}
	if c.o.Filter != nil && c.o.Filter.Listener != nil {
		c.passListener(c.o.Filter.Listener)
	}
	c.Add(execve(op.Val(c.command), c.process.Args, c.environment()))
	c.end()
	return nil
}

// keep closes, with execve, every descriptor but the first ones. Before Linux 5.11 there is no such flag; there
// those that were handed over are marked one by one. What was opened here is marked already.
func (c *create) keep(first int, why string) {
	const done = "closed with execve"
	all := op.CloseRange(first, unix.CLOSE_RANGE_CLOEXEC)
	all.Accept, all.Zero, all.Why = []unix.Errno{unix.EINVAL}, done, why
	c.Add(all)
	for fd := first; fd < c.o.First; fd++ {
		c.Add(op.Op{Name: "fcntl", Nr: unix.SYS_FCNTL, Accept: []unix.Errno{unix.EBADF}, Args: []op.Arg{
			op.Int(fd), op.Int(unix.F_SETFD).As("F_SETFD"), op.Int(unix.FD_CLOEXEC).As("FD_CLOEXEC"),
		}, Why: "a kernel before Linux 5.11: one by one"})
	}
	c.Add(op.Op{Nr: op.Let, Args: []op.Arg{op.Int(0).As("-")}, Label: done, Why: "where the jump from above leads"})
}

// After returns where in a list, from an op on, the message has been sent; the end if it is not there.
func After(l *op.List, from int, message string) int {
	for i := from; i < len(l.Ops); i++ {
		if o := l.Ops[i]; o.Message == message && message != "" {
			return i + 1
		}
	}
	return len(l.Ops)
}

// passListener tells the parent the number of the filter's listener, and waits until the agent has it: from
// here on it may be asked for every call.
func (c *create) passListener(listener *op.Var) {
	tell := op.Op{Name: "write", Nr: unix.SYS_WRITE, Args: []op.Arg{op.Int(c.o.Sync).As("connection"), op.Addr(listener), op.Int(8)},
		Why: "the number of the listener, which the parent fetches (pidfd_getfd)"}
	wait := op.Read(op.Int(c.o.Sync).As("connection"), op.Zeros(1))
	wait.Zero, wait.Why = "gone", "the agent of linux.seccomp.listenerPath has it"
	c.Add(tell, wait)
}

// execve is the call that ends every list.
func execve(file op.Arg, args []string, env *op.Data) op.Op {
	return op.Op{Name: "execve", Nr: unix.SYS_EXECVE, Args: []op.Arg{
		file, op.Ref(op.Strings(args)), op.Ref(env),
	}, Why: "become the command", Means: "exec " + args[0]}
}

// end is where the jumps lead of a process that is not needed any more.
func (c *create) end() {
	gone, replaced := op.Exit(1), op.Exit(0)
	gone.Label, gone.Why = "gone", "the parent is gone: nobody wants the container any more"
	replaced.Label, replaced.Why = "replaced", "the child goes on"
	c.Add(gone)
	if c.cloned {
		c.Add(replaced)
	}
}
