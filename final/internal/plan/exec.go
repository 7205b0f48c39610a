//go:build linux

package plan

import (
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/confine"
	"github.com/simple-container/simple-container/final/internal/op"
)

// Exec returns the container side of one more process in a container. It joins the namespaces of the
// container's first process, o.Target, and is that container's process in all else.
//
// The container sees it only when there is nothing left to take from it. A process with the rights of the host
// could be traced by one with CAP_SYS_PTRACE, or looked into at /proc/PID/root; so the PID namespace is entered
// last, by a child that is confined when it is born (CVE-2016-9962).
func Exec(s *specs.Spec, p *specs.Process, o Options) (*op.List, error) {
	c := &create{List: &op.List{}, spec: s, process: p, o: o}
	return c.build(
		c.setInitialAffinity,
		c.isolate,
		c.enterCgroups,
		c.awaitParent,
		c.openProc,
		c.joinTarget,
		c.setAttributes,
		c.openRoot,
		c.openConsole,
		c.enterDirectory,
		c.giveStreams,
		c.confine,
		c.appear,
		c.label,
		c.takeTerminal,
		c.findCommand,
		c.waitForStart,
		c.execute,
	)
}

// Hook returns the container side of a hook: a program that runs in the container's namespaces, and is not
// confined. What is not of the container's file system when it runs, is not of the hook's. It begins in dir, the
// container's root as the host has it, if it can get there.
func Hook(path, dir string, args, env []string, o Options) *op.List {
	c := &create{List: &op.List{}, spec: &specs.Spec{}, o: o}
	c.Fail(op.Int(o.Sync), 1)
	closeRange := op.CloseRange(c.o.First, 0)
	closeRange.Why = "nothing that was inherited by mistake"
	c.Add(closeRange)
	c.hide()
	c.join()
	chdir := op.Chdir(dir)
	chdir.Why, chdir.Accept = "where hooks that mount expect to be", []unix.Errno{unix.ENOENT, unix.ENOTDIR, unix.EACCES}
	c.Add(chdir)
	_ = c.appear() // it has no errors
	c.keep(3, "the hook gets the standard streams, and nothing else")
	c.Add(execve(op.Str(path), args, op.Strings(env)))
	c.end()
	return c.List
}

func (c *create) setInitialAffinity() error {
	return confine.InitialAffinity(c.List, c.process.ExecCPUAffinity)
}

// joinTarget joins the namespaces of the container's first process.
func (c *create) joinTarget() error {
	c.join()
	if c.o.TargetKinds&unix.CLONE_NEWUSER != 0 {
		c.becomeRoot()
	}
	return nil
}

// join joins them all in one call: so the rights in the user namespace count for the others (setns(2), with a
// pidfd since Linux 5.8). One by one, the user namespace is the first. Of the PID namespace only children become
// members.
func (c *create) join() {
	if c.o.TargetKinds&(unix.CLONE_NEWUSER|unix.CLONE_NEWTIME) != 0 || c.o.TargetKinds != 0 && c.o.Threads {
		c.haveOneThread() // Linux 6.12 wants it for other kinds too, if they are joined in one call
	}
	for _, k := range Kinds {
		if number := c.o.Joins[k.Type]; number != 0 {
			setns := op.Setns(op.Int(number), int(k.Flag))
			setns.Why = "the container's namespaces, which its first process has sent"
			setns.Shell = "nsenter --target PID " + k.option()
			c.Add(setns)
		}
	}
	if c.o.Target != 0 && c.o.TargetKinds != 0 {
		setns := op.Setns(op.Int(c.o.Target).As("container"), int(c.o.TargetKinds))
		setns.Why, setns.Shell = "the namespaces of the container's first process", "nsenter --target PID --all"
		c.Add(setns)
	}
	if c.o.Root != 0 {
		enter := op.Fchdir(op.Int(c.o.Root).As("/proc/PID/root"))
		enter.Why = "the container has no mount namespace: its root is its first process's"
		c.Add(enter, op.Op{Name: "chroot", Nr: unix.SYS_CHROOT, Args: []op.Arg{op.Str(".")}, Shell: "chroot /proc/PID/root"})
	}
}

// appear makes the child that is in the container's PID namespace.
func (c *create) appear() error {
	if c.o.TargetKinds&unix.CLONE_NEWPID != 0 {
		c.cloneAgain(0, "the child is in the container's PID namespace, where it is seen only now")
	}
	if c.process != nil && c.scheduledLate() {
		c.tell(Turn, "what no child inherits, the parent sets")
		c.await("the parent has set how this process is scheduled")
	}
	return nil
}

// haveOneThread makes a child: only a process with one thread may join a user, mount or time namespace, and the
// re-executed program has more.
func (c *create) haveOneThread() {
	c.cloneAgain(0, "a process with one thread, as joining a namespace of these kinds wants it")
}

// openRoot opens the container's root from within.
func (c *create) openRoot() error {
	c.root = op.NewVar("root")
	open := op.Open("/", unix.O_PATH|unix.O_DIRECTORY, c.root)
	open.Why = "the container's root: paths are resolved below it"
	c.Add(open)
	return nil
}
