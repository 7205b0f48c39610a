//go:build linux

package runtime

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/kernel"
	"github.com/simple-container/simple-container/final/internal/op"
	"github.com/simple-container/simple-container/final/internal/plan"
)

// full is a spec with much to fail.
func full(s *specs.Spec) {
	s.Root.Readonly = true
	s.Linux.Resources.Memory = &specs.LinuxMemory{Limit: ptr(int64(64 << 20))}
	s.Linux.Resources.Pids = &specs.LinuxPids{Limit: ptr(int64(50))}
	s.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_CORE", Soft: 0, Hard: 0}}
	s.Process.OOMScoreAdj = ptr(500)
	s.Process.User = specs.User{UID: 1000, GID: 1000, AdditionalGids: []uint32{5}}
	s.Process.Cwd = "/tmp"
	s.Linux.Sysctl = map[string]string{"net.ipv4.ip_forward": "1"}
	s.Linux.Seccomp = &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{
		{Names: []string{"reboot"}, Action: specs.ActErrno},
	}}
}

// TestParentFails makes each call of the parent's fail, one after the other: nothing stays, and the error says
// which call it was.
func TestParentFails(t *testing.T) {
	both(t, func(w *world) {
		bundle := w.bundle("a", w.basic(full))
		fault := errors.New("made to fail")
		for n := 1; ; n++ {
			var failed kernel.Call
			w.Door = &kernel.Door{Trap: func(i int, call kernel.Call) error {
				if i != n {
					return nil
				}
				failed = call
				return fault
			}}
			_, err := w.tryCreate("a", CreateOptions{Bundle: bundle})
			if w.Door.Calls() < n { // it was not called so often
				w.check(err)
				w.Logf("%d calls", n-1)
				return
			}
			if err == nil { // a call that may fail: what it asked for is then not needed, or is refused later
				w.Logf("call %d, %s: no harm", n, failed)
				w.Door = &kernel.Door{}
				w.must(w.Delete("a", true))
			} else {
				w.refused(err, fault.Error(), failed.Op)
			}
			w.checkNothingLeft(fmt.Sprintf("call %d, %s", n, failed))
			if w.Failed() {
				return
			}
		}
	})
}

// TestPlanIsCut makes each op of the container side fail, one after the other. What comes before the wait for
// start fails create, and nothing stays; what comes after it fails start. Either way the error says which op
// it was.
func TestPlanIsCut(t *testing.T) {
	both(t, func(w *world) {
		bundle := w.bundle("a", w.basic(full, args("/bin/true")))
		step := 1
		if inVM || w.Reexec {
			step = 17 // it is the same list: a sample
		}
		for i := 0; ; i += step {
			var cut op.Op
			size, waited, skipped := 0, false, false
			w.edit = func(l *op.List) {
				if size = len(l.Ops); i >= size {
					return
				}
				cut, skipped = l.Ops[i], mayBeSkipped(l, i)
				for _, o := range l.Ops[:i] {
					waited = waited || o.Label == plan.WaitLabel
				}
				bad := op.Close(op.Int(1 << 20)) // EBADF
				bad.Label, bad.Means = cut.Label, cut.Words()
				l.Ops[i] = bad
			}
			c, err := w.tryCreate("a", CreateOptions{Bundle: bundle})
			if i >= size {
				w.check(err)
				return
			}
			what := fmt.Sprintf("op %d, %s", i, cut)
			if err == nil {
				err = c.Start()
				reap()
				if err != nil && w.status("a") != string(Stopped) {
					w.Errorf("%s: %v: status %s", what, err, w.status("a"))
				}
				w.must(w.Delete("a", true))
			} else if waited {
				w.Errorf("%s: create failed of an op that comes after it: %v", what, err)
			}
			// Between "ready" and the connection of start there is nobody to report to.
			alone := cut.Label == plan.WaitLabel || waited && cut.Name == "dup3"
			if alone && errors.Is(err, ErrNotRunning) {
				err = nil
			} else if err != nil {
				w.refused(err, cut.Words(), "bad file descriptor")
			} else if !skipped {
				w.Errorf("%s: made to fail, and nobody noticed", what)
			}
			w.checkNothingLeft(what)
			if w.Failed() {
				return
			}
		}
	})
}

// mayBeSkipped tells whether there is a jump over an op.
func mayBeSkipped(l *op.List, index int) bool {
	for i, o := range l.Ops {
		for _, label := range []string{o.Zero, o.Positive, o.Accepted} {
			to := slices.IndexFunc(l.Ops, func(o op.Op) bool { return label != "" && o.Label == label })
			if i < index && index < to {
				return true
			}
		}
	}
	return slices.Contains([]string{"gone", "replaced"}, l.Ops[index].Label)
}

// TestSideDies ends the container side at each op, in place of the op.
func TestSideDies(t *testing.T) {
	both(t, func(w *world) {
		bundle := w.bundle("a", w.basic(full))
		step := 7
		if inVM || w.Reexec {
			step = 31
		}
		for i := 0; ; i += step {
			size, cut := 0, op.Op{}
			w.edit = func(l *op.List) {
				if size = len(l.Ops); i < size {
					cut = l.Ops[i]
					l.Ops[i] = op.Exit(77)
					l.Ops[i].Label = cut.Label
				}
			}
			_, err := w.tryCreate("a", CreateOptions{Bundle: bundle})
			if i >= size {
				return
			}
			if err == nil {
				w.must(w.Delete("a", true))
			} else {
				w.refused(err, "the container side ended with code 77")
			}
			w.checkNothingLeft(fmt.Sprintf("the end at op %d, %s", i, cut))
			if w.Failed() {
				return
			}
		}
	})
}

// TestCreateKilled: kill -9 of create, whenever it comes, and delete --force: nothing stays.
func TestCreateKilled(t *testing.T) {
	both(t, func(w *world) {
		bundle := w.bundle("a", w.basic(full))
		began := time.Now()
		w.must(w.helper("create", order{ID: "a", CreateOptions: CreateOptions{Bundle: bundle}}).Run())
		span := time.Since(began)
		w.wantStatus("a", Created)
		w.must(w.Delete("a", false))
		w.checkNothingLeft("create as a process of its own")
		rounds := 40
		if inVM {
			rounds = 8
		}
		survivors := 0
		for range rounds {
			cmd := w.helper("create", order{ID: "a", CreateOptions: CreateOptions{Bundle: bundle}})
			w.must(cmd.Start())
			delay := time.Duration(rand.Int64N(int64(span)))
			time.Sleep(delay)
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			switch err := w.Delete("a", true); {
			case err == nil:
				survivors++
			case !errors.Is(err, ErrNotExist):
				w.Errorf("killed after %v: delete --force: %v", delay, err)
			}
			w.checkNothingLeft(fmt.Sprintf("create killed after %v", delay))
			if w.Failed() {
				return
			}
		}
		w.Logf("killed within %v, %d of %d had something to delete", span, survivors, rounds)
	})
}

// TestKilledAtCall: kill -9 of create at each call of the parent's.
func TestKilledAtCall(t *testing.T) {
	both(t, func(w *world) {
		bundle := w.bundle("a", w.basic(full))
		for n := 1; n < 200; n++ {
			cmd := w.helper("killed", order{ID: "a", CreateOptions: CreateOptions{Bundle: bundle}}, fmt.Sprintf("AT=%d", n))
			err := cmd.Run()
			if err == nil {
				break
			}
			if got := err.Error(); got != "signal: killed" {
				w.Fatalf("at call %d: %v", n, err)
			}
			if err := w.Delete("a", true); err != nil && !errors.Is(err, ErrNotExist) {
				w.Errorf("at call %d: delete --force: %v", n, err)
			}
			w.checkNothingLeft(fmt.Sprintf("create killed at call %d", n))
			if w.Failed() {
				return
			}
			if inVM {
				n += 4
			}
		}
		w.must(w.Delete("a", false))
	})
}

func init() {
	helpers["killed"] = func() int {
		var n int
		if _, err := fmt.Sscan(os.Getenv("AT"), &n); err != nil {
			return 2
		}
		return createWith(&kernel.Door{Trap: func(i int, _ kernel.Call) error {
			if i == n {
				_ = unix.Kill(os.Getpid(), unix.SIGKILL)
			}
			return nil
		}})
	}
}

// TestHalfMade: what a create that was ended early can leave, by itself.
func TestHalfMade(t *testing.T) {
	both(t, func(w *world) {
		w.must(os.MkdirAll(filepath.Join(w.Root, "a"), 0o755)) // nothing but the directory
		w.refused(w.Delete("a", false), "does not exist")
		_, err := w.tryCreate("a", CreateOptions{})
		w.refused(err, "already exists")
		w.must(w.Delete("a", true))
		c := w.create("a")
		c.Complete = false // as if create had been killed when its container side was there already
		w.must(c.write())
		w.wantStatus("a", Stopped)
		w.refused(c.Start(), "ended half-way", "container not running")
		w.must(w.Delete("a", false))

		c = w.create("a")
		c.Complete, c.Pid, c.Born = false, 0, 0 // as if it had been killed before it had noted who that is
		w.must(c.write())
		w.must(w.Delete("a", true))
		w.checkNothingLeft("a container side that nobody has noted")

		c = w.create("a")
		w.refused(w.DeleteAbandoned("a"), "half-made", "does not exist")
		w.wantStatus("a", Created)
		c.Complete = false
		w.must(c.write())
		w.must(w.DeleteAbandoned("a"))
		w.checkNothingLeft("containers that were half-made")
	})
}

// TestCreateRefused: what is wrong beside config.json.
func TestCreateRefused(t *testing.T) {
	both(t, func(w *world) {
		for _, test := range []struct {
			want   string
			change func(s *specs.Spec)
		}{
			{`exec: "nothing": executable file not found in $PATH`, args("nothing")},
			{`exec: "/bin/nothing": stat /bin/nothing: no such file or directory`, args("/bin/nothing")},
			{`exec: "/etc/passwd": stat /etc/passwd: permission denied`, args("/etc/passwd")},
			{`exec: "/etc": permission denied`, args("/etc")},
			{`exec: "/etc/passwd/x": stat /etc/passwd/x: not a directory`, args("/etc/passwd/x")},
			{"root.path: lstat /no: no such file or directory (`final rootfs /no/such` makes one)",
				func(s *specs.Spec) { s.Root.Path = "/no/such" }},
			{"root.path: open /dev/null: not a directory", func(s *specs.Spec) { s.Root.Path = "/dev/null" }},
			{`process.cwd: /proc/self/fd/1`, func(s *specs.Spec) { s.Process.Cwd = "/proc/self/fd/1" }},
			{`process.cwd: /etc/passwd: not a directory`, func(s *specs.Spec) { s.Process.Cwd = "/etc/passwd" }},
			{`linux.namespaces[1].path: /proc/1/ns/uts: not a network namespace`, func(s *specs.Spec) { s.Linux.Namespaces[1].Path = "/proc/1/ns/uts" }},
			{`linux.namespaces[1].path: /etc/hostname: not a network namespace`, func(s *specs.Spec) { s.Linux.Namespaces[1].Path = "/etc/hostname" }},
			{`process.terminal: true: want a console socket`, func(s *specs.Spec) { s.Process.Terminal = true }},
			{`mounts[7].source: `, func(s *specs.Spec) {
				s.Mounts = append(s.Mounts, specs.Mount{Destination: "/x", Type: "bind", Source: "/no/such"})
			}},
			{`mounts[7]: destination /x: mount: no such device`, func(s *specs.Spec) {
				s.Mounts = append(s.Mounts, specs.Mount{Destination: "/x", Type: "magic", Source: "magic"})
			}},
		} {
			_, err := w.tryCreate("a", CreateOptions{}, test.change)
			w.refused(err, test.want)
			w.checkNothingLeft(test.want)
			if err == nil {
				w.must(w.Delete("a", true))
			}
		}
		_, err := w.Create("a", CreateOptions{Bundle: w.dir})
		w.refused(err, "config.json: no such file or directory", "final spec")
		w.must(os.WriteFile(filepath.Join(w.dir, "config.json"), []byte("{"), 0o644))
		_, err = w.Create("a", CreateOptions{Bundle: w.dir})
		w.refused(err, "unexpected end of JSON input")
		_, err = w.tryCreate("a", CreateOptions{PidFile: "/no/such/dir/pid"})
		w.refused(err, "--pid-file", "no such file or directory")
		_, err = w.tryCreate("a", CreateOptions{PidfdSocket: "/no/such/socket"})
		w.refused(err, "--pidfd-socket", "no such file or directory")
		w.checkNothingLeft("creates that were refused")
	})
}
