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

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

var kinds = []string{"cgroup", "ipc", "mnt", "net", "pid", "uts"}

// joined makes a spec's namespace one that a process has.
func joined(pid int, types ...specs.LinuxNamespaceType) func(*specs.Spec) {
	files := map[specs.LinuxNamespaceType]string{specs.NetworkNamespace: "net", specs.MountNamespace: "mnt"}
	return func(s *specs.Spec) {
		for _, t := range types {
			file := files[t]
			if file == "" {
				file = string(t)
			}
			if t == specs.UserNamespace {
				s.Linux.UIDMappings, s.Linux.GIDMappings = nil, nil
			}
			s.Linux.Namespaces = slices.DeleteFunc(s.Linux.Namespaces, func(n specs.LinuxNamespace) bool { return n.Type == t })
			s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: t, Path: fmt.Sprintf("/proc/%d/ns/%s", pid, file)})
		}
		if slices.Contains(types, specs.UTSNamespace) {
			s.Hostname = ""
		}
	}
}

// mapped is a user namespace with ids of its own.
func mapped(s *specs.Spec) {
	s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.UserNamespace})
	s.Linux.UIDMappings = []specs.LinuxIDMapping{{ContainerID: 0, HostID: 100000, Size: 65536}}
	s.Linux.GIDMappings = []specs.LinuxIDMapping{{ContainerID: 0, HostID: 200000, Size: 65536}}
	all := []string{"CAP_CHOWN", "CAP_SETUID", "CAP_SETGID", "CAP_SYS_ADMIN", "CAP_KILL"}
	s.Process.Capabilities = &specs.LinuxCapabilities{Bounding: all, Effective: all, Permitted: all}
}

// TestNewNamespaces: those of the spec are new, the others the runtime's.
func TestNewNamespaces(t *testing.T) {
	both(t, func(w *world) {
		c := w.create("a")
		for _, kind := range kinds {
			if w.namespace(c.Pid, kind) == w.namespace(os.Getpid(), kind) {
				w.Errorf("%s: the runtime's", kind)
			}
		}
		w.must(w.Delete("a", false))
		c = w.create("a", func(s *specs.Spec) {
			s.Linux.Namespaces, s.Hostname = []specs.LinuxNamespace{{Type: specs.MountNamespace}}, ""
			s.Mounts = s.Mounts[1:2] // /dev alone
		})
		for _, kind := range kinds {
			if same := w.namespace(c.Pid, kind) == w.namespace(os.Getpid(), kind); same != (kind != "mnt") {
				w.Errorf("%s: the runtime's is %v", kind, same)
			}
		}
	})
}

// TestPod: namespaces by path, as the containers of a pod have them.
func TestPod(t *testing.T) {
	both(t, func(w *world) {
		pod := w.create("pod")
		w.must(pod.Start())
		types := []specs.LinuxNamespaceType{specs.NetworkNamespace, specs.IPCNamespace, specs.UTSNamespace, specs.PIDNamespace}
		c := w.create("a", joined(pod.Pid, types...))
		w.must(c.Start())
		for _, kind := range kinds {
			same := w.namespace(c.Pid, kind) == w.namespace(pod.Pid, kind)
			if want := kind != "mnt" && kind != "cgroup"; same != want {
				w.Errorf("%s: the pod's is %v, want %v", kind, same, want)
			}
		}
		if ids := strings.Fields(w.field(c.Pid, "NSpid")); len(ids) != 2 || ids[0] != strconv.Itoa(c.Pid) || ids[1] == "1" {
			w.Errorf("NSpid %q: want the pid of the state, and one that is not 1 in the pod", ids)
		}
		text, code, err := c.exec(execArgs("hostname"))
		if err != nil || code != 0 || text != "container" {
			w.Errorf("exec hostname: %q, code %d, %v", text, code, err)
		}
		w.must(w.Delete("a", true))
		reap() // a PID namespace ends only when all that were in it are reaped
		w.wantStatus("pod", Running)
	})
}

// TestPlan: what the parent would hand over has a number in a plan that is only to be read.
func TestPlan(t *testing.T) {
	both(t, func(w *world) {
		list, err := w.Plan("a", CreateOptions{Bundle: w.bundle("a", w.basic(joined(1, specs.MountNamespace), func(s *specs.Spec) {
			s.Mounts = append(s.Mounts, specs.Mount{Destination: "/etc", Type: "tmpfs", Options: []string{"tmpcopyup"}})
		}))})
		w.must(err)
		var calls strings.Builder
		for _, o := range list.Ops {
			fmt.Fprintln(&calls, o)
		}
		for _, want := range []string{"close_range(7,", "setns(5, CLONE_NEWNS)", "move_mount(6,"} {
			if !strings.Contains(calls.String(), want) {
				w.Errorf("the plan has no %s", want)
			}
		}
	})
}

// TestMountNamespaceByPath: the container's tree is in a mount namespace that is there already, and not the
// runtime's own.
func TestMountNamespaceByPath(t *testing.T) {
	both(t, func(w *world) {
		holder := exec.Command("sleep", "1000")
		holder.Path = filepath.Join(work, "image/bin/sleep")
		holder.SysProcAttr = &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNS}
		w.must(holder.Start())
		defer func() { _ = holder.Process.Kill(); _ = holder.Wait() }()
		c := w.create("a", joined(holder.Process.Pid, specs.MountNamespace), shell("ls /; sleep 1000"))
		if w.namespace(c.Pid, "mnt") != w.namespace(holder.Process.Pid, "mnt") {
			w.Error("not the mount namespace of the spec")
		}
		w.must(c.Start())
		text, _, err := c.exec(execArgs("ls", "/bin/lab"))
		if err != nil || text != "/bin/lab" {
			w.Errorf("exec: %q, %v", text, err)
		}
		w.must(w.Delete("a", true))
		_, err = w.tryCreate("b", CreateOptions{}, joined(os.Getpid(), specs.MountNamespace))
		w.refused(err, "linux.namespaces[5].path", "the runtime's own")
	})
}

// TestUserNamespace: root inside is nobody outside; exec into it, and a second container that joins it.
func TestUserNamespace(t *testing.T) {
	both(t, func(w *world) {
		c := w.create("a", mapped, shell("id -u; id -g; cat /proc/self/uid_map; echo > /dev/null && hostname; touch /tmp/done; sleep 1000"))
		w.must(c.Start())
		if uid, gid := w.field(c.Pid, "Uid"), w.field(c.Pid, "Gid"); uid != "100000 100000 100000 100000" || gid != "200000 200000 200000 200000" {
			w.Errorf("on the host: uid %s, gid %s", uid, gid)
		}
		if groups := w.field(c.Pid, "Groups"); groups != "" {
			w.Errorf("on the host: groups %s, want none", groups)
		}
		text, code, err := c.exec(execArgs("sh", "-c", "id -u; id -g; readlink /proc/self/ns/user; hostname; cat /proc/self/cgroup | head -n 1"))
		if want := "0\n0\n" + w.namespace(c.Pid, "user") + "\ncontainer"; err != nil || code != 0 || !strings.HasPrefix(text, want) {
			w.Errorf("exec: code %d, %v\nwant: %s\ngot:  %s", code, err, want, text)
		}
		var queues unix.Stat_t // of the namespace's maker
		if err := unix.Stat(fmt.Sprintf("/proc/%d/root/dev/mqueue", c.Pid), &queues); err != nil || queues.Uid != 100000 {
			w.Errorf("/dev/mqueue belongs to %d, %v; want the container's root", queues.Uid, err)
		}
		b := w.create("b", mapped, joined(c.Pid, specs.UserNamespace, specs.NetworkNamespace, specs.UTSNamespace, specs.IPCNamespace))
		w.must(b.Start())
		for _, kind := range append(kinds, "user") {
			same := w.namespace(b.Pid, kind) == w.namespace(c.Pid, kind)
			if want := slices.Contains([]string{"user", "net", "uts", "ipc"}, kind); same != want {
				w.Errorf("b: %s: the first one's is %v, want %v", kind, same, want)
			}
		}
		if ids := strings.Fields(w.field(b.Pid, "NSpid")); len(ids) != 2 || ids[1] != "1" {
			w.Errorf("b: NSpid %q: want process 1 of its own namespace", ids)
		}
		text, code, err = b.exec(execArgs("id", "-u"))
		if err != nil || code != 0 || text != "0" {
			w.Errorf("b: exec: %q, code %d, %v", text, code, err)
		}
		w.must(b.Kill(unix.SIGKILL, false))
		if _, code := b.wait(); code != 137 {
			w.Errorf("b: exit code %d", code)
		}
		w.wantStatus("b", Stopped)
		w.must(w.Delete("b", false))
		if !eventually(func() bool { return exists(fmt.Sprintf("/proc/%d/root/tmp/done", c.Pid)) }) {
			w.Error("the command does not come to its end")
		}
		w.must(c.Kill(unix.SIGKILL, false))
		if text, _ := c.wait(); !strings.HasPrefix(text, "0\n0\n         0     100000      65536\ncontainer") {
			w.Errorf("inside: %s", text)
		}
	})
}

// TestUserWithoutRoot: a user namespace in which 0 is nobody.
func TestUserWithoutRoot(t *testing.T) {
	both(t, func(w *world) {
		_, err := w.tryCreate("a", CreateOptions{}, mapped, func(s *specs.Spec) { s.Linux.UIDMappings[0].ContainerID = 1 })
		w.refused(err, "linux.uidMappings: want container id 0 among them")
		_, err = w.tryCreate("a", CreateOptions{}, mapped, func(s *specs.Spec) {
			s.Linux.UIDMappings = append(s.Linux.UIDMappings, s.Linux.UIDMappings[0])
		})
		w.refused(err, "linux.uidMappings: ", "invalid argument")
		w.checkNothingLeft("maps that are refused")
	})
}

// TestTimeNamespace: the clocks are where the spec wants them, and the process that is the container's is the
// one behind the second clone.
func TestTimeNamespace(t *testing.T) {
	both(t, func(w *world) {
		c := w.create("a", func(s *specs.Spec) {
			s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.TimeNamespace})
			s.Linux.TimeOffsets = map[string]specs.LinuxTimeOffset{"monotonic": {Secs: 7}, "boottime": {Secs: 1 << 20, Nanosecs: 5}}
			args("sleep", "1000")(s)
		})
		pid := c.Pid
		if w.field(pid, "NSpid") != fmt.Sprintf("%d 1", pid) || w.namespace(pid, "time") == w.namespace(os.Getpid(), "time") {
			w.Errorf("process %d: NSpid %s: want process 1 of the container", pid, w.field(pid, "NSpid"))
		}
		if offsets := strings.Fields(w.proc(pid, "timens_offsets")); strings.Join(offsets, " ") != "monotonic 7 0 boottime 1048576 5" {
			w.Errorf("offsets: %q", offsets)
		}
		pids, err := c.Pids()
		if err != nil || !slices.Equal(pids, []int{pid}) {
			w.Errorf("processes %v, %v: want %d alone", pids, err, pid)
		}
		w.must(c.Start())
		text, code, err := c.exec(execArgs("cat", "/proc/uptime"))
		up, _, _ := strings.Cut(text, ".")
		if seconds, _ := strconv.Atoi(up); err != nil || code != 0 || seconds < 1<<20 {
			w.Errorf("exec: uptime %q, code %d, %v: want 2^20 s and more", text, code, err)
		}
		w.must(c.Kill(unix.SIGKILL, false))
		if _, code = c.wait(); code != 137 {
			w.Errorf("code %d: want it our child", code)
		}
		w.wantStatus("a", Stopped)
	})
}

// TestTimeAndUserByPath: both are joined in the order that root may, whoever of the two owns the other.
func TestTimeAndUserByPath(t *testing.T) {
	both(t, func(w *world) {
		c := w.create("a", mapped, func(s *specs.Spec) {
			s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.TimeNamespace})
			s.Linux.TimeOffsets = map[string]specs.LinuxTimeOffset{"monotonic": {Secs: 7}}
		})
		w.must(c.Start())
		b := w.create("b", joined(c.Pid, specs.UserNamespace, specs.TimeNamespace))
		w.must(b.Start())
		for _, kind := range []string{"user", "time"} {
			if w.namespace(b.Pid, kind) != w.namespace(c.Pid, kind) {
				w.Errorf("%s: not the first one's", kind)
			}
		}
		w.must(w.Delete("b", true))
		w.must(w.Delete("a", true))
	})
}

// TestKillOnHost: where the container has no PID namespace of its own, SIGKILL ends all its processes, also when
// its first one has left the others behind.
func TestKillOnHost(t *testing.T) {
	both(t, func(w *world) {
		host := func(s *specs.Spec) {
			s.Linux.Namespaces = slices.DeleteFunc(s.Linux.Namespaces, func(n specs.LinuxNamespace) bool { return n.Type == specs.PIDNamespace })
			for i := range s.Mounts { // procfs shows a PID namespace: the host's
				if s.Mounts[i].Type == "proc" {
					s.Mounts[i] = specs.Mount{Destination: "/proc", Type: "bind", Source: "/proc", Options: []string{"rbind"}}
				}
			}
		}
		for _, first := range []bool{false, true} {
			c := w.create("a", host, args("sleep", "1000"))
			w.must(c.Start())
			p, _, err := c.startExec(execArgs("sleep", "1000"))
			w.must(err)
			if first {
				w.must(unix.Kill(c.Pid, unix.SIGKILL))
				c.wait()
			}
			w.must(c.Kill(unix.SIGKILL, false))
			if code := waitFor(p.Pid); code != 137 {
				w.Errorf("the other process: code %d, want it killed", code)
			}
			if !first {
				c.wait()
			}
			w.refused(c.Kill(unix.SIGKILL, false), "container not running")
			w.must(w.Delete("a", false))
		}
	})
}

// TestCgroupNamespace: the container's cgroup is the root of what it sees.
func TestCgroupNamespace(t *testing.T) {
	both(t, func(w *world) {
		text, _ := w.create("a", args("cat", "/proc/self/cgroup")).run()
		for line := range strings.SplitSeq(text, "\n") {
			if fields := strings.Split(line, ":"); len(fields) != 3 || fields[2] != "/" {
				w.Errorf("%s: want /", line)
			}
		}
		w.must(w.Delete("a", false))
		c := w.create("a")
		w.must(c.Start())
		text, code, err := c.exec(execArgs("cat", "/proc/self/cgroup"))
		if err != nil || code != 0 || strings.Contains(text, os.Getenv(group)) || strings.Contains(text, "..") {
			w.Errorf("exec: %s, code %d, %v: want / in every line", text, code, err)
		}
	})
}
