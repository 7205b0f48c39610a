//go:build linux

// Package plan turns a config.json into the list of kernel calls that the container side makes, each with
// its arguments, the errors that count as success, the shell command that would do the same, and why.
//
// Building the list is a pure function, spec in and plan out, tested by golden files without privileges;
// "final plan BUNDLE" prints it. What one kernel feature adds to the list is in rootfs, confine, cgroup and
// console, which plan may import, with the packages below them. Step 01's child.go is such a list, written as Go
// code.
package plan

import (
	"fmt"
	"math/bits"
	"strconv"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/cgroup"
	"github.com/simple-container/simple-container/final/internal/confine"
	"github.com/simple-container/simple-container/final/internal/op"
	"github.com/simple-container/simple-container/final/internal/rootfs"
)

// Options are what a plan depends on beside the spec: the machine it is for, and what the parent hands over.
type Options struct {
	Descriptors
	ID     string // the container's
	Rootfs rootfs.Options
	Host   confine.Host
	Filter *confine.Filter // the compiled seccomp profile; nil without one

	// Ignored are the signals that the runtime's caller has it ignore, a bit each, the lowest for signal 1. They
	// stay ignored across execve, and a container would wonder.
	Ignored uint64

	Cgroups []string // directories of cgroups of v1 that the process enters by itself

	Path string // what to execute, for exec; empty is the process's args[0]

	Threads bool         // the executor has more than one: it is the one in Go
	NoFile  *unix.Rlimit // the limit of descriptors to go back to, if the executor is in Go, which raises it; else nil

	NewKeyring bool // the process gets a session keyring of its own
	Rootless   bool // the parent is not root: what is of a hidden process in /proc is root's
	ListenPID  bool // the command is told its own pid, which the parent says after the first Go

	// TargetKinds are the CLONE_NEW* of those namespaces that are to be joined: of the target, or in Joins.
	TargetKinds uintptr

	// Chown are those of the descriptors 0, 1 and 2 that are to belong to the process's user. Without it a
	// program that is not root could not open /dev/stdout.
	Chown []int
}

// Descriptors are the numbers, on the container side, of what the parent hands it. 0, 1 and 2 are the
// container's own; the caller's that are to stay open follow.
type Descriptors struct {
	Preserved int // how many of the caller's: 3, 4 and so on
	Sync      int // a socket: the parent says when to go on, the container side how far it is
	Start     int // a listening socket: `start` connects; 0 for a process that need not wait
	Console   int // a socket that gets the terminal; 0 without terminal
	Target    int // a pidfd of the process whose namespaces to join; 0 for a new container, or if they are in Joins
	Root      int // the target's root, where that is not the root of its mount namespace; 0 if it need not be entered
	First     int // the first number that is nobody's

	// Joins are namespaces that the container side joins.
	Joins map[specs.LinuxNamespaceType]int
}

// Join adds one of them.
func (d *Descriptors) Join(t specs.LinuxNamespaceType, number int) {
	if d.Joins == nil {
		d.Joins = map[specs.LinuxNamespaceType]int{}
	}
	d.Joins[t] = number
}

// A create is a plan in the making.
type create struct {
	*op.List
	spec    *specs.Spec
	process *specs.Process
	o       Options
	root    *op.Var  // the container's root, open
	command *op.Var  // the path at which the command was found
	slave   *op.Var  // the container's end of its terminal; nil without
	proc    *op.Var  // the host's /proc; nil if it is not needed
	held    *load    // the namespaces as a message has them; nil if nobody is sent them (hold.go)
	pid     *op.Data // the variable with the command's pid; nil without one
	cloned  bool     // a child has taken over
	first   bool     // it is the container's first process
}

// Create returns the container side of a new container: the table of contents of this package.
func Create(s *specs.Spec, o Options) (*op.List, error) {
	const most = 400 // ops, of nearly all plans: growing step by step would copy them each time
	c := &create{List: &op.List{Ops: make([]op.Op, 0, most)}, spec: s, process: s.Process, o: o, first: true}
	return c.build(
		c.isolate,
		c.openProc,
		c.enterCgroups,
		c.enterNamespaces,
		c.awaitParent,
		c.awaitPID,
		c.takeOver,
		c.holdNamespaces,
		c.setAttributes,
		c.label,
		c.setNames,
		c.raiseLoopback,
		c.prepareRoot,
		c.openConsole,
		c.runHooks,
		c.makeDirectory,
		c.enterRoot,
		c.giveStreams,
		c.takeTerminal,
		c.enterDirectory,
		c.confine,
		c.findCommand,
		c.waitForStart,
		c.execute,
	)
}

// build has each part add its ops. What fails among them is reported on the sync socket.
func (c *create) build(parts ...func() error) (*op.List, error) {
	c.Fail(op.Int(c.o.Sync), 1)
	for _, add := range parts {
		if err := add(); err != nil {
			return nil, err
		}
	}
	return c.List, nil
}

// isolate closes what was inherited by mistake, and hides the process from others.
func (c *create) isolate() error {
	closeRange := op.CloseRange(c.o.First, 0)
	closeRange.Why = "a directory of the host that somebody left open would be a way out"
	c.Add(closeRange)
	if c.o.Rootless {
		c.setOOMScore()
	}
	if !c.mapped() {
		c.hide()
	}
	c.resetSignals()
	return nil
}

// mapped tells whether the process begins in a user namespace to which a parent who is not root gives its ids: by files
// that are root's if the process is hidden. There is nobody in it to hide from.
func (c *create) mapped() bool {
	return c.first && c.o.Rootless && NewUser(c.spec)
}

func (c *create) hide() {
	hide := op.Prctl("PR_SET_DUMPABLE", unix.PR_SET_DUMPABLE, op.Int(0))
	hide.Why = "nobody in the container may look into this process, or trace it, before it becomes the command"
	c.Add(hide)
}

// setOOMScore says how soon the process is to be killed for want of memory, as long as it may say it itself: the file
// of a hidden one is root's.
func (c *create) setOOMScore() {
	if c.process.OOMScoreAdj == nil {
		return
	}
	file := op.NewVar("oom_score_adj")
	open := op.Open("/proc/self/oom_score_adj", unix.O_WRONLY, file)
	write := op.Write(op.Val(file), strconv.Itoa(*c.process.OOMScoreAdj))
	write.Why = "as the spec says (proc_pid_oom_score_adj(5)); children have the same"
	open.Means, write.Means = "process.oomScoreAdj", fmt.Sprintf("process.oomScoreAdj: %d", *c.process.OOMScoreAdj)
	c.Add(open, write, op.Close(op.Val(file)))
}

// awaitParent waits for the parent's half of the work.
func (c *create) awaitParent() error {
	c.await("the parent has set what only it can: id maps, cgroups of v1, limits")
	return nil
}

func (c *create) enterCgroups() error {
	cgroup.Enter(c.List, c.o.Cgroups)
	return nil
}

// resetSignals gives the command the signals as the kernel has them at the beginning (signal(7)).
func (c *create) resetSignals() {
	unblock := op.Op{Name: "rt_sigprocmask", Nr: unix.SYS_RT_SIGPROCMASK, Args: []op.Arg{
		op.Int(unix.SIG_SETMASK).As("SIG_SETMASK"), op.Ref(op.Words(0)).As("[]"), op.Null(), op.Int(8),
	}, Why: "no signal is blocked"}
	c.Add(unblock)
	for ignored := c.o.Ignored; ignored != 0; ignored &= ignored - 1 {
		signal := 1 + bits.TrailingZeros64(ignored)
		c.Add(op.Op{Name: "rt_sigaction", Nr: unix.SYS_RT_SIGACTION, Args: []op.Arg{
			op.Int(signal), op.Ref(op.Words(0, 0, 0, 0)).As("{SIG_DFL}"), op.Null(), op.Int(8),
		}, Why: "the runtime's caller ignores it, which would pass to the command"})
	}
}

// prepareRoot builds the tree of mounts.
func (c *create) prepareRoot() (err error) {
	c.root, err = rootfs.Prepare(c.List, c.spec, c.o.Rootfs)
	return err
}

// openProc keeps hold of the host's /proc, if there are labels to be written, or namespaces to be held: each process
// has files of its own for them, and later /proc may be another's.
func (c *create) openProc() error {
	if !confine.Labelled(c.process) && !c.sendsNamespaces() {
		return nil
	}
	c.proc = op.NewVar("proc")
	open := op.Open("/proc", unix.O_PATH|unix.O_DIRECTORY, c.proc)
	open.Why = "the host's, in which no other file can stand for one of this process's"
	c.Add(open)
	return nil
}

// label has the command run under its labels. Nobody else is: what this process still makes are no programs.
func (c *create) label() error {
	if c.proc == nil {
		return nil
	}
	var err error
	if confine.Labelled(c.process) {
		err = confine.Labels(c.List, c.proc, c.process, c.o.Host)
	}
	c.Add(op.Close(op.Val(c.proc)))
	return err
}

// enterRoot closes what was left open for the hooks, and makes the tree the root.
func (c *create) enterRoot() error {
	if err := rootfs.Sysctl(c.List, c.spec); err != nil {
		return err
	}
	if err := rootfs.Protect(c.List, c.spec, c.o.Rootfs, c.root); err != nil {
		return err
	}
	return rootfs.Enter(c.List, c.spec, c.o.Rootfs, c.root)
}

// setAttributes is for what the command inherits and no namespace has: how it is scheduled, where it runs, the
// keys it holds.
func (c *create) setAttributes() error {
	linux, affinity := c.spec.Linux, c.process.ExecCPUAffinity
	if c.first {
		affinity = nil // it is for exec
	}
	if err := confine.FinalAffinity(c.List, affinity); err != nil {
		return err
	}
	if c.o.NewKeyring {
		confine.Keyring(c.List, c.proc, c.o.ID, c.process, c.o.Host)
	}
	p := *c.process
	if c.scheduledLate() {
		p.Scheduler = nil
	}
	return confine.Attributes(c.List, &p, linux)
}

// scheduledLate tells whether the process's turn is to be set when it is in the container's PID namespace: another
// one comes into it than the one that has the rights for that.
func (c *create) scheduledLate() bool {
	return !c.first && c.o.TargetKinds&unix.CLONE_NEWPID != 0 && confine.OwnScheduler(c.process.Scheduler)
}

// confine makes the process what the command is to be.
func (c *create) confine() error {
	warnings, err := confine.Identity(c.List, c.process, c.o.Host, c.o.Filter)
	c.Warnings = append(c.Warnings, warnings...)
	return err
}

// WantsHooks tells whether there are hooks that belong before the pivot.
func WantsHooks(s *specs.Spec) bool {
	h := s.Hooks
	return h != nil && len(h.Prestart)+len(h.CreateRuntime)+len(h.CreateContainer) > 0
}

// runHooks lets the parent run those hooks that want the host's files still in sight.
func (c *create) runHooks() error {
	if !WantsHooks(c.spec) {
		return nil
	}
	const why = "the parent runs the hooks prestart, createRuntime and createContainer"
	if c.held != nil && len(c.spec.Hooks.CreateContainer) > 0 {
		send := c.sendNamespaces(Hooks)
		send.Why = why
		c.Add(send)
	} else {
		c.tell(Hooks, why)
	}
	c.await("they have ended well")
	return nil
}
