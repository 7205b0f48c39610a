//go:build linux

package runtime

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/simple-container/simple-container/final/internal/cgroup"
	"github.com/simple-container/simple-container/final/internal/executor"
	"github.com/simple-container/simple-container/final/internal/kernel"
	"github.com/simple-container/simple-container/final/internal/plan"
)

// CreateOptions are what engines say about a container beside its bundle.
type CreateOptions struct {
	Bundle       string   // the directory of config.json; empty is the working directory
	Config       string   // the file to read in place of the bundle's config.json; empty is that
	PidFile      string   // gets the pid of the container's first process; empty for none
	PidfdSocket  string   // a socket that gets a pidfd of it
	Console      *os.File // a connected socket that gets the terminal; nil without process.terminal
	PreserveFDs  int      // how many descriptors from 3 on the command gets
	ListenFDs    int      // how many of them are sockets that systemd has handed down (sd_listen_fds(3))
	NoPivot      bool
	NoNewKeyring bool
}

// Create makes a container out of a bundle: all of it but the start of the command. If that fails, nothing
// of it stays.
//
//	parent                                  container side
//	clone ─────────────────────────────────▶ waits
//	id maps, cgroups of v1, limits
//	"g" ───────────────────────────────────▶ mounts
//	the hooks of create ◀─────────────── "h"
//	"g" ───────────────────────────────────▶ pivot_root, ids, capabilities; finds the command
//	state.json, pid file ◀────────────── "r" waits for start (plan/start.go)
func (r *Runtime) Create(id string, o CreateOptions) (c *Container, err error) {
	if err := checkID(id); err != nil {
		return nil, err
	}
	if o.Bundle, err = filepath.Abs(o.Bundle); err != nil {
		return nil, err
	}
	text, s, err := readConfig(o.config())
	if err != nil {
		return nil, err
	}
	if err := errors.Join(checkRootless(s), checkConsole(s.Process, o.Console)); err != nil {
		return nil, err
	}
	if err := handDown(s, o.ListenFDs); err != nil {
		return nil, err
	}
	c = &Container{runtime: r, dir: r.dir(id), record: record{
		ID: id, Bundle: o.Bundle, Created: time.Now().UTC(), NoNewKeyring: o.NoNewKeyring,
		Annotations: s.Annotations, Hooks: s.Hooks, Bare: len(s.Process.Args) == 0, NewPID: plan.NewPID(s),
	}}
	if c.Rootfs, err = rootOf(s, o.Bundle); err != nil {
		return nil, err
	}

	held, err := c.makeDirectory()
	if err != nil {
		return nil, err
	}
	defer held.Close()
	made := c                                         // a return sets c to nil before the stack runs
	defer func() { made.devices.namespace.Close() }() // after the stack; it may be nil, and says so
	undo := undoStack{made.undoHooks, func() error { return os.RemoveAll(made.dir) }}
	defer func() {
		if err != nil {
			err = errors.Join(err, undo.run())
		}
	}()
	group, err := r.nameGroup(c, s)
	if err != nil {
		return nil, err
	}
	c.Cgroups, c.Systemd = group.Paths(), group.Unit()
	if err := c.noteMount(s); err != nil {
		return nil, err
	}
	undo.push(made.unmount)
	// All is noted before it is there: whoever ends us from now on leaves nothing that nobody knows of.
	if err := errors.Join(kernel.WriteFile(c.path(configFile), text, 0o600), c.write()); err != nil {
		return nil, err
	}
	if err := makeGroup(r.Door, group, s); err != nil {
		return nil, err
	}
	undo.push(func() error { return group.Remove(r.Door) })
	if err := checkEnd(s, group); err != nil {
		return nil, err
	}

	b, err := c.begin(s, group, o)
	if err != nil {
		return nil, barred(err)
	}
	undo.push(func() error { b.end(); b.close(); return nil })
	undo.push(func() error { return made.devices.back.run() })
	if err := c.finish(b, s, group, o); err != nil {
		return nil, barred(err)
	}
	defer b.close()
	c.Complete = true
	if err := c.write(); err != nil {
		return nil, err
	}
	return c, nil
}

// checkConsole refuses a terminal that nobody would get, and a socket that would get none.
func checkConsole(p *specs.Process, socket *os.File) error {
	if p.Terminal != (socket != nil) {
		return fmt.Errorf("process.terminal: %v: want a console socket with a terminal, and none without", p.Terminal)
	}
	return nil
}

// makeDirectory makes the state directory, of which there can be only one: so two containers cannot have
// one id. It returns the directory's lock.
func (c *Container) makeDirectory() (held *os.File, err error) {
	if err := makePlace(c.runtime.Root); err != nil {
		return nil, err
	}
	err = os.Mkdir(c.dir, 0o700) // whoever reaches start.sock can start the container
	if errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("container %q: %w", c.ID, ErrExist)
	}
	if err != nil {
		return nil, err
	}
	held, err = c.runtime.lock(c.ID)
	if err != nil {
		return nil, errors.Join(err, os.Remove(c.dir))
	}
	return held, nil
}

// nameGroup says where the container's cgroup is to be.
func (r *Runtime) nameGroup(c *Container, s *specs.Spec) (*cgroup.Group, error) {
	layout, own, err := r.cgroups()
	if err != nil {
		return nil, err
	}
	path := kernel.OCIPrefix + c.ID
	if s.Linux != nil && s.Linux.CgroupsPath != "" {
		path = s.Linux.CgroupsPath
	} else if r.Systemd {
		path = "" // systemd has its own way with names
	}
	group, err := cgroup.New(layout, path, c.ID, r.Systemd, own)
	if err != nil {
		return nil, err
	}
	return group, group.Annotate(s.Annotations)
}

// makeGroup makes the container's cgroup, with its limits.
func makeGroup(door *kernel.Door, group *cgroup.Group, s *specs.Spec) error {
	resources := &specs.LinuxResources{}
	if s.Linux != nil && s.Linux.Resources != nil {
		resources = s.Linux.Resources
	}
	return group.Create(door, resources)
}

// begin starts the container side.
func (c *Container) begin(s *specs.Spec, group *cgroup.Group, o CreateOptions) (b *side, err error) {
	h := &handover{}
	defer func() { h.close() }()
	if err := h.addStreams(o.PreserveFDs); err != nil {
		return nil, err
	}
	options := plan.Options{Descriptors: plan.Descriptors{Preserved: o.PreserveFDs}, ListenPID: o.ListenFDs > 0}
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
	listener, err := listen(c.dir)
	if err != nil {
		return nil, err
	}
	options.Start = h.add(h.keep(listener))
	if o.Console != nil {
		options.Console = h.add(o.Console)
	}
	if err := h.openNamespaces(s, &options.Descriptors); err != nil {
		return nil, err
	}
	if err := c.runtime.describe(&options, c, s, group, o); err != nil {
		return nil, err
	}
	if err := h.addSources(c.runtime.Door, s, &options); err != nil {
		return nil, err
	}
	options.First, options.Cgroups = len(h.files), group.Apart()
	list, err := plan.Create(s, options)
	if err != nil {
		return nil, err
	}
	c.runtime.warn(list.Warnings)
	c.Late = late(list)
	command := &executor.Command{List: list, Name: "container " + c.ID, Cloneflags: plan.CloneFlags(s)}
	return c.runtime.launchIn(group, command, h, ours)
}

// equip does to a new container side what only the parent can do.
func (c *Container) equip(b *side, s *specs.Spec, group *cgroup.Group, o CreateOptions) error {
	r := c.runtime
	if err := group.Add(r.Door, b.Pid, b.born, true); err != nil {
		return err
	}
	c.Cgroups, c.Systemd = group.Paths(), group.Unit() // systemd has chosen the place only now
	if err := r.delegate(s, group); err != nil {
		return err
	}
	if err := r.prepare(b.Pid, s, s.Process, plan.NewUser(s)); err != nil {
		return err
	}
	if err := c.moveDevices(b.Pid, s); err != nil {
		return err
	}
	if group.None() { // then nobody would find the process but by its pid
		if err := c.settle(b.Pid); err != nil {
			return err
		}
	}
	b.explain(r.Door.Explain, firstMessage(s))
	if err := send(b.sync, plan.Go); err != nil {
		return err
	}
	if o.ListenFDs > 0 {
		if err := b.sendPID(); err != nil {
			return err
		}
	}
	// While it works: should we be ended before that, it ends at its first message, or delete ends it (awaitEmpty).
	return c.settle(b.Pid)
}

// finish takes the container side from its first moment to where it waits for start.
func (c *Container) finish(b *side, s *specs.Spec, group *cgroup.Group, o CreateOptions) error {
	if err := b.replace(); err != nil {
		return err
	}
	if err := c.equip(b, s, group, o); err != nil {
		return b.reason(err)
	}
	for {
		message, sent, err := receiveSent(b.sync, b.list)
		if err != nil {
			return b.report(err)
		}
		switch message {
		case plan.Hooks:
			if err := c.settle(b.Pid); err != nil {
				return err
			}
			if err := c.createHooks(sent); err != nil {
				return err
			}
			b.explain(c.runtime.Door.Explain, plan.Ready)
			if err := send(b.sync, plan.Go); err != nil {
				return b.reason(err)
			}
		case plan.Ready:
			if err := c.settle(b.Pid); err != nil {
				return err
			}
			return c.announce(b, o)
		default:
			return fmt.Errorf("the container side says %q", message)
		}
	}
}

// firstMessage is what the container side sends first, if all is well.
func firstMessage(s *specs.Spec) string {
	if plan.WantsHooks(s) {
		return plan.Hooks
	}
	return plan.Ready
}

// settle records which process is the container's.
func (c *Container) settle(pid int) error {
	if c.Pid == pid {
		return nil
	}
	stat, err := kernel.Stat(pid)
	if err != nil {
		return fmt.Errorf("process %d: %w", pid, err)
	}
	c.Pid, c.Born = pid, stat.Start
	return c.write()
}

// announce tells the caller of the process.
func (c *Container) announce(b *side, o CreateOptions) error {
	if o.PidfdSocket != "" {
		if err := sendPidfd(o.PidfdSocket, b.Pidfd); err != nil {
			return err
		}
	}
	if o.PidFile == "" {
		return nil
	}
	if err := writeFile(o.PidFile, []byte(strconv.Itoa(b.Pid)), 0o644); err != nil {
		return fmt.Errorf("--pid-file: %w", err)
	}
	return nil
}

// undoStack are the opposites of what has been done so far.
type undoStack []func() error

func (u *undoStack) push(f func() error) { *u = append(*u, f) }

// run undoes everything, the last first.
func (u undoStack) run() (err error) {
	for i := len(u) - 1; i >= 0; i-- {
		err = errors.Join(err, u[i]())
	}
	return err
}
