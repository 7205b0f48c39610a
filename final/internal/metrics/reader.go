//go:build linux

package metrics

import (
	"errors"
	"fmt"
	"runtime"
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
// files stay open, as many as half of what this process may have, and each is read in one call; on all
// processors, since most of the time is the kernel's. The zero Reader is ready for use, from several goroutines.
type Reader struct {
	mu     sync.Mutex
	lanes  []lane
	meters map[string]*meter // by ID
	next   int               // the lane for the next container
}

// A lane is what only one can read with at a time.
type lane struct {
	keep  cgroup.Keeper
	proc  cgroup.Keeper // keeps nothing, but has a buffer
	disks disks
}

// A meter is what is remembered of a container between reads.
type meter struct {
	target  Target
	lane    *lane
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
	seen := make(map[string]bool, len(targets))
	meters := make([]*meter, 0, len(targets))
	for _, t := range targets {
		if !t.Stopped() && !seen[t.ID] {
			seen[t.ID] = true
			meters = append(meters, r.meter(t))
		}
	}
	samples, errs := make([]Sample, len(meters)), make([]error, len(meters))
	var work sync.WaitGroup
	for i := range r.lanes {
		work.Go(func() {
			for j, m := range meters {
				if m.lane == &r.lanes[i] {
					samples[j].Target = m.target
					samples[j].Figures, errs[j] = m.read()
				}
			}
		})
	}
	work.Wait()
	there := samples[:0]
	for j, sample := range samples {
		if errors.Is(errs[j], ErrGone) {
			errs[j], seen[sample.ID] = nil, false
		} else {
			there = append(there, sample)
		}
	}
	for id := range r.meters {
		if !seen[id] {
			r.forget(id)
		}
	}
	return there, errors.Join(errs...)
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

func (r *Reader) read(t Target) (Figures, error) {
	f, err := r.meter(t).read()
	if errors.Is(err, ErrGone) {
		r.forget(t.ID)
	}
	return f, err
}

// meter finds what is known of a container, or begins anew.
func (r *Reader) meter(t Target) *meter {
	if r.meters == nil {
		r.begin()
	}
	m := r.meters[t.ID]
	if m == nil || !m.target.same(t) {
		r.forget(t.ID)
		m = &meter{lane: &r.lanes[r.next%len(r.lanes)], group: cgroup.Load(t.Cgroups, ""), started: t.Created}
		r.meters[t.ID] = m
		r.next++
	}
	m.target = t // what does not matter to what is open may have changed
	return m
}

func (r *Reader) begin() {
	r.meters, r.lanes = map[string]*meter{}, make([]lane, min(runtime.GOMAXPROCS(0), 8))
	var files unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &files) != nil {
		files.Cur = 0
	}
	for i := range r.lanes {
		r.lanes[i].disks = disks{}
		r.lanes[i].keep.Most = int(min(files.Cur/2, 1<<20)) / len(r.lanes)
	}
}

func (m *meter) read() (f Figures, err error) {
	keep, ok := &m.lane.keep, false
	if m.pids, ok = processes(m.group, keep, m.pids[:0]); !ok {
		return Figures{}, fmt.Errorf("container %q: %w", m.target.ID, ErrGone)
	}
	m.see()
	f = Figures{Time: time.Now(), Started: m.started}
	f.CPU.read(m.group, keep)
	f.Memory.read(m.group, keep)
	f.Pids.read(m.group, keep, m.pids)
	f.IO = m.lane.disks.read(m.group, keep)
	f.Network = m.network()
	f.Pressure.read(m.group, keep)
	f.Paused = paused(m.group, keep)
	return f, m.errors()
}

// errors are those of the group's files, in any tree.
func (m *meter) errors() error {
	var errs []error
	for _, name := range []string{"", "cpu", "cpuacct", "memory", "pids", "io", "blkio", "freezer"} {
		errs = append(errs, m.group.Files(name, &m.lane.keep).Err())
	}
	return errors.Join(errs...)
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
func (m *meter) network() []Interface {
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
	text, err := m.lane.proc.ReadFrom(fd)
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
