//go:build linux

package metrics

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/cgroup"
	"github.com/simple-container/simple-container/final/internal/kernel"
)

// An Action is what happened to a container.
type Action string

const (
	Create     Action = "create"
	Start      Action = "start"
	Pause      Action = "pause"
	Unpause    Action = "unpause"
	Exit       Action = "exit"        // its first process has ended
	Destroy    Action = "destroy"     // and the container is gone
	OOM        Action = "oom"         // processes were killed, because memory was at its limit
	MemoryMax  Action = "memory.max"  // memory was at its limit, and some could be taken back
	MemoryHigh Action = "memory.high" // memory was above what is wished, and processes were slowed down
	PidsMax    Action = "pids.max"    // the limit of threads has forbidden a fork
)

// An Event is something that happened to a container.
type Event struct {
	Time   time.Time `json:"time"` // when it was noticed
	Action Action    `json:"action"`
	ID     string    `json:"id"`
	Name   string    `json:"name"`
	Image  string    `json:"image,omitempty"`
	Count  uint64    `json:"count,omitempty"`  // how often since the last such event
	Code   *int      `json:"code,omitempty"`   // of exit, if the kernel told
	Signal string    `json:"signal,omitempty"` // that ended the process
}

// A Watcher tells what happens to containers, as it happens. It is told of a change by the kernel where that
// can be: of states by inotify(7) on the runtime's directory, of the end of a process by its pidfd, of a lack of
// memory by the cgroup. Counts are looked at each interval besides, and when a process ends; since they only
// grow, no limit that was hit is missed.
type Watcher struct {
	Targets  func() ([]Target, error)
	Dir      string            // of the runtime's states, a directory for each container; may be missing
	Interval time.Duration     // between looks; half a second if 0
	ExitCode func(Target) *int // knows codes that the kernel does not tell; may be nil
	Tell     func(Event) error // its error ends the watch

	reader  Reader
	known   map[string]*watched // by ID
	look    chan struct{}       // asks for a look
	ended   chan ending
	inotify *os.File // nil without
}

// watched is what is known of a container.
type watched struct {
	target Target
	last   Figures
	read   bool               // last is there
	old    bool               // it was there before the watch
	pid    int                // of the first process; its end is awaited
	began  bool               // its start was told
	exited bool               // and its end
	gone   bool               // and all that is missing is the end of its process
	stop   context.CancelFunc // ends those who wait for its events
}

// Run tells what happens from now on, until the context is done or Tell fails. What is there already when it
// begins has happened before.
func (w *Watcher) Run(ctx context.Context) error {
	defer w.reader.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w.known, w.look, w.ended = map[string]*watched{}, make(chan struct{}, 1), make(chan ending)
	if err := w.watchDir(ctx); err != nil {
		return err
	}
	interval := w.Interval
	if interval <= 0 {
		interval = 500 * time.Millisecond
	}
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for first := true; ; first = false {
		if err := w.see(ctx, first); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		case <-w.look:
		case e := <-w.ended:
			if err := w.exit(e); err != nil {
				return err
			}
		}
	}
}

// see looks at all containers and tells what is different. In the first look nothing is, and only after it do we have
// the kernel tell us of changes: whoever sees that it does can be sure that what comes then is news.
func (w *Watcher) see(ctx context.Context, first bool) error {
	if first {
		w.ask() // what has changed until we are told of it is seen by the next look
	} else {
		w.watchStates() // first: what changes after the list was made brings us here again
	}
	targets, err := w.Targets()
	if err != nil {
		return err
	}
	there := map[string]bool{}
	for _, t := range targets {
		there[t.ID] = true
		if err := w.seeOne(ctx, t, first); err != nil {
			return err
		}
	}
	for id, k := range w.known {
		if there[id] {
			continue
		}
		k.gone = true
		if k.exited || k.pid == 0 {
			if err := w.destroy(k); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *Watcher) destroy(k *watched) error {
	k.stop()
	w.reader.Forget(k.target)
	delete(w.known, k.target.ID)
	return w.tell(k.target, Event{Action: Destroy})
}

func (w *Watcher) seeOne(ctx context.Context, t Target, first bool) error {
	if t.Status == "" {
		t.Status = "running"
	}
	k := w.known[t.ID]
	fresh := k == nil
	if !fresh && t.Name == t.ID { // who knows the name may forget it before the container is gone
		t.Name, t.Image = k.target.Name, k.target.Image
	}
	if fresh {
		k = &watched{target: t, old: first, stop: func() {}}
		k.began, k.exited = first && t.Status != "created", first && t.Stopped()
		w.known[t.ID] = k
	}
	before := k.target
	if fresh && !first {
		before = Target{}
		if err := w.tell(t, Event{Action: Create}); err != nil {
			return err
		}
	}
	if t.Pid > 0 && t.Pid != k.pid {
		if k.pid > 0 { // the next one of this name
			if err := w.exit(ending{id: t.ID, pid: k.pid}); err != nil {
				return err
			}
			k.began = false
		}
		k.stop()
		k.pid, k.exited, k.read = t.Pid, false, false
		w.wait(ctx, k, t)
	}
	k.target, k.gone = t, false
	if !fresh || !first {
		if err := w.states(k, before); err != nil {
			return err
		}
	}
	if t.Stopped() {
		return nil
	}
	return w.counts(k)
}

// start tells the start of a container, once.
func (w *Watcher) start(k *watched) error {
	if k.began {
		return nil
	}
	k.began = true
	return w.tell(k.target, Event{Action: Start})
}

// states tells what the status says.
func (w *Watcher) states(k *watched, before Target) error {
	t := k.target
	if !t.Stopped() && t.Status != "created" {
		if err := w.start(k); err != nil {
			return err
		}
	}
	switch {
	case t.Status == "paused" && before.Status != "paused":
		return w.tell(t, Event{Action: Pause})
	case before.Status == "paused" && t.Status == "running":
		return w.tell(t, Event{Action: Unpause})
	case t.Stopped() && !k.exited && k.pid == 0: // who had a pid is waited for
		return w.exit(ending{id: t.ID})
	}
	return nil
}

// counts tells which counts have grown.
func (w *Watcher) counts(k *watched) error {
	figures, err := w.reader.Read(k.target)
	if errors.Is(err, ErrGone) {
		return nil
	}
	if err != nil {
		return err
	}
	last := k.last
	if !k.read && k.old { // what was before is no news
		last = figures
	}
	k.last, k.read, k.old = figures, true, false
	e, b := figures.Memory.Events, last.Memory.Events
	for _, row := range []struct {
		action      Action
		now, before uint64
	}{
		{PidsMax, figures.Pids.Refused, last.Pids.Refused},
		{MemoryHigh, e.High, b.High},
		{MemoryMax, e.Max, b.Max},
		{OOM, e.OOMKill, b.OOMKill},
	} {
		if row.now > row.before {
			if err := w.tell(k.target, Event{Action: row.action, Count: row.now - row.before}); err != nil {
				return err
			}
		}
	}
	return nil
}

// exit tells the end of a first process, once, after what its limits have counted.
func (w *Watcher) exit(e ending) error {
	k := w.known[e.id]
	if k == nil || k.exited || e.pid != k.pid {
		return nil
	}
	k.exited = true
	if err := w.counts(k); err != nil {
		return err
	}
	event := Event{Action: Exit}
	if e.known {
		event.Code, event.Signal = e.code()
		if event.Signal == "" { // it has ended by itself, so it was started, if only between two looks
			if err := w.start(k); err != nil {
				return err
			}
		}
	} else if w.ExitCode != nil {
		event.Code = w.ExitCode(k.target)
	}
	if err := w.tell(k.target, event); err != nil || !k.gone {
		return err
	}
	return w.destroy(k)
}

func (w *Watcher) tell(t Target, e Event) error {
	e.Time, e.ID, e.Name, e.Image = time.Now(), t.ID, t.Name, t.Image
	return w.Tell(e)
}

// wait has the loop look when memory is short, and told when the first process ends.
func (w *Watcher) wait(ctx context.Context, k *watched, t Target) {
	ctx, k.stop = context.WithCancel(ctx)
	go func() {
		// Where it cannot be watched, its counts are looked at all the same.
		_ = cgroup.Load(t.Cgroups, "").OOM(ctx, &kernel.Door{}, w.ask)
	}()
	fd, err := unix.PidfdOpen(t.Pid, 0)
	if err != nil {
		fd = -1 // it has just ended, and the next look will say so
	}
	go func() {
		e := awaitEnd(ctx, fd, t)
		select {
		case w.ended <- e:
		case <-ctx.Done():
		}
	}()
}

// ask has the loop look soon.
func (w *Watcher) ask() {
	select {
	case w.look <- struct{}{}:
	default: // it will anyway
	}
}

const stateChanges = unix.IN_CREATE | unix.IN_DELETE | unix.IN_MOVED_TO | unix.IN_ONLYDIR

// watchDir has the loop look when the runtime's directory, or what watchStates adds, changes.
func (w *Watcher) watchDir(ctx context.Context) error {
	if w.Dir == "" {
		return nil
	}
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return fmt.Errorf("inotify_init1: %w", err)
	}
	w.inotify = os.NewFile(uintptr(fd), "inotify")
	context.AfterFunc(ctx, func() { _ = w.inotify.Close() })
	go func() {
		buf := make([]byte, 4096)
		for {
			if _, err := w.inotify.Read(buf); err != nil {
				return // it was closed
			}
			w.ask()
		}
	}()
	return nil
}

// watchStates watches the directory, and that of each container in it: a state is a file that is replaced. To
// watch again what is watched already changes nothing.
func (w *Watcher) watchStates() {
	if w.inotify == nil {
		return
	}
	raw, err := w.inotify.SyscallConn()
	if err != nil {
		return // it is closed: this is the end
	}
	_ = raw.Control(func(fd uintptr) {
		// What is not there yet, or gone already, is found by the next look.
		for dir := w.Dir; ; dir = filepath.Dir(dir) { // or what it will be made in
			_, err := unix.InotifyAddWatch(int(fd), dir, stateChanges)
			if err == nil || dir == filepath.Dir(dir) {
				break
			}
		}
		entries, _ := os.ReadDir(w.Dir)
		for _, entry := range entries {
			_, _ = unix.InotifyAddWatch(int(fd), filepath.Join(w.Dir, entry.Name()), stateChanges)
		}
	})
}
