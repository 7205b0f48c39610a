//go:build linux

package metrics

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/cgroup"
	"github.com/simple-container/simple-container/final/internal/kernel"
)

// ErrGone is the error of a container that has no cgroup any more.
var ErrGone = errors.New("container is gone")

// A Reader reads the figures of containers, the same ones again and again, as cheaply as can be: their cgroup
// files stay open, as many as half of what this process may have, and each is read in one call. The zero
// Reader is ready for use, from several goroutines.
type Reader struct {
	mu     sync.Mutex
	keep   cgroup.Keeper
	meters map[string]*meter // by ID
	disks  disks
	proc   cgroup.Keeper // keeps nothing, but has a buffer
}

// A meter is what is remembered of a container between reads.
type meter struct {
	target  Target
	group   *cgroup.Group
	started time.Time
	pid     int  // its network is this process's
	host    bool // and is the host's
	pids    []int

	links func() []Interface // in place of the network's; for tests
}

// A Sample is a container and its figures.
type Sample struct {
	Target
	Figures Figures `json:"figures"`
}

// Read reads the figures of one container, once.
func Read(t Target) (Figures, error) {
	r := &Reader{}
	defer r.Close()
	return r.Read(t)
}

// Read reads the figures of a container. One that is gone is ErrGone.
func (r *Reader) Read(t Target) (Figures, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.read(t)
}

// All reads the figures of containers, and forgets those that are not among them. Those that are gone, or go
// meanwhile, or are stopped, are left out. What else goes wrong with some does not keep the others from being
// returned.
func (r *Reader) All(targets []Target) (samples []Sample, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	samples = make([]Sample, 0, len(targets))
	seen := make(map[string]bool, len(targets))
	var errs []error
	for _, t := range targets {
		if t.Stopped() || seen[t.ID] {
			continue
		}
		figures, err := r.read(t)
		if errors.Is(err, ErrGone) {
			continue
		}
		if err != nil {
			errs = append(errs, err)
		}
		seen[t.ID] = true
		samples = append(samples, Sample{t, figures})
	}
	for id := range r.meters {
		if !seen[id] {
			r.forget(id)
		}
	}
	return samples, errors.Join(errs...)
}

// Close closes the files that are open.
func (r *Reader) Close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id := range r.meters {
		r.forget(id)
	}
}

// Forget closes the files of a container that nobody will ask about again.
func (r *Reader) Forget(t Target) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forget(t.ID)
}

func (r *Reader) forget(id string) {
	if m := r.meters[id]; m != nil {
		m.group.CloseFiles()
		delete(r.meters, id)
	}
}

func (r *Reader) read(t Target) (f Figures, err error) {
	m := r.meter(t)
	var ok bool
	if m.pids, ok = processes(m.group, &r.keep, m.pids[:0]); !ok {
		r.forget(t.ID)
		return Figures{}, fmt.Errorf("container %q: %w", t.ID, ErrGone)
	}
	m.see()
	f = Figures{Time: time.Now(), Started: m.started}
	f.CPU.read(m.group, &r.keep)
	f.Memory.read(m.group, &r.keep)
	f.Pids.read(m.group, &r.keep, m.pids)
	f.IO = r.disks.read(m.group, &r.keep)
	f.Network = r.network(m)
	f.Pressure.read(m.group, &r.keep)
	f.Paused = paused(m.group, &r.keep)
	return f, r.errors(m.group)
}

// errors are those of the group's files, in any tree.
func (r *Reader) errors(g *cgroup.Group) error {
	var errs []error
	for _, name := range []string{"", "cpu", "cpuacct", "memory", "pids", "io", "blkio", "freezer"} {
		errs = append(errs, g.Files(name, &r.keep).Err())
	}
	return errors.Join(errs...)
}

// meter finds what is known of a container, or begins anew.
func (r *Reader) meter(t Target) *meter {
	if r.meters == nil {
		r.meters, r.disks = map[string]*meter{}, disks{}
		var files unix.Rlimit
		if unix.Getrlimit(unix.RLIMIT_NOFILE, &files) == nil {
			r.keep.Most = int(min(files.Cur/2, 1<<20))
		}
	}
	m := r.meters[t.ID]
	if m == nil || !m.target.same(t) {
		r.forget(t.ID)
		m = &meter{target: t, group: cgroup.Load(t.Cgroups, ""), started: t.Created}
		r.meters[t.ID] = m
	}
	return m
}

// see finds out what does not change as long as a process lives.
func (m *meter) see() {
	pid := m.target.Pid
	if pid == 0 && len(m.pids) > 0 {
		pid = m.pids[0]
		if slices.Contains(m.pids, m.pid) {
			pid = m.pid
		}
	}
	if pid == m.pid {
		return
	}
	m.pid, m.host = pid, hostNetwork(pid)
	if m.started.IsZero() {
		m.started = began(pid)
	}
}

// network reads the links of the container's network namespace; none if that is the host's, or if the process
// has ended.
func (r *Reader) network(m *meter) []Interface {
	if m.links != nil {
		return m.links()
	}
	if m.pid == 0 || m.host {
		return nil
	}
	fd, err := unix.Open("/proc/"+strconv.Itoa(m.pid)+"/net/dev", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	defer unix.Close(fd)
	text, err := r.proc.ReadFrom(fd)
	if err != nil {
		return nil
	}
	return parseNetwork(text)
}

// began is when a process did, zero if it is gone.
func began(pid int) time.Time {
	stat, err := kernel.Stat(pid)
	if err != nil {
		return time.Time{}
	}
	var up unix.Timespec // since the machine's start, sleep included, as the process's time is
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &up) != nil {
		return time.Time{}
	}
	const hz = 100 // USER_HZ
	since := time.Duration(up.Nano()) - time.Duration(stat.Start)*(time.Second/hz)
	return time.Now().Add(-since).Round(time.Second / hz)
}

// paused tells whether the group is frozen: by the controller of v1 where that is mounted, as package cgroup
// does it.
func paused(g *cgroup.Group, keep *cgroup.Keeper) (frozen bool) {
	if f := g.Files("freezer", keep); f != nil && f.Version == 1 {
		text, _ := f.Read("freezer.state") // THAWED, FREEZING, FROZEN
		return len(text) > 0 && text[0] == 'F'
	}
	g.Files("", keep).Keyed("cgroup.events", func(key []byte, n uint64) {
		frozen = frozen || string(key) == "frozen" && n == 1
	})
	return frozen
}
