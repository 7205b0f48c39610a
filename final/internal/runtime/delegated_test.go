//go:build linux

package runtime

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/cgroup"
	"github.com/simple-container/simple-container/final/internal/kernel"
)

const unified = "/sys/fs/cgroup"

// delegate gives the user a cgroup of v2, as cgroups(7) has it, and puts his processes into the one below it, or in it
// itself if that is empty.
func (l *learning) delegate(below string) (place string) {
	l.Helper()
	if _, err := os.Stat(unified + "/cgroup.controllers"); err != nil {
		l.Skipf("needs cgroup v2 with its controllers, as in the micro-VM: %v", err)
	}
	place = os.Getenv(group) + "/" + filepath.Base(l.dir)
	dir := unified + place
	l.must(os.MkdirAll(filepath.Join(dir, below), 0o755))
	l.Cleanup(func() {
		l.group.Close()
		for _, dir := range []string{filepath.Join(dir, below), dir} {
			if err := unix.Rmdir(dir); err != nil && !errors.Is(err, unix.ENOENT) {
				l.Errorf("rmdir %s: %v", dir, err)
			}
		}
	})
	door := &kernel.Door{}
	for _, above := range []string{unified, unified + filepath.Dir(place)} {
		l.must(door.Write(above+"/cgroup.subtree_control", "+cpu +memory +pids"))
	}
	for _, name := range []string{"", "/cgroup.procs", "/cgroup.threads", "/cgroup.subtree_control"} {
		l.must(os.Chown(dir+name, learner, learner))
	}
	var err error
	l.group, err = os.Open(filepath.Join(dir, below))
	l.must(err)
	l.before = l.belongings()
	return place
}

// limited is a change that limits memory and the number of processes.
func limited(s *specs.Spec) {
	s.Linux.Resources = &specs.LinuxResources{
		Memory: &specs.LinuxMemory{Limit: ptr(int64(64 << 20))}, Pids: &specs.LinuxPids{Limit: ptr(int64(20))},
	}
}

// placed has the container's cgroup at a path.
func placed(path string) func(*specs.Spec) {
	return func(s *specs.Spec) { s.Linux.CgroupsPath = path }
}

// TestRootlessLimits: in a cgroup that was given to the user, limits work, and all verbs that take a cgroup do.
func TestRootlessLimits(t *testing.T) {
	byLearner(t, func(l *learning) {
		place := l.delegate("shell")
		for _, path := range []string{place + "/box", "box"} { // a relative one goes beside the user's own
			l.bundle("a", limited, placed(path))
			l.does("create", "a")
			dir := unified + place + "/box"
			for file, want := range map[string]string{"memory.max": "67108864", "pids.max": "20"} {
				if text, err := os.ReadFile(dir + "/" + file); err != nil || strings.TrimSpace(string(text)) != want {
					l.Errorf("%s: %q, %v; want %s", file, text, err, want)
				}
			}
			if text := l.proc(l.pid("a"), "cgroup"); text != "0::"+place+"/box" {
				l.Errorf("the container is in %s", text)
			}
			l.does("start", "a")
			l.script("cat /proc/self/cgroup; cat /sys/fs/cgroup/pids.max")
			if said := l.does("look", "a"); said != "0::/\n20\n" {
				l.Errorf("exec says %q", said)
			}
			for _, verb := range []string{"events", "update", "pause", "resume"} {
				l.does(verb, "a")
			}
			if text, err := os.ReadFile(dir + "/pids.max"); err != nil || string(text) != "50\n" {
				l.Errorf("pids.max after update: %q, %v", text, err)
			}
			if said := l.does("ps", "a"); said != "1" {
				l.Errorf("ps: %s processes, want 1", said)
			}
			l.does("delete", "a")
			l.checkNothingLeft(path)
		}
	})
}

// TestRootlessSystemd: the systemd of a user's session makes the container's cgroup, as a scope with its limits.
func TestRootlessSystemd(t *testing.T) {
	byLearner(t, func(l *learning) {
		l.delegate("shell")
		l.session()
		l.bundle("a", limited, placed("user.slice:test:a"))
		l.does("create", "a")
		l.does("start", "a")
		pid := l.pid("a")
		where := l.proc(pid, "cgroup")
		if !strings.HasSuffix(where, "/session/user.slice/test-a.scope") {
			l.Errorf("the container is in %s", where)
		}
		dir := unified + strings.TrimPrefix(where, "0::")
		for file, want := range map[string]string{"memory.max": "67108864", "pids.max": "20"} {
			if text, err := os.ReadFile(dir + "/" + file); err != nil || strings.TrimSpace(string(text)) != want {
				l.Errorf("%s: %q, %v; want %s", file, text, err, want)
			}
		}
		for _, verb := range []string{"exec", "pause", "resume", "events", "delete"} {
			l.does(verb, "a")
		}
		if !eventually(func() bool { return !exists(dir) }) {
			l.Errorf("%s is there still", dir)
		}
	})
}

// session starts the systemd of the user's session.
func (l *learning) session() {
	l.Helper()
	const program = "/lib/systemd/systemd"
	if !exists(program) {
		l.Skipf("there is no %s", program)
	}
	dir := filepath.Dir(l.group.Name()) + "/session"
	run := filepath.Join(l.dir, "run")
	for _, path := range []string{dir, run} {
		l.must(os.Mkdir(path, 0o700))
		l.must(os.Chown(path, learner, learner))
	}
	for _, name := range []string{"cgroup.procs", "cgroup.threads", "cgroup.subtree_control"} {
		l.must(os.Chown(dir+"/"+name, learner, learner))
	}
	place, err := os.Open(dir)
	l.must(err)
	l.must((&kernel.Door{}).Write(filepath.Dir(dir)+"/cgroup.subtree_control", "+cpu +memory +pids"))
	l.env = []string{"XDG_RUNTIME_DIR=" + run}
	l.must(os.MkdirAll("/run/systemd/system", 0o755)) // by which it sees that the machine's is systemd, too
	l.must(os.MkdirAll(run+"/systemd/user", 0o755))
	l.must(os.Chown(run+"/systemd", learner, learner))
	l.must(os.WriteFile(run+"/systemd/user/nothing.target", []byte("[Unit]\nDefaultDependencies=no\n"), 0o644))
	cmd := exec.Command(program, "--user", "--unit=nothing.target", "--log-target=console")
	cmd.Env = append(l.env, "HOME="+run, "PATH="+os.Getenv("PATH"))
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Credential: &syscall.Credential{Uid: learner, Gid: learner}, UseCgroupFD: true, CgroupFD: int(place.Fd()),
	}
	l.must(cmd.Start())
	place.Close()
	l.Cleanup(func() {
		_ = cmd.Process.Kill()
		_, _ = cmd.Process.Wait() // a test may have reaped it
		l.check(os.RemoveAll("/run/systemd"))
		if err := cgroup.Remove(&kernel.Door{}, dir); err != nil {
			l.Error(err)
		}
	})
	if !eventually(func() bool { return exists(run + "/systemd/private") }) {
		l.Fatal("the user's systemd does not listen")
	}
}

// TestRootlessKilledLimits is TestRootlessKilled where the container has a cgroup.
func TestRootlessKilledLimits(t *testing.T) {
	for _, verb := range []string{"create", "exec", "update", "pause", "resume", "kill", "delete"} {
		t.Run(verb, func(t *testing.T) {
			byLearner(t, func(l *learning) { l.killVerb(verb, limited, placed(l.delegate("shell")+"/box")) })
		})
	}
}

// TestRootlessLimitsRefused: a limit that cannot be is refused by name, with what to do; without one, the container runs.
func TestRootlessLimitsRefused(t *testing.T) {
	for _, test := range []struct {
		name  string
		place func(l *learning) string // the container's cgroup
		words string
		group bool // without limits it has one
	}{
		{"the user's processes are in the cgroup that was given to him", func(l *learning) string {
			l.delegate("")
			return "box"
		}, "it has processes of its own, and so may hand nothing down: have them in a group below it", true},
		{"the user's processes are elsewhere", func(l *learning) string {
			place := l.delegate("shell")
			l.group.Close()
			l.group, _ = os.Open(unified)
			l.before = l.belongings()
			return place + "/box"
		}, "this process is in /sys/fs/cgroup", false},
		{"nothing was given", func(l *learning) string {
			l.delegate("shell")
			return os.Getenv(group) + "/box"
		}, "no cgroup is delegated to this user", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			byLearner(t, func(l *learning) {
				path := placed(test.place(l))
				l.bundle("a", limited, path)
				l.cannot("create", "a", "linux.resources.", test.words)
				l.bundle("a", path)
				l.does("create", "a")
				l.does("start", "a")
				verbs := []string{"ps", "events", "update", "pause"}
				for _, verb := range verbs {
					if said, err := l.asLearner(verb, "a", 0); !test.group && (err == nil || !strings.Contains(said, errNoGroup)) {
						l.Errorf("%s: %s, %v; want it refused", verb, said, err)
					} else if test.group && err != nil && verb != "update" {
						l.Errorf("%s: %s: %v", verb, said, err)
					}
				}
				l.does("delete", "a")
				l.checkNothingLeft(fmt.Sprint(test.name, ", without limits"))
			})
		})
	}
}

const errNoGroup = "the container has no cgroup: none was delegated to the user who made it"
