//go:build linux

package metrics

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// A stage has containers that a test puts on it and takes off.
type stage struct {
	sync.Mutex
	targets []Target
	events  []Event
}

func (s *stage) put(targets ...Target) {
	s.Lock()
	defer s.Unlock()
	s.targets = targets
}

func (s *stage) list() ([]Target, error) {
	s.Lock()
	defer s.Unlock()
	return slices.Clone(s.targets), nil
}

// text is the events so far: "create start exit(3) destroy".
func (s *stage) text() string {
	s.Lock()
	defer s.Unlock()
	var words []string
	for _, e := range s.events {
		word := string(e.Action)
		if e.Code != nil {
			word += fmt.Sprintf("(%d%s)", *e.Code, e.Signal)
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

func (s *stage) until(t *testing.T, want string) {
	t.Helper()
	for end := time.Now().Add(deadline); s.text() != want; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("events: got %q, want %q", s.text(), want)
		}
	}
}

// watch begins to watch a stage, and has the test wait for the end of it.
func watch(t *testing.T, s *stage, dir string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended, looked := make(chan error, 1), make(chan bool)
	w := &Watcher{Dir: dir, Interval: 20 * time.Millisecond}
	var once sync.Once
	w.Targets = func() ([]Target, error) {
		targets, err := s.list()
		once.Do(func() { close(looked) })
		return targets, err
	}
	w.Tell = func(e Event) error {
		s.Lock()
		defer s.Unlock()
		s.events = append(s.events, e)
		return nil
	}
	go func() { ended <- w.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	<-looked
}

func with(t Target, status string) Target {
	t.Status = status
	if t.Stopped() {
		t.Pid = 0
	}
	return t
}

// The life of a container, with the code that its process ended with.
func TestWatchLife(t *testing.T) {
	s := &stage{}
	g := newGroup(t, "life", nil)
	watch(t, s, t.TempDir())
	cmd := spawn(t, g, 0, "sleep", "1000")
	c := target(g, "life", cmd.Process.Pid)
	s.put(with(c, "created"))
	s.until(t, "create")
	s.put(with(c, "running"))
	s.until(t, "create start")
	s.put(with(c, "paused"))
	s.until(t, "create start pause")
	s.put(with(c, "running"))
	s.until(t, "create start pause unpause")
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	s.until(t, "create start pause unpause exit(137SIGKILL)") // we have not asked for it: it is a zombie
	s.put(with(c, "stopped"))
	s.put()
	s.until(t, "create start pause unpause exit(137SIGKILL) destroy")
	if e := s.events[0]; e.ID != "life" || e.Name != "life" || time.Since(e.Time) > time.Hour {
		t.Errorf("got %+v", e)
	}
}

// What is there before the watch is no news, but its end is; and one that vanishes before its end was seen has
// ended first.
func TestWatchWhatIsThere(t *testing.T) {
	s := &stage{}
	g := newGroup(t, "there", nil)
	cmd := spawn(t, g, 0, "sh", "-c", "read x < /dev/zero; exit 3")
	c := with(target(g, "there", cmd.Process.Pid), "running")
	s.put(c, Target{ID: "old", Status: "stopped"})
	watch(t, s, "")
	s.put(c) // the old one goes
	s.until(t, "destroy")
	s.put()
	_ = cmd.Process.Kill()
	s.until(t, "destroy exit(137SIGKILL) destroy")
}

// A container that is gone before anybody has seen it run.
func TestWatchShortLife(t *testing.T) {
	s := &stage{}
	watch(t, s, "")
	s.put(Target{ID: "short", Status: "stopped"})
	s.until(t, "create exit")
	s.put()
	s.until(t, "create exit destroy")
}

// A process that ends by itself was started, even if nobody saw it.
func TestWatchUnseenStart(t *testing.T) {
	s := &stage{}
	g := newGroup(t, "unseen", nil)
	watch(t, s, "")
	cmd := spawn(t, g, 0, "sh", "-c", "while ! test -e "+t.TempDir()+"/go; do sleep 0.01; done; exit 3")
	s.put(with(target(g, "unseen", cmd.Process.Pid), "created"))
	s.until(t, "create")
	script := cmd.Args[len(cmd.Args)-1]
	file := strings.TrimSuffix(strings.TrimPrefix(script, "while ! test -e "), "; do sleep 0.01; done; exit 3")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s.until(t, "create start exit(3)")
}

// A change of the runtime's directory is looked at before the interval is over, also in that of a container.
func TestWatchDirectory(t *testing.T) {
	dir := t.TempDir()
	s := &stage{}
	looks := make(chan bool, 100)
	w := &Watcher{Dir: dir, Interval: time.Hour, Tell: func(Event) error { return nil }}
	w.Targets = func() ([]Target, error) { looks <- true; return s.list() }
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	<-looks // at what is there already
	<-looks // and since it is told of changes
	for _, change := range []func() error{
		func() error { return os.Mkdir(dir+"/web", 0o700) },
		func() error { return os.WriteFile(dir+"/web/state.json", nil, 0o600) },
		func() error { return os.Rename(dir+"/web/state.json", dir+"/web/other") },
		func() error { return os.RemoveAll(dir + "/web") },
	} {
		if err := change(); err != nil {
			t.Fatal(err)
		}
		select {
		case <-looks:
		case <-time.After(deadline):
			t.Fatal("nobody looked")
		}
		time.Sleep(50 * time.Millisecond) // one change may be several events
		for len(looks) > 0 {
			<-looks
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestWatchEndsWithTell(t *testing.T) {
	stop := errors.New("enough")
	calls := 0
	w := &Watcher{Interval: time.Millisecond, Tell: func(Event) error { return stop }}
	w.Targets = func() ([]Target, error) {
		if calls++; calls == 1 {
			return nil, nil
		}
		return []Target{{ID: "web", Status: "stopped"}}, nil
	}
	if err := w.Run(t.Context()); !errors.Is(err, stop) {
		t.Errorf("got %v", err)
	}
}

func (s *stage) has(action Action) bool {
	s.Lock()
	defer s.Unlock()
	return slices.ContainsFunc(s.events, func(e Event) bool { return e.Action == action && e.Count > 0 })
}

// A fork that the limit forbids.
func TestWatchPids(t *testing.T) {
	limit := int64(6)
	g := newGroup(t, "pids", &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: &limit}})
	s := &stage{}
	watch(t, s, "")
	script := "(for i in 1 2 3 4 5 6 7 8; do sleep 1000 & done) 2> /dev/null; exec sleep 1000"
	cmd := spawn(t, g, 0, "sh", "-c", script)
	s.put(with(target(g, "pids", cmd.Process.Pid), "running"))
	until(t, "pids.max", func() bool { return s.has(PidsMax) })
}

// A process that needs more memory than there is meets the limit, and is killed; then its end is told.
func TestWatchMemory(t *testing.T) {
	limit := int64(24 << 20)
	g := newGroup(t, "memory", &specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: &limit, Swap: &limit}})
	s := &stage{}
	watch(t, s, "")
	cmd := spawn(t, g, 0, os.Args[0], "-test.run=^TestUse$", "eat", "64")
	s.put(with(target(g, "memory", cmd.Process.Pid), "running"))
	until(t, "exit", func() bool { return strings.HasSuffix(s.text(), "exit(137SIGKILL)") })
	if !s.has(OOM) {
		t.Errorf("oom is missing: %s", s.text())
	}
	if g.Files("memory", nil).Version == 2 && !s.has(MemoryMax) { // v1 does not count that for memory with swap
		t.Errorf("memory.max is missing: %s", s.text())
	}
}
