//go:build linux

package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/kernel"
	"github.com/simple-container/simple-container/final/internal/monitor"
	"github.com/simple-container/simple-container/final/internal/runtime"
)

// TestLife: from run to rm, with the exit code, the streams apart and the log.
func TestLife(t *testing.T) {
	w := newWorld(t)
	out, errs, code := w.run(func(o *CreateOptions) { o.Name = "first" }, "", "sh", "-c", "echo out; echo err >&2; exit 7")
	if out != "out\n" || errs != "err\n" || code != 7 {
		t.Errorf("got %q, %q, code %d; want out, err, 7", out, errs, code)
	}
	c := w.find("first")
	if c.State.Status != Exited || c.State.ExitCode != 7 || c.State.Pid != 0 || c.State.FinishedAt.Before(c.State.StartedAt) {
		t.Errorf("state: %+v", c.State)
	}
	want := map[string]bool{"stdout: out\n": true, "stderr: err\n": true}
	for _, line := range w.log(c, LogOptions{Tail: -1}) {
		delete(want, line)
	}
	if len(want) > 0 {
		t.Errorf("the log lacks %v", want)
	}
	client, err := c.Start(&Streams{}) // again
	w.must(err)
	if code, err := c.Attend(client, Streams{}); code != 7 || err != nil {
		t.Errorf("the second time: code %d, %v", code, err)
	}
	w.must(c.Remove(RemoveOptions{}))
	if _, err := w.Find("first"); !IsNotFound(err) {
		t.Errorf("after rm: %v", err)
	}
}

// TestInputArrives: what is typed reaches the command, and its end too; nothing of the output is lost.
func TestInputArrives(t *testing.T) {
	w := newWorld(t)
	text := strings.Repeat("a line of text that is not short\n", 20000) // more than all buffers on the way
	out, _, code := w.run(func(o *CreateOptions) { o.Stdin, o.Once, o.AutoRemove = true, true, true }, text, "cat")
	if out != text || code != 0 {
		t.Errorf("%d bytes came back of %d, code %d", len(out), len(text), code)
	}
}

// TestFailures: exit codes of commands that cannot begin, and their words.
func TestFailures(t *testing.T) {
	w := newWorld(t)
	for _, test := range []struct {
		args []string
		code int
		say  string
	}{
		{[]string{"nothing"}, 127, `exec: "nothing": executable file not found in $PATH`},
		{[]string{"/nothing"}, 127, `"/nothing"`},
		{[]string{"/etc"}, 126, "permission denied"},
		{[]string{"/etc/passwd"}, 126, "permission denied"},
	} {
		c := w.create(nil, test.args...)
		_, err := c.Start(nil)
		failure, ok := errors.AsType[*monitor.Failure](err)
		if !ok || failure.Code != test.code || !strings.Contains(failure.Why, test.say) {
			t.Errorf("%v: %v; want code %d, %s", test.args, err, test.code, test.say)
		}
		if now := w.find(c.ID); now.State.Status != Created || now.State.ExitCode != test.code || now.State.Error == "" {
			t.Errorf("%v: state %+v", test.args, now.State)
		}
	}
	c := w.create(func(o *CreateOptions) { o.AutoRemove = true }, "nothing")
	if _, err := c.Start(nil); err == nil {
		t.Error("it began")
	}
	if _, err := w.Find(c.ID); !IsNotFound(err) {
		t.Errorf("with --rm: %v", err)
	}
}

// TestStop: the signal, and when it is not enough SIGKILL; wait and the exit code.
func TestStop(t *testing.T) {
	w := newWorld(t)
	polite := w.start(nil, "sh", "-c", "trap 'exit 3' TERM; echo ready; while true; do sleep 0.05; done")
	w.awaitLog(polite, "stdout: ready\n")
	w.must(polite.Stop(unix.SIGTERM, new(60)))
	if code, err := polite.Wait(); code != 3 || err != nil {
		t.Errorf("wait: %d, %v; want 3", code, err)
	}
	stubborn := w.start(nil, "sh", "-c", "trap '' TERM; echo ready; while true; do sleep 0.05; done")
	w.awaitLog(stubborn, "stdout: ready\n")
	w.must(stubborn.Stop(unix.SIGTERM, new(0)))
	if code, err := stubborn.Wait(); code != 137 || err != nil {
		t.Errorf("wait: %d, %v; want 137", code, err)
	}
	w.must(stubborn.Stop(unix.SIGTERM, nil)) // it is stopped: no error
	if err := stubborn.Kill(unix.SIGTERM); !errors.Is(err, ErrNotRunning) {
		t.Errorf("kill: %v", err)
	}
}

// TestUnreaped: a process that has ended, and for which its parent outside does not wait, keeps the container from its
// end. That is said instead of waiting for ever.
func TestUnreaped(t *testing.T) {
	w := newWorld(t)
	c := w.start(nil, "sleep", "1000")
	p, err := c.ExecProcess(ExecOptions{Args: []string{"true"}})
	w.must(err)
	child, err := c.Exec(runtime.ExecOptions{Process: p})
	w.must(err)
	w.must(c.kill(unix.SIGKILL))
	want := fmt.Sprintf("its process %d (true) has ended, and the parent of that, %d (", child.Pid, os.Getpid())
	w.eventually(want, func() bool { // it may take a moment for its end
		err = c.awaitKilled(500 * time.Millisecond)
		return err != nil && strings.Contains(err.Error(), want)
	}, func() any { return err })
	_, err = unix.Wait4(child.Pid, nil, 0, nil)
	w.must(errors.Join(err, child.Pidfd.Close()))
	w.must(c.awaitKilled(killPatience))
}

// TestPaused: it does not count as ended, and is stopped all the same.
func TestPaused(t *testing.T) {
	w := newWorld(t)
	c := w.start(nil, "sleep", "1000")
	w.must(c.Pause())
	if got := w.find(c.ID).State.Status; got != Paused {
		t.Errorf("status %s, want paused", got)
	}
	if _, err := w.find(c.ID).ExecProcess(ExecOptions{Args: []string{"true"}}); err == nil || !strings.Contains(err.Error(), "unpause") {
		t.Errorf("exec: %v", err)
	}
	w.must(c.Unpause())
	w.must(c.Pause())
	w.must(w.find(c.ID).Stop(unix.SIGKILL, nil))
}

// TestMonitorIsSmall holds the monitor to 6 MB of memory, and its program to what it must be.
func TestMonitorIsSmall(t *testing.T) {
	w := newWorld(t)
	c := w.start(nil, "sh", "-c", "for i in $(seq 200); do echo line $i; done; echo ready; sleep 1000")
	w.awaitLog(c, "stdout: ready\n")
	path := fmt.Sprintf("/proc/%d/status", w.find(c.ID).State.Monitor)
	status := func() string {
		text, err := os.ReadFile(path)
		w.must(err)
		return string(text)
	}
	// It shrinks when the container has started, and may be at it still.
	w.eventually("the monitor has at most 6 MB", func() bool {
		_, rest, _ := strings.Cut(status(), "VmRSS:")
		size, err := strconv.Atoi(strings.Fields(rest)[0])
		return err == nil && size <= 6<<10
	}, func() any { return status() })
}

// TestExplained: what is done for the monitor is told to whoever wants it explained.
func TestExplained(t *testing.T) {
	w := newWorld(t)
	c := w.create(nil, "true")
	path := filepath.Join(t.TempDir(), "said")
	file, err := os.Create(path)
	w.must(err)
	defer file.Close()
	w.Door.Explain = file
	_, err = c.Start(nil)
	w.Door.Explain = nil
	w.must(err)
	w.must(c.awaitMonitor())
	said, err := os.ReadFile(path)
	w.must(err)
	for _, what := range []string{c.path("rootfs"), "overlay", "clone"} {
		if !strings.Contains(string(said), what) {
			t.Errorf("want %s in:\n%s", what, said)
		}
	}
}

// TestMonitorKilled: its end is noticed by the next command, whichever that is, and nothing is left.
func TestMonitorKilled(t *testing.T) {
	for name, next := range map[string]func(*world, *Container){
		"ps":    func(w *world, c *Container) { _, err := w.List(ListOptions{}); w.must(err) },
		"find":  func(w *world, c *Container) { w.find(c.Name) },
		"wait":  func(w *world, c *Container) { _, err := c.Wait(); w.must(err) },
		"start": func(w *world, c *Container) { _, err := c.Start(nil); w.must(err); w.must(c.Stop(unix.SIGKILL, nil)) },
		"rm":    func(w *world, c *Container) { w.must(c.Remove(RemoveOptions{})) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			c := w.start(nil, "sleep", "1000")
			pid := c.State.Pid
			w.must(unix.Kill(c.State.Monitor, unix.SIGKILL))
			w.eventually("the monitor has ended", func() bool {
				alive, run, err := c.monitored()
				closeAll(run)
				return err == nil && !alive
			}, func() any { return "it lives" })
			next(w, c)
			if stat, err := kernel.Stat(pid); err == nil && stat.Alive() {
				t.Errorf("process %d lives on", pid)
			}
			if name == "rm" {
				return
			}
			now := w.find(c.ID)
			if now.State.Status != Exited || name != "start" && now.State.ExitCode != Unknown {
				t.Errorf("state %+v, want exited with %d", now.State, Unknown)
			}
		})
	}
}

// TestMonitorKilledWithRemove: a container with --rm goes, too.
func TestMonitorKilledWithRemove(t *testing.T) {
	w := newWorld(t)
	c := w.start(func(o *CreateOptions) { o.AutoRemove = true }, "sleep", "1000")
	w.must(unix.Kill(c.State.Monitor, unix.SIGKILL))
	w.eventually("it is gone", func() bool { _, err := w.Find(c.ID); return IsNotFound(err) }, func() any { return c.State })
}

// TestEveryCallFails: at whichever call `begin` or `end` fails, or is killed, nothing is left behind. That a connection
// undoes itself when a call fails, package network has tests for.
func TestEveryCallFails(t *testing.T) {
	for _, how := range []string{"", " kill"} {
		for _, verb := range []string{"begin", "end"} {
			for n := 1; ; n++ {
				if !failAt(t, fmt.Sprintf("%s %d%s", verb, n, how)) {
					if n < 3 {
						t.Errorf("%s makes %d calls: the trap does not work", verb, n-1)
					}
					break
				}
			}
		}
	}
}

// failAt runs a container with a trap, and tells whether it was met.
func failAt(t *testing.T, where string) (met bool) {
	t.Setenv(trapEnv, where)
	defer func() {
		if t.Failed() {
			t.Fatalf("at: %s", where) // the first is enough
		}
	}()
	w := newWorld(t)
	c := w.create(func(o *CreateOptions) {
		if !strings.HasSuffix(where, "kill") {
			o.Network = "none"
		}
	}, "true")
	_, err := c.Start(nil)
	if err == nil {
		w.check(c.awaitMonitor())
	}
	t.Setenv(trapEnv, "") // from here on all goes well
	now := w.find(c.ID)
	errs, readErr := os.ReadFile(filepath.Join(now.dir, monitor.ErrorsFile))
	w.must(readErr)
	met = err != nil || len(errs) > 0
	if now.State.active() {
		t.Errorf("%s: state %+v", where, now.State)
	}
	w.check(now.Remove(RemoveOptions{Force: true}))
	w.nothingLeft()
	return met
}

// TestStarterKilled: whoever starts a container may be killed before it has told the monitor to begin; then that goes.
func TestStarterKilled(t *testing.T) {
	w := newWorld(t)
	c := w.create(nil, "true")
	held, run, err := c.lockIdle()
	w.must(err)
	c.State.Status = Starting
	w.must(c.writeState())
	s, err := monitor.Start(monitor.Options{ID: c.ID, Dir: c.dir, Run: run.Name(), Lock: run, Program: w.Program})
	w.must(err)
	closeAll(held, run)
	w.must(s.Close()) // as the kernel does it
	w.must(c.awaitMonitor())
	if now := w.find(c.ID); now.State.Status != Exited || now.State.ExitCode != Unknown {
		t.Errorf("state %+v", now.State)
	}
}

// TestFiftyAtOnce: fifty commands that want the same name, and fifty that want their own.
func TestFiftyAtOnce(t *testing.T) {
	w := newWorld(t)
	w.create(nil, "true") // the image is there
	var work sync.WaitGroup
	var mutex sync.Mutex
	same, own := 0, map[string]bool{}
	for range 25 {
		for _, name := range []string{"same", ""} {
			work.Go(func() {
				o := CreateOptions{Image: "lab", Name: name}
				o.Args = []string{"true"}
				c, err := newEngine(dataRoot, RunDir).Create(context.Background(), o)
				mutex.Lock()
				defer mutex.Unlock()
				_, taken := errors.AsType[*NameTakenError](err)
				switch {
				case name == "" && err == nil:
					own[c.Name] = true
				case err == nil:
					same++
				case name == "" || !taken:
					t.Errorf("%q: %v", name, err)
				}
			})
		}
	}
	work.Wait()
	if same != 1 || len(own) != 25 {
		t.Errorf("%d have the name, %d have one of their own; want 1 and 25", same, len(own))
	}
	list, err := w.List(ListOptions{All: true})
	if err != nil || len(list) != 27 || len(w.Names()) != 27 {
		t.Errorf("%d containers, %d names, %v; want 27", len(list), len(w.Names()), err)
	}
	for range 2 { // two at each
		for _, c := range list {
			work.Go(func() {
				if err := c.Remove(RemoveOptions{}); err != nil && !IsNotFound(err) {
					t.Error(err)
				}
			})
		}
	}
	work.Wait()
}

// TestFind: by id, name and prefix; what is ambiguous, and what may have been meant.
func TestFind(t *testing.T) {
	w := newWorld(t)
	c := w.create(func(o *CreateOptions) { o.Name = "webserver" }, "true")
	for _, reference := range []string{c.ID, c.ID[:12], c.ID[:4], "webserver", "/webserver"} {
		if found, err := w.Find(reference); err != nil || found.ID != c.ID {
			t.Errorf("%s: %v", reference, err)
		}
	}
	if _, err := w.Find("websever"); err == nil || err.Error() != "no such container: websever (did you mean webserver?)" {
		t.Errorf("a slip: %v", err)
	}
	var many []*Container
	for range 17 { // so two have the same first digit
		many = append(many, w.create(nil, "true"))
	}
	ambiguous := 0
	for _, digit := range "0123456789abcdef" {
		if _, err := w.Find(string(digit)); err != nil && strings.Contains(err.Error(), "is ambiguous") {
			ambiguous++
		}
	}
	if ambiguous == 0 {
		t.Errorf("of %d containers no prefix is ambiguous", len(many)+1)
	}
}

// TestVolumes: copied up from the image, kept if they have a name, gone with the container if not.
func TestVolumes(t *testing.T) {
	w := newWorld(t)
	mount := func(name, target string) func(*CreateOptions) {
		return func(o *CreateOptions) {
			o.AutoRemove = true
			o.Mounts = append(o.Mounts, volumeMount(name, target))
		}
	}
	out, _, code := w.run(mount("", "/etc"), "", "sh", "-c", "cat /etc/passwd | head -n 1; echo x > /etc/new")
	if !strings.HasPrefix(out, "root:") || code != 0 {
		t.Errorf("the image's files are not in the volume: %q, code %d", out, code)
	}
	if entries, err := os.ReadDir(w.volumes()); err != nil || len(entries) != 0 {
		t.Errorf("volumes left: %v, %v", entries, err)
	}
	_, _, code = w.run(mount("data", "/data"), "", "sh", "-c", "echo kept > /data/file")
	out, _, _ = w.run(mount("data", "/other"), "", "cat", "/other/file")
	if out != "kept\n" || code != 0 {
		t.Errorf("got %q, code %d", out, code)
	}
	w.must(w.RemoveVolume("data"))
}

// TestLogs: --tail, --since, --until and --follow.
func TestLogs(t *testing.T) {
	w := newWorld(t)
	c := w.start(nil, "sh", "-c", "for i in 1 2 3; do echo $i; done; sleep 0.3; echo end")
	var all []string
	w.must(c.Logs(LogOptions{Follow: true, Tail: -1}, func(e Entry) error { all = append(all, e.Text); return nil }))
	if diff := cmp.Diff([]string{"1\n", "2\n", "3\n", "end\n"}, all); diff != "" {
		t.Errorf("-f (-want +got):\n%s", diff)
	}
	if got := w.log(c, LogOptions{Tail: 2}); !cmp.Equal(got, []string{"stdout: 3\n", "stdout: end\n"}) {
		t.Errorf("--tail 2: %q", got)
	}
	if got := w.log(c, LogOptions{Tail: -1, Since: time.Now().Add(time.Hour)}); got != nil {
		t.Errorf("--since: %q", got)
	}
	if got := w.log(c, LogOptions{Tail: -1, Until: time.Now().Add(-time.Hour)}); got != nil {
		t.Errorf("--until: %q", got)
	}
}

// TestRestartsAtOnce: who stops a container that others start anew waits for the run that it has stopped, and no other.
func TestRestartsAtOnce(t *testing.T) {
	w := newWorld(t)
	c := w.start(func(o *CreateOptions) { o.Network = "none" }, "sleep", "1000")
	var work sync.WaitGroup
	for range 6 {
		work.Go(func() {
			own, err := newEngine(dataRoot, RunDir).Find(c.ID)
			if err == nil {
				err = own.Stop(unix.SIGKILL, nil)
			}
			if err == nil {
				_, err = own.Start(nil)
			}
			if err != nil && !errors.Is(err, ErrRunning) {
				t.Error(err)
			}
		})
	}
	work.Wait()
	if now := w.find(c.ID); now.State.Status != Running {
		t.Errorf("it is %s", now.State.Status)
	}
}
