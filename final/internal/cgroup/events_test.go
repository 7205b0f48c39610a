//go:build linux

package cgroup

import (
	"bytes"
	"context"
	"errors"
	"os/exec"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/simple-container/simple-container/final/internal/kernel"
	"golang.org/x/sys/unix"
)

// greedy is a program that takes ever more memory: tail keeps a line that does not end.
var greedy = []string{"tail", "/dev/zero"}

func tight() *specs.LinuxResources {
	return &specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: ptr[int64](8 << 20), Swap: ptr[int64](8 << 20)}}
}

// A watching is a watch that is there: how often it has told, and how it ends.
type watching struct {
	told  atomic.Int64
	stop  context.CancelFunc
	ended chan error
}

// watch starts a watch, and waits for it to wait.
func watch(t *testing.T, start func(context.Context, func()) error) *watching {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	w := &watching{stop: cancel, ended: make(chan error, 1)}
	before := waiting()
	go func() { w.ended <- start(ctx, func() { w.told.Add(1) }) }()
	until(t, "it watches", func() bool { return waiting() > before })
	return w
}

// waiting counts the goroutines that wait for an event, by their stacks. Who does has told the kernel of which.
func waiting() int {
	dump := make([]byte, 1<<20)
	dump = dump[:runtime.Stack(dump, true)]
	return bytes.Count(dump, []byte("cgroup.wait(")) + bytes.Count(dump, []byte("unix.Poll("))
}

// end is how the watch ends, by itself or stopped.
func (w *watching) end() error {
	select {
	case err := <-w.ended:
		return err
	case <-time.After(patient):
		return context.DeadlineExceeded
	}
}

func TestOOM(t *testing.T) {
	g := newGroup(t)
	door := &kernel.Door{}
	if err := g.Create(door, tight()); err != nil {
		t.Fatal(err)
	}
	stays := spawn(t, g, "sleep", "60") // or the watch ends with the last process
	w := watch(t, func(ctx context.Context, tell func()) error { return g.OOM(ctx, door, tell) })
	if err := spawn(t, g, greedy...).Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Fatalf("%s ended with %v, want it killed", greedy, err)
	}
	until(t, "somebody is told", func() bool { return w.told.Load() > 0 })
	w.stop()
	if err := w.end(); err != nil {
		t.Error(err)
	}
	if stays.ProcessState != nil {
		t.Error("the other process ended too")
	}
}

// A watch ends by itself when the container does.
func TestOOMEndsWithTheGroup(t *testing.T) {
	g := newGroup(t)
	door := &kernel.Door{}
	if err := g.Create(door, tight()); err != nil {
		t.Fatal(err)
	}
	cmd := spawn(t, g, "sleep", "60")
	w := watch(t, func(ctx context.Context, tell func()) error { return g.OOM(ctx, door, tell) })
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	if err := g.Remove(door); err != nil {
		t.Fatal(err)
	}
	<-ended
	if err := w.end(); err != nil || w.told.Load() != 0 {
		t.Errorf("it told %d times and ended with %v, want 0 and nil", w.told.Load(), err)
	}
	if err := g.OOM(t.Context(), door, func() {}); err != nil {
		t.Errorf("of a group that is gone: %v", err)
	}
}

func alive(cmd *exec.Cmd) bool {
	stat, err := kernel.Stat(cmd.Process.Pid)
	return err == nil && stat.Alive()
}

func TestPressure(t *testing.T) {
	g := newGroup(t)
	door := &kernel.Door{}
	limits := tight()
	if p := g.part("memory"); p.Version == 2 { // memory.high slows down who is over it
		limits.Memory.Limit, limits.Memory.Swap = ptr[int64](64<<20), ptr[int64](64<<20)
		limits.Unified = map[string]string{"memory.high": "4194304"}
	}
	if err := g.Create(door, limits); err != nil {
		t.Fatal(err)
	}
	p := g.part("memory")
	if _, err := kernel.ReadFile(p.dir + "/memory.pressure"); p.Version == 2 && errors.Is(err, unix.EOPNOTSUPP) {
		t.Skipf("PSI is off (psi=1 on the kernel's command line): %v", err)
	}
	if err := g.Pressure(t.Context(), door, "some", nil); err == nil {
		t.Error("a level that does not exist: want an error")
	}
	w := watch(t, func(ctx context.Context, tell func()) error { return g.Pressure(ctx, door, Low, tell) })
	until(t, "somebody is told", func() bool { // of one that is killed too soon to wait for memory there is nothing to tell
		cmd := spawn(t, g, greedy...)
		for end := time.Now().Add(time.Second); w.told.Load() == 0 && alive(cmd) && time.Now().Before(end); {
			time.Sleep(interval)
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		return w.told.Load() > 0
	})
	w.stop()
	if err := w.end(); err != nil {
		t.Error(err)
	}
}
