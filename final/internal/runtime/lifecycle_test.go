//go:build linux

package runtime

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/cgroup"
	"github.com/simple-container/simple-container/final/internal/kernel"
)

// TestLife: a container's states, one after the other, and what each refuses.
func TestLife(t *testing.T) {
	both(t, func(w *world) {
		c := w.create("a", func(s *specs.Spec) { s.Annotations = map[string]string{"colour": "blue"} })
		w.wantStatus("a", Created)
		state, err := c.State()
		w.must(err)
		if state.Pid != c.Pid || state.Pid == 0 || state.Bundle != filepath.Join(w.dir, "a") ||
			state.Rootfs != filepath.Join(w.dir, "rootfs") || state.Annotations["colour"] != "blue" ||
			state.Owner != "root" || time.Since(state.Created) > time.Minute || state.Version != specs.Version {
			w.Errorf("state: %+v", state)
		}
		_, err = w.Create("a", CreateOptions{Bundle: filepath.Join(w.dir, "a")})
		w.refused(err, `container "a": container with given ID already exists`)
		w.refused(c.Resume(), "not paused")

		w.must(c.Start())
		w.wantStatus("a", Running)
		w.refused(c.Start(), "cannot start a container that has been started")
		w.refused(w.Delete("a", false), "running")
		w.refused(c.Resume(), "not paused")

		w.must(c.Pause())
		w.wantStatus("a", Paused)
		w.refused(c.Pause(), "paused")
		w.refused(c.Start(), "cannot start a container that has been started")
		w.refused(w.Delete("a", false), "paused")
		_, _, err = c.exec(execArgs("true"))
		w.refused(err, "cannot exec in a paused container")
		w.must(c.Resume())
		w.wantStatus("a", Running)

		w.must(c.Kill(unix.SIGKILL, false))
		if _, code := c.wait(); code != 128+int(unix.SIGKILL) {
			w.Errorf("exit code %d, want %d", code, 128+int(unix.SIGKILL))
		}
		w.wantStatus("a", Stopped)
		if state, err = c.State(); err != nil || state.Pid != 0 {
			w.Errorf("stopped: pid %d, %v, want 0", state.Pid, err)
		}
		w.refused(c.Kill(unix.SIGTERM, false), "container not running")
		w.refused(c.Start(), "cannot start a container")
		w.refused(c.Pause(), "stopped")
		w.refused(c.Update(&specs.LinuxResources{}), "container not running")
		_, _, err = c.exec(execArgs("true"))
		w.refused(err, "container not running")
		_, err = c.Stats()
		w.refused(err, "container not running")

		w.must(w.Delete("a", false))
		w.refused(w.Delete("a", false), "does not exist")
		_, err = w.Load("a")
		w.refused(err, "does not exist")
		if !errors.Is(w.Delete("a", true), ErrNotExist) { // it is for main to be content with that
			w.Error("delete --force of nothing: want ErrNotExist")
		}
	})
}

// TestDeleteCreated: what was never started can be deleted, and what was killed before.
func TestDeleteCreated(t *testing.T) {
	both(t, func(w *world) {
		w.create("a")
		w.must(w.Delete("a", false))
		w.checkNothingLeft("delete of a created container")

		c := w.create("b")
		w.must(c.Kill(unix.SIGKILL, false))
		c.wait()
		w.wantStatus("b", Stopped)
		w.refused(c.Start(), "cannot start a container that has stopped")
		w.must(w.Delete("b", false))
	})
}

// TestDeleteForce ends whatever there is: many processes, a frozen container.
func TestDeleteForce(t *testing.T) {
	both(t, func(w *world) {
		c := w.create("a", shell("sleep 1000 & sleep 1000 & sleep 1000"))
		w.must(c.Start())
		if !eventually(func() bool { pids, err := c.Pids(); return err == nil && len(pids) >= 3 }) {
			w.Error("no three processes")
		}
		w.must(w.Delete("a", true))
		w.checkNothingLeft("delete --force")

		c = w.create("b")
		w.must(c.Pause())
		for range 20 { // nobody can answer
			w.wantStatus("b", Paused)
		}
		w.must(w.Delete("b", true))
		w.checkNothingLeft("delete --force of one that was paused before its start")

		c = w.create("b")
		w.must(c.Start())
		w.must(c.Pause())
		w.must(w.Delete("b", true))
		w.checkNothingLeft("delete --force of a paused container")
	})
}

// TestPauseOfOneThatEnds: who ends while somebody pauses it does not run, whatever its group has to say.
func TestPauseOfOneThatEnds(t *testing.T) {
	both(t, func(w *world) {
		c := w.create("a")
		w.must(c.Start())
		w.Door.Trap = func(int, kernel.Call) error {
			w.Door.Trap = nil
			w.must(unix.Kill(c.Pid, unix.SIGKILL))
			c.wait()
			for _, dir := range c.Cgroups {
				w.check(cgroup.Remove(&kernel.Door{}, dir))
			}
			return nil
		}
		if err := c.Pause(); !errors.Is(err, ErrNotRunning) {
			w.Errorf("pause: %v, want %v", err, ErrNotRunning)
		}
	})
}

// TestSignals: every signal reaches the command, and --all all processes.
func TestSignals(t *testing.T) {
	both(t, func(w *world) {
		c := w.create("a", shell("trap 'echo got TERM; exit 7' TERM; touch /tmp/ready; while true; do sleep 0.05; done"))
		w.must(c.Start())
		if !eventually(func() bool { return exists(filepath.Join(w.dir, "rootfs/tmp/ready")) }) {
			w.Fatal("the shell does not come to its loop")
		}
		w.must(c.Kill(unix.SIGTERM, false))
		if text, code := c.wait(); code != 7 || !strings.HasSuffix(text, "got TERM") {
			w.Errorf("code %d, %q: want 7, got TERM", code, text)
		}

		c = w.create("b", func(s *specs.Spec) {
			shell("sleep 1000 & sleep 1000 & wait")(s)
			s.Linux.Namespaces = s.Linux.Namespaces[1:] // the runtime's PID namespace: with process 1 nobody else ends
		})
		w.must(c.Start())
		if !eventually(func() bool { pids, err := c.Pids(); return err == nil && len(pids) >= 3 }) {
			w.Error("no three processes")
		}
		w.must(c.Kill(unix.SIGKILL, true))
		c.wait()
		if !eventually(func() bool { reap(); pids, err := c.Pids(); return err == nil && len(pids) == 0 }) {
			w.Error("kill --all: some are left")
		}
	})
}

// TestKill: one that is being made is left alone (runtime.md, "Kill"). For the end of one that is made, its record is
// enough.
func TestKill(t *testing.T) {
	both(t, func(w *world) {
		c := w.create("a")
		c.Complete = false
		w.must(c.write())
		held, err := w.lock("a") // as create has it
		w.must(err)
		w.refused(c.Kill(unix.SIGKILL, false), "creating", "container not running")
		w.must(held.Close())
		w.refused(c.Kill(unix.SIGKILL, true), "stopped", "container not running")
		c.Complete = true
		w.must(c.write())
		w.wantStatus("a", Created)

		w.must(os.Remove(c.path(configFile)))
		w.must(c.Kill(unix.SIGKILL, false))
		if _, code := c.wait(); code != 137 {
			w.Errorf("code %d, want it killed", code)
		}
	})
}

// TestEndings: the state is right after kill -9 of the first process, and never another process's that has
// got its pid.
func TestEndings(t *testing.T) {
	both(t, func(w *world) {
		c := w.create("a")
		w.must(c.Start())
		w.must(unix.Kill(c.Pid, unix.SIGKILL))
		if !eventually(func() bool { return w.status("a") == string(Stopped) }) {
			w.Error("kill -9 of the first process: not stopped") // a zombie is stopped
		}
		c.wait()
		w.wantStatus("a", Stopped)

		// Our own pid, which a container can have had before us.
		c.Pid, c.Born = os.Getpid(), c.Born+1
		w.must(c.write())
		w.wantStatus("a", Stopped)
		w.refused(c.Kill(unix.SIGKILL, false), "container not running") // else this test ends here
		w.must(w.Delete("a", true))
	})
}

// TestBecomesAnother: a container whose command becomes another program all the time is running all the time. A
// thread that is not the first calls execve here, as it is with Go programs, and while the others end for it, the
// process looks as if it had.
func TestBecomesAnother(t *testing.T) {
	both(t, func(w *world) {
		w.must(os.WriteFile(filepath.Join(w.dir, "again"), []byte("exec sh /again\n"), 0o644))
		c := w.create("a", shell("exec sh /again"), func(s *specs.Spec) {
			s.Mounts = append(s.Mounts, specs.Mount{Destination: "/again", Source: filepath.Join(w.dir, "again"), Options: []string{"bind"}})
		})
		w.must(c.Start())
		for end := time.Now().Add(300 * time.Millisecond); time.Now().Before(end); {
			if got := w.status("a"); got != string(Running) {
				w.Fatalf("status: %s, want running", got)
			}
		}
		for range 10 {
			if text, code, err := c.exec(execArgs("sh", "-c", "echo $HOME")); err != nil || code != 0 || text != "/root" {
				w.Errorf("exec: code %d, %v: %q, want /root", code, err, text)
			}
		}
		w.must(w.Delete("a", true))
	})
}

// TestIDs: what is no name is no container.
func TestIDs(t *testing.T) {
	both(t, func(w *world) {
		bundle := w.bundle("ok", w.basic())
		for _, id := range []string{"", ".", "..", ".hidden", "a/b", "../a", "a b", "ü", "a\x00", strings.Repeat("x", 256)} {
			_, err := w.Create(id, CreateOptions{Bundle: bundle})
			w.refused(err, "container id")
			_, err = w.Load(id)
			w.refused(err, "container id")
			w.refused(w.Delete(id, true), "container id")
		}
		for _, id := range []string{"a", "A_b+c-d.e", strings.Repeat("x", 255)} {
			_, err := w.tryCreate(id, CreateOptions{Bundle: bundle})
			w.check(err)
			w.check(w.Delete(id, false))
		}
	})
}

// TestOneWins: of creates of one id at a time, one makes it.
func TestOneWins(t *testing.T) {
	both(t, func(w *world) {
		bundle := w.bundle("a", w.basic())
		var made, refused int
		var mutex sync.Mutex
		var group sync.WaitGroup
		for range 8 {
			group.Go(func() {
				_, err := w.Create("a", CreateOptions{Bundle: bundle})
				mutex.Lock()
				defer mutex.Unlock()
				switch {
				case err == nil:
					made++
				case errors.Is(err, ErrExist):
					refused++
				default:
					w.Error(err)
				}
			})
		}
		group.Wait()
		if made != 1 || refused != 7 {
			w.Errorf("%d made, %d refused: want 1 and 7", made, refused)
		}
		w.wantStatus("a", Created)
	})
}

// TestMany: twenty containers at once, from create to delete.
func TestMany(t *testing.T) {
	both(t, func(w *world) {
		var group sync.WaitGroup
		for i := range 20 {
			id := fmt.Sprintf("c%d", i)
			bundle := w.bundle(id, w.basic(args("sh", "-c", fmt.Sprintf("exit %d", i))))
			group.Go(func() {
				c, err := w.Create(id, CreateOptions{Bundle: bundle})
				if err != nil {
					w.Error(err)
					return
				}
				w.check(c.Start())
				if code := waitFor(c.Pid); code != i {
					w.Errorf("%s: exit code %d", id, code)
				}
				w.wantStatus(id, Stopped)
				w.check(w.Delete(id, false))
			})
		}
		for range 20 { // meanwhile, others look
			_, err := w.List()
			w.check(err)
			time.Sleep(time.Millisecond)
		}
		group.Wait()
	})
}

// TestList: all that there are, and nothing that is none.
func TestList(t *testing.T) {
	both(t, func(w *world) {
		if list, err := w.List(); err != nil || len(list) != 0 {
			w.Errorf("no directory yet: %v, %v", list, err)
		}
		w.create("b")
		w.must(w.create("a").Start())
		w.must(os.Mkdir(filepath.Join(w.Root, "half"), 0o755)) // a create that has just begun
		w.must(os.WriteFile(filepath.Join(w.Root, "file"), nil, 0o644))
		list, err := w.List()
		w.must(err)
		var got []string
		for _, c := range list {
			status, err := c.Status()
			w.check(err)
			got = append(got, c.ID+" "+string(status))
		}
		if strings.Join(got, ", ") != "a running, b created" {
			w.Errorf("list: %q", got)
		}
		w.must(errors.Join(os.Remove(filepath.Join(w.Root, "half")), os.Remove(filepath.Join(w.Root, "file"))))
	})
}
