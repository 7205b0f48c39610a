//go:build linux

package runtime

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/cgroup"
	"github.com/simple-container/simple-container/final/internal/executor"
	"github.com/simple-container/simple-container/final/internal/kernel"
	"github.com/simple-container/simple-container/final/internal/plan"
	"github.com/simple-container/simple-container/final/internal/rootfs"
)

// handover is what a container side gets: files that have a number there, and namespaces that the thread
// which clones it is in.
type handover struct {
	files []*os.File // the number is the index
	joins []join
	opened
}

// opened are files to be closed when the container side has them.
type opened []*os.File

func (o *opened) keep(file *os.File) *os.File {
	*o = append(*o, file)
	return file
}

func (o opened) close() {
	for _, file := range o {
		file.Close()
	}
}

// add hands a file over and returns its number.
func (h *handover) add(file *os.File) (number int) {
	h.files = append(h.files, file)
	return len(h.files) - 1
}

// standard are the streams that a container side gets: ours, whatever our caller has made them.
func standard() [3]*os.File { return [...]*os.File{os.Stdin, os.Stdout, os.Stderr} }

// addStreams hands over the standard streams and those of the caller's descriptors that are to be preserved.
func (h *handover) addStreams(preserved int) error {
	for _, file := range standard() {
		h.add(file)
	}
	for fd := 3; fd < 3+preserved; fd++ {
		// A copy, for us to close: the original is our caller's, and its number perhaps that of a file of ours.
		own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3+preserved)
		if err != nil {
			return fmt.Errorf("--preserve-fds %d: descriptor %d: %w", preserved, fd, err)
		}
		h.add(h.keep(os.NewFile(uintptr(own), "preserved")))
	}
	return nil
}

// A join is a namespace to be joined before the clone.
type join struct {
	index int // in linux.namespaces
	file  *os.File
	kind  plan.Kind
}

// openNamespaces opens the namespaces that the spec gives by path, and sorts them: most a thread of ours can
// join before the clone; the others are handed over.
func (h *handover) openNamespaces(s *specs.Spec, d *plan.Descriptors) error {
	if s.Linux == nil {
		return nil
	}
	for i, n := range s.Linux.Namespaces {
		if n.Path == "" {
			continue
		}
		kind, ok := plan.KindOf(n.Type)
		if !ok {
			return fmt.Errorf("linux.namespaces[%d].type: %q: unknown", i, n.Type)
		}
		file, err := openNamespace(n.Path, kind)
		if err != nil {
			return fmt.Errorf("linux.namespaces[%d].path: %w", i, err)
		}
		h.keep(file)
		if n.Type == specs.MountNamespace {
			if same, err := sameFile(n.Path, "/proc/thread-self/ns/mnt"); err != nil || same {
				own := fmt.Errorf("linux.namespaces[%d].path: %s: it is the runtime's own, which would get another root", i, n.Path)
				return errors.Join(err, own)
			}
		}
		if plan.JoinedInside(s, n.Type, rootless()) {
			d.Join(n.Type, h.add(file))
		} else {
			h.joins = append(h.joins, join{i, file, kind})
		}
	}
	return nil
}

// checkChanges refuses what the container would set for us: a namespace that the spec gives by path may be our
// own, the host's.
func checkChanges(s *specs.Spec) error {
	foreign := *s
	if s.Linux != nil {
		linux := *s.Linux
		linux.Namespaces = slices.DeleteFunc(slices.Clone(linux.Namespaces), func(n specs.LinuxNamespace) bool {
			kind, _ := plan.KindOf(n.Type)
			same, err := sameFile(n.Path, "/proc/thread-self/ns/"+kind.File)
			return n.Path != "" && err == nil && same // what cannot be looked at cannot be joined
		})
		foreign.Linux = &linux
	}
	return plan.ValidateChanges(&foreign)
}

// openNamespace opens a namespace's file and makes sure that it is one, of the kind that is wanted.
func openNamespace(path string, kind plan.Kind) (*os.File, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	file := os.NewFile(uintptr(fd), path)
	if found, ok := kindOf(file); !ok || found.Flag != kind.Flag {
		file.Close()
		return nil, fmt.Errorf("%s: not a %s namespace", path, kind.Type)
	}
	return file, nil
}

// addSources hands over the mounts that only the parent can prepare.
func (h *handover) addSources(door *kernel.Door, s *specs.Spec, o *plan.Options) error {
	var user *os.File
	if number := o.Joins[specs.UserNamespace]; number != 0 {
		user = h.files[number]
	}
	files, err := rootfs.Sources(door, s, o.Rootfs, user)
	if err != nil {
		return err
	}
	o.Rootfs.Sources = map[int]int{}
	for _, i := range slices.Sorted(maps.Keys(files)) {
		o.Rootfs.Sources[i] = h.add(h.keep(files[i]))
	}
	o.Rootfs.Spare = len(h.files) + 40 // beyond all that the container side opens, and within a small RLIMIT_NOFILE
	return nil
}

// inGo tells which executor carries the lists out: the one in Go, if that is asked for or the stub cannot be. A
// list must be for its executor (plan.Options.Threads, NoFile): once it is made, there is no changing over.
func (r *Runtime) inGo() bool { return r.Reexec || !executor.StubWorks() }

// launch starts a container side.
func (r *Runtime) launch(c *executor.Command, h *handover) (process *executor.Process, err error) {
	c.Files, c.Reexec = h.files, r.inGo()
	if r.edit != nil {
		r.edit(c.List)
	}
	start := func() error {
		what := kernel.Call{
			Op: "clone", Object: c.Name, Value: plan.FlagNames(c.Cloneflags), Shell: plan.UnshareCommand(c.Cloneflags),
		}
		return r.Door.Do(what, func() (err error) {
			process, err = c.Start()
			return err
		})
	}
	if len(h.joins) == 0 {
		return process, start()
	}
	err = kernel.OnThread(func() error {
		for _, j := range h.joins {
			what := kernel.Call{
				Op: "setns", Object: j.file.Name(), Value: string(j.kind.Type),
				Shell: "nsenter --" + j.kind.File + "=" + j.file.Name(),
			}
			err := r.Door.Do(what, func() error { return unix.Setns(int(j.file.Fd()), int(j.kind.Flag)) })
			if err != nil {
				return fmt.Errorf("linux.namespaces[%d].path: %w", j.index, err)
			}
		}
		return start()
	})
	return process, err
}

// launchIn starts a container side in a cgroup of v2, if there is one. sync is our end of the wire to it.
func (r *Runtime) launchIn(group *cgroup.Group, c *executor.Command, h *handover, sync *os.File) (b *side, err error) {
	if c.Cgroup, err = group.Dir(); err != nil {
		return nil, err
	}
	if c.Cgroup != nil {
		h.keep(c.Cgroup)
	}
	process, err := r.launch(c, h)
	if err != nil {
		return nil, err
	}
	return &side{Process: process, list: c.List, sync: sync, born: c.Cgroup != nil}, nil
}

// report is the side's error in words, if it has one: what it sent last, or how it ended.
func (s *side) report(err error) error {
	if errors.Is(err, errEnded) {
		return s.why(s.end())
	}
	s.end()
	return err
}

// reason is why something that was to be done to a container side failed: if it has ended meanwhile, that is
// the reason, and it may have reported its own.
func (s *side) reason(err error) error {
	_, _, reported := receiveNow(s.sync, s.list, unix.MSG_DONTWAIT)
	if reported == nil || errors.Is(reported, unix.EAGAIN) {
		return err
	}
	return s.report(reported)
}
