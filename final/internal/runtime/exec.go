//go:build linux

package runtime

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/cgroup"
	"github.com/simple-container/simple-container/final/internal/executor"
	"github.com/simple-container/simple-container/final/internal/kernel"
	"github.com/simple-container/simple-container/final/internal/plan"
)

// ExecOptions are what engines say about one more process of a container.
type ExecOptions struct {
	Process      *specs.Process
	PidFile      string
	PidfdSocket  string
	Console      *os.File // a connected socket that gets the terminal; nil without process.terminal
	PreserveFDs  int
	Cgroups      []string // below the container's: PATH, or of one tree of v1 CONTROLLER:PATH; none is its own
	IgnorePaused bool

	path     string // what to execute, if it is not Process.Args[0]: a hook
	wholeEnv bool   // the environment is the whole of it, as it is: a hook's
}

// Exec starts one more process in a running container and returns it when its command runs. It is our child.
func (c *Container) Exec(o ExecOptions) (p *executor.Process, err error) {
	status, err := c.Status()
	switch {
	case err != nil:
		return nil, err
	case status == Paused && !o.IgnorePaused:
		return nil, fmt.Errorf("container %q: cannot exec in a paused container (use --ignore-paused to override)", c.ID)
	case status == Stopped || status == Creating:
		return nil, fmt.Errorf("container %q: cannot exec in a %s container: %w", c.ID, status, ErrNotRunning)
	}
	s, err := c.spec()
	if err != nil {
		return nil, err
	}
	if err := plan.ValidateProcess(o.Process); err != nil {
		return nil, err
	}
	if err := plan.CheckUser(s, o.Process.User); err != nil {
		return nil, err
	}
	if err := checkConsole(o.Process, o.Console); err != nil {
		return nil, err
	}
	deadline := time.Now().Add(patience / 5)
	for try := 1; ; try++ {
		p, err = c.tryExec(s, o)
		switch {
		case !errors.Is(err, unix.ESRCH):
			return p, err
		case !c.alive():
			return nil, fmt.Errorf("container %q: %w", c.ID, ErrNotRunning)
		case try > 100 && time.Now().After(deadline): // else it may be only we who got no processor
			return nil, fmt.Errorf("container %q: its first process has lost its first thread: %w", c.ID, err)
		}
		time.Sleep(time.Millisecond)
	}
}

// tryExec is ESRCH if the container's first process has no first thread just now (openTarget).
func (c *Container) tryExec(s *specs.Spec, o ExecOptions) (*executor.Process, error) {
	h := &handover{}
	if err := h.addStreams(o.PreserveFDs); err != nil {
		h.close()
		return nil, err
	}
	b, err := c.beginExec(s, o, h)
	if err != nil {
		return nil, err
	}
	defer b.sync.Close()
	if err := c.finishExec(b, s, o); err != nil {
		b.Pidfd.Close()
		return nil, err
	}
	return b.Process, nil
}

// beginExec starts the container side: it joins the namespaces of the container's first process. h has the
// files that are the command's.
func (c *Container) beginExec(s *specs.Spec, o ExecOptions, h *handover) (b *side, err error) {
	defer func() { h.close() }()
	target, err := c.openTarget()
	if err != nil {
		return nil, err
	}
	defer target.close()
	options := plan.Options{ID: c.ID, Path: o.path, NewKeyring: !c.NoNewKeyring}
	options.Preserved = len(h.files) - 3
	ours, theirs, err := syncPair()
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			ours.Close()
		}
	}()
	options.Sync = h.add(h.keep(theirs))
	target.hand(h, &options)
	if o.Console != nil {
		options.Console = h.add(o.Console)
	}
	options.First = len(h.files)
	if err := c.describeExec(&options, s, o, target); err != nil {
		return nil, err
	}
	group, err := c.execGroup(o.Cgroups)
	if err != nil {
		return nil, err
	}
	options.Cgroups = group.Apart()
	list, err := plan.Exec(s, o.Process, options)
	if err != nil {
		return nil, err
	}
	c.runtime.warn(list.Warnings)
	b, err = c.runtime.launchIn(group, &executor.Command{List: list, Name: "exec " + c.ID}, h, ours)
	if err != nil {
		return nil, err
	}
	if err := group.Add(c.runtime.Door, b.Pid, b.born, true); err != nil {
		b.end()
		b.Pidfd.Close()
		return nil, err
	}
	return b, nil
}

// describeExec makes the process whole by what it has of the container, and says what the plan must know of it.
func (c *Container) describeExec(options *plan.Options, s *specs.Spec, o ExecOptions, t *target) error {
	if !o.wholeEnv {
		root := c.Rootfs // with a mount on it
		if t.root != nil {
			root = fmt.Sprintf("/proc/self/fd/%d", t.root.Fd())
		}
		settleEnv(o.Process, root)
	}
	inherit(o.Process, s.Process)
	if err := c.runtime.describeProcess(options, s, o.Process); err != nil {
		return err
	}
	options.Host.DenySetgroups = setgroupsDenied(c.Pid)
	return checkGroups(o.Process, options.Host.DenySetgroups)
}

// inherit gives a process what the container's has, where it says nothing itself, as runc does: a security module that
// was asked to hold the container is not left out by who sends a process without a label ("unconfined" does), nor is a
// limit.
func inherit(p, container *specs.Process) {
	p.ApparmorProfile = cmp.Or(p.ApparmorProfile, container.ApparmorProfile)
	p.SelinuxLabel = cmp.Or(p.SelinuxLabel, container.SelinuxLabel)
	p.Capabilities = cmp.Or(p.Capabilities, container.Capabilities)
	p.Scheduler = cmp.Or(p.Scheduler, container.Scheduler)
	p.IOPriority = cmp.Or(p.IOPriority, container.IOPriority)
	p.ExecCPUAffinity = cmp.Or(p.ExecCPUAffinity, container.ExecCPUAffinity)
	if len(p.Rlimits) == 0 {
		p.Rlimits = container.Rlimits
	}
}

// execGroup is the cgroup for one more process: the one below the container's that was asked for, or the one
// that the container's first process is in by now.
func (c *Container) execGroup(below []string) (*cgroup.Group, error) {
	if len(below) > 0 {
		return c.group().Below(below...)
	}
	now, err := kernel.ReadFile(fmt.Sprintf("/proc/%d/cgroup", c.Pid))
	if err != nil {
		return nil, err
	}
	return c.group().Of(now), nil
}

// finishExec takes the container side from its first moment to its command.
func (c *Container) finishExec(b *side, s *specs.Spec, o ExecOptions) (err error) {
	defer func() {
		if err != nil {
			b.end()
		}
	}()
	if err := c.runtime.prepare(b.Pid, s, o.Process, false); err != nil {
		return b.reason(err)
	}
	b.explain(c.runtime.Door.Explain, "")
	if err := send(b.sync, plan.Go); err != nil {
		return b.reason(err)
	}
	if err := b.replace(); err != nil {
		return err
	}
	for ready := false; ; {
		message, files, err := receiveFiles(b.sync, b.list)
		switch {
		case errors.Is(err, errEnded) && ready:
			return nil
		case err != nil:
			return b.report(err)
		case message == plan.Ready: // for the command, which nobody need tell it to become
			ready = true
			if err := c.announce(b, CreateOptions{PidFile: o.PidFile, PidfdSocket: o.PidfdSocket}); err != nil {
				return err
			}
			continue
		case message == plan.Turn:
			err = c.runtime.schedule(b.Pid, o.Process.Scheduler)
		default:
			err = c.passListener(b.Pidfd, b.Pid, message, files, s)
		}
		if err == nil {
			err = send(b.sync, plan.Go)
		}
		if err != nil {
			return b.reason(err)
		}
	}
}
