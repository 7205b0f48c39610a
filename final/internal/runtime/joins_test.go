//go:build linux

package runtime

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/plan"
)

// These tests are of a user whose container joins a user namespace, as those of a pod do.

// pod is what the containers of a pod share.
var pod = []specs.LinuxNamespaceType{specs.UserNamespace, specs.NetworkNamespace, specs.IPCNamespace, specs.UTSNamespace}

// TestRootlessPod: a container joins the user namespace of another one, and namespaces that this one owns.
func TestRootlessPod(t *testing.T) {
	for name, types := range map[string][]specs.LinuxNamespaceType{
		"user": pod[:1], "all": append(pod[:4:4], specs.CgroupNamespace, specs.TimeNamespace),
	} {
		t.Run(name, func(t *testing.T) {
			byLearner(t, func(l *learning) { l.joinPod(types, placed("")) })
		})
	}
	t.Run("pid", func(t *testing.T) {
		byLearner(t, func(l *learning) { // without a cgroup its processes could stay behind
			l.joinPod(append(pod[:4:4], specs.PIDNamespace), placed(l.delegate("shell")+"/box"))
		})
	})
}

func (l *learning) joinPod(types []specs.LinuxNamespaceType, place func(*specs.Spec)) {
	l.Helper()
	l.bundle("pod", func(s *specs.Spec) {
		s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.TimeNamespace})
	})
	l.does("create", "pod")
	l.does("start", "pod")
	first := l.pid("pod")
	mount, log := l.logged()
	l.bundle("a", mount, joined(first, types...), place, func(s *specs.Spec) {
		s.Process.OOMScoreAdj, s.Hooks = ptr(700), hooks(`echo "NAME $(id -u)" >> LOG`)
		if !plan.NewPID(s) { // TestRootlessJoinRefused
			s.Hooks.CreateContainer = nil
		}
	})
	l.script("id -u; cat /proc/self/oom_score_adj; readlink /proc/self/ns/user; cat /proc/self/setgroups")
	l.does("create", "a")
	l.does("start", "a")
	if said, want := l.does("look", "a"), "0\n700\n"+l.namespace(first, "user")+"\ndeny\n"; said != want {
		l.Errorf("exec says %q, want %q", said, want)
	}
	l.shares(first, l.pid("a"), types)
	l.does("delete", "a")
	want := "prestart 4711 createRuntime 4711 createContainer 0 startContainer 0 poststart 4711 poststop 4711"
	if slices.Contains(types, specs.PIDNamespace) {
		want = strings.Replace(want, "createContainer 0 ", "", 1)
	}
	if got := strings.Join(log(), " "); got != want {
		l.Errorf("the hooks: %s", got)
	}
	l.does("delete", "pod")
}

// shares fails unless two processes have namespaces of just these types in common.
func (l *learning) shares(a, b int, types []specs.LinuxNamespaceType) {
	l.Helper()
	wanted := map[string]bool{}
	for _, t := range types {
		kind, _ := plan.KindOf(t)
		wanted[kind.File] = true
	}
	for _, kind := range plan.Kinds {
		same := l.namespace(a, kind.File) == l.namespace(b, kind.File)
		if same != wanted[kind.File] {
			l.Errorf("%s: the same is %v, want %v", kind.File, same, wanted[kind.File])
		}
	}
}

// TestRootlessJoinRefused: what the kernel does not allow is refused in words.
func TestRootlessJoinRefused(t *testing.T) {
	byLearner(t, func(l *learning) {
		join := func(path string) func(*specs.Spec) {
			return func(s *specs.Spec) {
				joined(0, specs.UserNamespace)(s)
				s.Linux.Namespaces[len(s.Linux.Namespaces)-1].Path = path
			}
		}
		root := exec.Command("/proc/self/exe") // the root of a user namespace that is root's
		root.Env = []string{role + "=spy", "FOUND=/dev/null"}
		root.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags: unix.CLONE_NEWUSER, UidMappings: []syscall.SysProcIDMap{{HostID: learner, Size: 1}}, Pdeathsig: unix.SIGKILL,
		}
		l.must(root.Start())
		foreign, path := filepath.Join(l.dir, "foreign"), fmt.Sprintf("/proc/%d/ns/user", root.Process.Pid)
		l.must(os.WriteFile(foreign, nil, 0o644))
		l.must(unix.Mount(path, foreign, "", unix.MS_BIND, ""))
		defer func() {
			l.check(unix.Unmount(foreign, 0))
			l.check(root.Process.Kill())
			_, _ = root.Process.Wait()
		}()
		l.before = l.belongings()
		for path, words := range map[string]string{
			path:                  "permission denied",
			foreign:               "linux.namespaces: join user: operation not permitted: it is another user's",
			"/proc/self/ns/user":  "linux.namespaces: join user: it is the caller's own: leave it out",
			"/proc/self/ns/net":   "not a user namespace",
			"/proc/4194304/ns/no": "no such file",
		} {
			l.bundle("a", join(path))
			l.cannot("create", "a", words)
		}
		l.bundle("a", join(foreign), func(s *specs.Spec) {
			s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.TimeNamespace})
			s.Linux.TimeOffsets = map[string]specs.LinuxTimeOffset{"monotonic": {Secs: 7}}
		})
		l.cannot("create", "a", "linux.timeOffsets: user 4711")
		l.bundle("a", join(foreign), joined(root.Process.Pid, specs.PIDNamespace), func(s *specs.Spec) { s.Hooks = hooks("true") })
		l.cannot("create", "a", "hooks.createContainer: they have all files of user 4711")
	})
}

// TestRootlessSpy: a container that joins a user namespace brings the host's files and descriptors into it, for a moment.
// Whoever is its root, and sees the process, must not reach them.
func TestRootlessSpy(t *testing.T) {
	byLearner(t, func(l *learning) {
		spy, found := l.spy()
		seen := func() string {
			text, err := os.ReadFile(found)
			l.check(err)
			return string(text)
		}
		l.bundle("a", joined(spy, specs.UserNamespace), func(s *specs.Spec) {
			s.Hooks = hooks("true")
		})
		for range 3 {
			l.does("create", "a")
			l.does("start", "a")
			l.does("exec", "a")
			if !eventually(func() bool { return strings.Contains(seen(), "/lab\n") }) {
				l.Errorf("it has not even seen the command: %q", seen())
			}
			l.does("delete", "a")
		}
		for line := range strings.Lines(seen()) {
			if !strings.HasSuffix(line, "/lab\n") {
				l.Errorf("the spy has found %s", line)
			}
		}
	})
}

// TestRootlessMountByPath: a mount namespace that belongs to a user namespace of the user's.
func TestRootlessMountByPath(t *testing.T) {
	byLearner(t, func(l *learning) {
		spy, _ := l.spy()
		types := []specs.LinuxNamespaceType{specs.UserNamespace, specs.MountNamespace}
		l.bundle("a", joined(spy, types...))
		l.script("id -u")
		l.does("create", "a")
		l.does("start", "a")
		if said := l.does("look", "a"); said != "0\n" {
			l.Errorf("exec says %q", said)
		}
		l.does("delete", "a")
	})
}

// spy starts a process of the user's that is root of a user namespace and a mount namespace, and sees all others. What
// programs it finds there, by what only who may look into a process is told, is in a file.
func (l *learning) spy() (pid int, found string) {
	l.Helper()
	found = filepath.Join(l.dir, "found")
	l.must(os.WriteFile(found, nil, 0o644))
	l.must(os.Chown(found, learner, learner))
	cmd := l.helper("hold", order{}, "FOUND="+found)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: learner, Gid: learner}}
	out, err := cmd.StdoutPipe()
	l.must(err)
	l.must(cmd.Start())
	_, err = fmt.Fscan(out, &pid)
	l.Cleanup(func() {
		_ = unix.Kill(pid, unix.SIGKILL)
		_, _ = cmd.Process.Wait()
	})
	l.must(err)
	l.before = l.belongings()
	return pid, found
}

func init() {
	helpers["hold"] = func() int {
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = []string{role + "=spy", "FOUND=" + os.Getenv("FOUND")}
		ids := []syscall.SysProcIDMap{{HostID: learner, Size: 1}}
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUSER | unix.CLONE_NEWNS, UidMappings: ids, GidMappings: ids}
		if err := cmd.Start(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		fmt.Println(cmd.Process.Pid)
		_ = cmd.Wait()
		return 0
	}
	helpers["spy"] = func() int {
		log, err := os.OpenFile(os.Getenv("FOUND"), os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			return 1
		}
		known := map[string]bool{}
		for end := time.Now().Add(2 * patient); time.Now().Before(end); {
			lookAround(func(program string) {
				if !known[program] {
					known[program] = true
					fmt.Fprintln(log, program)
				}
			})
		}
		return 0
	}
}

// lookAround looks into all processes but this one.
func lookAround(found func(program string)) {
	entries, _ := os.ReadDir("/proc")
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		if program, err := os.Readlink("/proc/" + entry.Name() + "/exe"); err == nil {
			found(program)
		}
	}
}
