//go:build linux

package runtime

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/kernel"
)

// These tests are of a user who is not root: what he asks for, a helper does that is his.

const learner = 4711

// A learning is a world with a user in it.
type learning struct {
	*world
	group *os.File      // the cgroup of the user's processes; nil for ours
	space bool          // they are root of a user namespace
	wait  time.Duration // until it is killed; 0 for long
	env   []string
}

// learn gives a world's directories to the user.
func learn(w *world) *learning {
	w.Helper()
	if s, off := kernel.UsersBarred(); off {
		w.Skipf("%s is %s: users have no containers here", s.Name, s.Value)
	}
	w.must(os.Mkdir(w.Root, 0o700))
	w.must(os.Chown(w.Root, learner, learner))
	w.before = w.belongings()
	l := &learning{world: w}
	l.Cleanup(func() {
		entries, _ := os.ReadDir(l.Root)
		for _, entry := range entries { // of a test that has failed
			l.does("delete", entry.Name())
		}
	})
	return l
}

// byLearner runs a test with both executors.
func byLearner(t *testing.T, test func(l *learning)) { both(t, func(w *world) { test(learn(w)) }) }

// bundle makes a bundle of the user's. Without a path, there is to be no cgroup.
func (l *learning) bundle(id string, change ...func(*specs.Spec)) string {
	l.Helper()
	s := ExampleSpec(true)
	s.Process.Terminal, s.Process.Args = false, []string{"sleep", "1000"}
	s.Process.Rlimits, s.Root.Readonly = nil, false
	s.Root.Path = filepath.Join(l.dir, "rootfs")
	s.Linux.UIDMappings[0].HostID, s.Linux.GIDMappings[0].HostID = learner, learner
	for _, c := range change {
		c(s)
	}
	dir := l.world.bundle(id, s)
	l.must(filepath.WalkDir(s.Root.Path, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			err = os.Chown(path, learner, learner)
		}
		return err
	}))
	return dir
}

// asLearner has the user's helper do something, and returns what it says, and how it ends. At is the call at which it
// is killed; 0 for none.
func (l *learning) asLearner(verb, id string, at int) (said string, err error) {
	l.Helper()
	o := order{ID: id, CreateOptions: CreateOptions{Bundle: filepath.Join(l.dir, id)}}
	cmd := l.helper("learner", o, append(l.env, "VERB="+verb, fmt.Sprintf("AT=%d", at), "PATH="+os.Getenv("PATH"))...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: learner, Gid: learner}}
	if l.space {
		ids := []syscall.SysProcIDMap{{HostID: learner, Size: 1}}
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags: unix.CLONE_NEWUSER | unix.CLONE_NEWNS, UidMappings: ids, GidMappings: ids, Credential: &syscall.Credential{},
		}
	}
	if l.group != nil {
		cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, int(l.group.Fd())
	}
	out, err := os.CreateTemp(l.dir, "said")
	l.must(err)
	defer os.Remove(out.Name())
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out // a file: the container may hold it open
	l.must(cmd.Start())
	watch := time.AfterFunc(cmp.Or(l.wait, 2*patient), func() { _ = cmd.Process.Kill() })
	stop := make(chan struct{})
	go reapOthers(cmd.Process.Pid, stop)
	err = cmd.Wait()
	watch.Stop()
	stop <- struct{}{}
	text, readErr := os.ReadFile(out.Name())
	l.must(readErr)
	return string(text), err
}

// reapOthers is reapWhile somebody else waits for one of our children.
func reapOthers(waited int, stop <-chan struct{}) {
	for ; ; time.Sleep(time.Millisecond) {
		select {
		case <-stop:
			return
		default:
		}
		found, _ := filepath.Glob("/proc/[0-9]*")
		for _, dir := range found {
			if pid, err := strconv.Atoi(filepath.Base(dir)); err == nil && pid != waited {
				_, _ = unix.Wait4(pid, nil, unix.WNOHANG, nil) // ECHILD if it is not ours
			}
		}
	}
}

// does fails unless the user can.
func (l *learning) does(verb, id string) (said string) {
	l.Helper()
	said, err := l.asLearner(verb, id, 0)
	if err != nil {
		l.Errorf("%s: %v: %s", verb, err, said)
	}
	return said
}

// pid is that of a container's first process.
func (l *learning) pid(id string) int {
	l.Helper()
	var state State
	l.must(json.Unmarshal([]byte(l.does("state", id)), &state))
	return state.Pid
}

// cannot fails unless the user is refused with these words, and nothing is left.
func (l *learning) cannot(verb, id string, words ...string) {
	l.Helper()
	said, err := l.asLearner(verb, id, 0)
	if err == nil {
		l.Errorf("%s: it went through; want it refused with %q", verb, words)
		l.does("delete", id)
	}
	l.refused(errors.New(said), words...)
	if verb == "create" {
		l.checkNothingLeft(fmt.Sprintf("a create that was refused: %q", words))
	}
}

func init() {
	helpers["learner"] = func() int {
		var o order
		var at int
		if json.Unmarshal([]byte(os.Getenv("ORDER")), &o) != nil {
			return 2
		}
		if _, err := fmt.Sscan(os.Getenv("AT"), &at); err != nil {
			return 2
		}
		r := &Runtime{Root: o.Root, Reexec: o.Reexec, Door: &kernel.Door{Trap: func(i int, _ kernel.Call) error {
			if i == at {
				_ = unix.Kill(os.Getpid(), unix.SIGKILL)
			}
			return nil
		}}}
		r.Systemd = os.Getenv("XDG_RUNTIME_DIR") != ""
		r.Door.Warn = func(text string) { fmt.Fprintln(os.Stderr, "warning:", text) }
		if err := doAsLearner(r, o, os.Getenv("VERB")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return 0
	}
}

// doAsLearner is doVerb, and what else a user asks for.
func doAsLearner(r *Runtime, o order, verb string) error {
	switch verb {
	case "create":
		_, err := r.Create(o.ID, o.CreateOptions)
		return err
	case "clean":
		ids, err := r.Abandoned()
		for _, id := range ids {
			err = errors.Join(err, r.DeleteAbandoned(id))
		}
		return err
	case "look":
		return lookInside(r, o.ID)
	}
	c, err := r.Load(o.ID)
	if err != nil {
		return err
	}
	switch verb {
	case "start":
		return c.Start()
	case "state":
		state, err := c.State()
		if err == nil {
			err = json.NewEncoder(os.Stdout).Encode(state)
		}
		return err
	case "ps":
		pids, err := c.Pids()
		fmt.Print(len(pids))
		return err
	case "events":
		_, err := c.Stats()
		return err
	}
	return doVerb(r, o.ID, verb)
}

// lookInside runs /look in a container to its end.
func lookInside(r *Runtime, id string) error {
	c, err := r.Load(id)
	if err != nil {
		return err
	}
	p, err := c.Process()
	if err != nil {
		return err
	}
	p.Args = []string{"sh", "/look"}
	running, err := c.Exec(ExecOptions{Process: p})
	if err != nil {
		return err
	}
	status, err := running.Wait()
	if err == nil && status.ExitStatus() != 0 {
		err = fmt.Errorf("exit status %d", status.ExitStatus())
	}
	return err
}

// look has a file for the container to be looked at with.
func (l *learning) script(text string) {
	l.Helper()
	l.must(os.WriteFile(filepath.Join(l.dir, "rootfs/look"), []byte(text), 0o644))
}

// logged is a log that everybody may write to.
func (l *learning) logged() (mount func(*specs.Spec), read func() []string) {
	l.Helper()
	mount, read = l.world.logged()
	file := filepath.Join(work, "log/hooks")
	l.must(os.WriteFile(file, nil, 0o666))
	l.must(os.Chmod(file, 0o666))
	return mount, read
}

// TestRootlessHooks: all six kinds, in their order, as the user and nobody else.
func TestRootlessHooks(t *testing.T) {
	byLearner(t, func(l *learning) {
		mount, log := l.logged()
		l.bundle("a", mount, func(s *specs.Spec) {
			s.Hooks = hooks(`echo "NAME $(id -u)" >> LOG`)
			shell("echo command >> /log/hooks; sleep 1000")(s)
		})
		l.does("create", "a")
		l.does("start", "a")
		if !eventually(func() bool { return strings.Contains(strings.Join(log(), "\n"), "command") }) {
			l.Error("the command did not run")
		}
		l.does("delete", "a")
		want := "prestart 4711 createRuntime 4711 createContainer 0 startContainer 0 "
		got := strings.Join(log(), " ")
		// The command and the poststart hook run at the same time.
		if got != want+"command poststart 4711 poststop 4711" && got != want+"poststart 4711 command poststop 4711" {
			l.Errorf("the hooks: %s", got)
		}
	})
}

// TestRootlessStartAgain: whoever starts a container is killed while hooks run; the container waits for another.
func TestRootlessStartAgain(t *testing.T) {
	byLearner(t, func(l *learning) {
		mount, log := l.logged()
		l.bundle("a", mount, func(s *specs.Spec) {
			s.Hooks = &specs.Hooks{StartContainer: []specs.Hook{hook("/bin/sh", "echo one >> /log/hooks"), hook("/bin/sh", "echo two >> /log/hooks")}}
			shell("echo command >> /log/hooks; sleep 1000")(s)
		})
		l.does("create", "a")
		if said, err := l.asLearner("start", "a", 2); err == nil { // the call that would start the second hook
			l.Errorf("start was not killed: %s", said)
		}
		l.does("start", "a")
		if !eventually(func() bool { return strings.Contains(strings.Join(log(), "\n"), "command") }) {
			l.Error("the command did not run")
		}
		if got := strings.Join(log(), " "); got != "one one two command" {
			l.Errorf("they ran: %s", got)
		}
		l.does("delete", "a")
	})
}

// TestRootlessListener: the agent of a user's profile gets the listener of a process that hides, too: that of a container
// with startContainer hooks, and that of exec.
func TestRootlessListener(t *testing.T) {
	byLearner(t, func(l *learning) {
		over, end, err := os.Pipe()
		l.must(err)
		l.Cleanup(func() { over.Close() })
		defer end.Close() // before the agent is waited for
		socket := l.listen("agent.sock", func(connection *net.UnixConn) {
			_, files := l.receive(connection)
			if len(files) != 1 {
				l.Errorf("the agent got %d files, want 1", len(files))
			}
			for _, file := range files {
				l.check(answer(file, over))
				file.Close()
			}
		})
		l.must(os.Chmod(socket, 0o777))
		seccomp := &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, ListenerPath: socket}
		seccomp.Syscalls = []specs.LinuxSyscall{{Names: []string{"mkdir", "mkdirat"}, Action: specs.ActNotify}}
		for _, hooks := range []*specs.Hooks{nil, {StartContainer: []specs.Hook{hook("/bin/sh", "true")}}} {
			l.bundle("a", func(s *specs.Spec) {
				s.Linux.Seccomp, s.Hooks = seccomp, hooks
				shell("mkdir /made 2> /said; sleep 1000")(s)
			})
			l.script("mkdir /made 2>&1")
			l.does("create", "a")
			l.does("start", "a")
			said := filepath.Join(l.dir, "rootfs/said")
			text := ""
			eventually(func() bool {
				read, _ := os.ReadFile(said)
				text = string(read)
				return text != ""
			})
			if !strings.Contains(text, "no space left on device") {
				l.Errorf("the command says %q: want the agent's answer", text)
			}
			if said, err := l.asLearner("look", "a", 0); err == nil || !strings.Contains(said, "no space left on device") {
				l.Errorf("exec says %q, %v: want the agent's answer", said, err)
			}
			l.does("delete", "a")
			l.must(os.Remove(said))
		}
		seccomp.Syscalls[0].Names = []string{"sendmsg"}
		l.bundle("a", func(s *specs.Spec) { s.Linux.Seccomp = seccomp })
		l.cannot("create", "a", `linux.seccomp.syscalls[0]: "sendmsg"`)
	})
}

// TestRootlessTime: a time namespace that is the user namespace's.
func TestRootlessTime(t *testing.T) {
	byLearner(t, func(l *learning) {
		l.bundle("a", func(s *specs.Spec) {
			s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.TimeNamespace})
			s.Linux.TimeOffsets = map[string]specs.LinuxTimeOffset{"boottime": {Secs: 1_000_000_000}}
		})
		l.script("cut -d. -f1 /proc/uptime")
		l.does("create", "a")
		l.does("start", "a")
		if up := l.does("look", "a"); len(up) < len("1000000000") {
			l.Errorf("inside, the machine is up for %s seconds, want a thousand million more", up)
		}
		l.does("delete", "a")
	})
}

// TestRootlessBarred: where the machine keeps user namespaces from users, its refusals say so.
func TestRootlessBarred(t *testing.T) {
	byLearner(t, func(l *learning) {
		const parameter = "/proc/sys/user/max_user_namespaces"
		l.bundle("a", func(s *specs.Spec) { // what is refused anyway
			s.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: 1 << 30, Hard: 1 << 30}}
		})
		none := filepath.Join(l.dir, "none")
		l.must(os.WriteFile(none, []byte("0\n"), 0o644))
		l.must(unix.Mount(none, parameter, "", unix.MS_BIND, "")) // in this world alone
		l.before = l.belongings()
		defer func() { l.check(unix.Unmount(parameter, unix.MNT_DETACH)) }()
		l.cannot("create", "a", "process.rlimits[0]: ", "operation not permitted: user.max_user_namespaces is 0, and so users "+
			"have no containers: sudo sysctl -w user.max_user_namespaces=10000")
	})
}

// TestRootOfUserNamespace: who is root of a user namespace alone has containers without another one, as those of Podman
// without root are.
func TestRootOfUserNamespace(t *testing.T) {
	byLearner(t, func(l *learning) {
		l.space = true
		l.bundle("a", func(s *specs.Spec) {
			s.Linux.UIDMappings, s.Linux.GIDMappings, s.Linux.Namespaces = nil, nil, ExampleSpec(false).Linux.Namespaces
			s.Linux.Resources = &specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{{Access: "rwm"}}}
			shell("(id -u; echo x > /dev/null; ls /sys/class/net) > /said.new; mv /said.new /said; sleep 1000")(s)
		})
		if said := l.does("create", "a"); !strings.Contains(said, "warning: linux.resources.devices: no cgroup is delegated") {
			l.Errorf("create says %q, want a warning", said)
		}
		l.does("start", "a")
		if uid := l.field(l.pid("a"), "Uid"); uid != "4711 4711 4711 4711" {
			l.Errorf("on the host its user is %s", uid)
		}
		said := filepath.Join(l.dir, "rootfs/said")
		if !eventually(func() bool { return exists(said) }) {
			l.Error("the command did not run")
		} else if text, err := os.ReadFile(said); err != nil || string(text) != "0\nlo\n" {
			l.Errorf("inside: %q, %v", text, err)
		}
		l.does("delete", "a")
	})
}

// TestRootlessKilled: kill -9 of every verb at each of its calls leaves nothing that the same user cannot remove.
func TestRootlessKilled(t *testing.T) {
	verbs := []string{"create", "start", "exec", "kill", "delete"}
	if inVM {
		verbs = verbs[1:2] // the others have a cgroup there (TestRootlessKilledLimits)
	}
	for _, verb := range verbs {
		t.Run(verb, func(t *testing.T) {
			byLearner(t, func(l *learning) { l.killVerb(verb) })
		})
	}
}

// killVerb kills the user's verb at each of its calls, one after the other.
func (l *learning) killVerb(verb string, change ...func(*specs.Spec)) {
	l.Helper()
	l.bundle("a", append(change, func(s *specs.Spec) {
		s.Hooks = &specs.Hooks{StartContainer: []specs.Hook{hook("/bin/sh", "true")}, Poststart: []specs.Hook{hook(hostShell, "true")}}
	})...)
	remove := []string{"delete", "clean"}
	for n := 1; n < 100; n++ {
		if verb != "create" {
			l.does("create", "a")
		}
		if verb != "create" && verb != "start" {
			l.does("start", "a")
		}
		if verb == "resume" {
			l.does("pause", "a")
		}
		said, ended := l.asLearner(verb, "a", n)
		if ended != nil && ended.Error() != "signal: killed" {
			l.Fatalf("%s, at call %d: %v: %s", verb, n, ended, said)
		}
		how := remove[0]
		if verb == "create" && ended != nil {
			how = remove[n%2]
		}
		if said, err := l.asLearner(how, "a", 0); err != nil && !strings.Contains(said, ErrNotExist.Error()) {
			l.Errorf("%s ended at call %d: %s: %v: %s", verb, n, how, err, said)
		}
		l.checkNothingLeft(fmt.Sprintf("%s ended at call %d, and %s", verb, n, how))
		if inVM { // an emulated processor
			n += map[bool]int{false: 3, true: 10}[l.Reexec]
		}
		if ended == nil || l.Failed() {
			l.Logf("%d calls", n-1)
			return
		}
	}
}

// TestRootlessCreateKilled: kill -9 of a user's create, whenever it comes.
func TestRootlessCreateKilled(t *testing.T) {
	byLearner(t, func(l *learning) {
		l.bundle("a")
		began := time.Now()
		l.does("create", "a")
		span := time.Since(began)
		l.does("delete", "a")
		rounds := 20
		if inVM {
			rounds = 4
		}
		for range rounds {
			delay := time.Duration(rand.Int64N(int64(span)))
			l.wait = delay
			_, ended := l.asLearner("create", "a", 0)
			l.wait = 0
			how := "delete"
			if ended != nil {
				how = "clean"
			}
			if said, err := l.asLearner(how, "a", 0); err != nil && !strings.Contains(said, ErrNotExist.Error()) {
				l.Errorf("create killed after %v: %s: %v: %s", delay, how, err, said)
			}
			if ended != nil && exists(l.Runtime.dir("a")) { // it had come to its end, or a moment before
				l.does("delete", "a")
			}
			l.checkNothingLeft(fmt.Sprintf("create killed after %v", delay))
			if l.Failed() {
				return
			}
		}
	})
}

// needs skips a test for want of a program, which CI has.
func (w *world) needs(program string) {
	w.Helper()
	_, err := exec.LookPath(program)
	switch {
	case err == nil:
	case os.Getenv("CI") == "true" && !inVM:
		w.Fatalf("%v: CI=true promises it: vagrant/provision.sh has to install it", err)
	default:
		w.Skip(err)
	}
}
