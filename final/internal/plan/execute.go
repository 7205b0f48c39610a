//go:build linux

package plan

import (
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/confine"
	"github.com/simple-container/simple-container/final/internal/op"
)

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

// passListener tells the parent the number of the filter's listener, and waits until the agent has it: from
// here on it may be asked for every call.
func (c *create) passListener(listener *op.Var) {
	if c.o.Rootless {
		c.sendListener(listener)
	} else {
		c.Add(op.Op{Name: "write", Nr: unix.SYS_WRITE, Args: []op.Arg{
			op.Int(c.o.Sync).As("connection"), op.Addr(listener), op.Int(8),
		}, Why: "the number of the listener, which the parent fetches (pidfd_getfd)"})
	}
	wait := op.Read(op.Int(c.o.Sync).As("connection"), op.Zeros(1))
	wait.Zero, wait.Why = "gone", "the agent of linux.seccomp.listenerPath has it"
	c.Add(wait)
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
