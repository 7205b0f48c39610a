//go:build linux

package main

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

	"github.com/simple-container/simple-container/final/internal/kernel"
	"github.com/simple-container/simple-container/final/internal/runtime"
)

// rootless has the victim made by a user who is nobody, out of what `final spec --rootless` gives him.
func (v *victim) rootless() {
	v.Helper()
	if s, off := kernel.UsersBarred(); off {
		v.Skipf("%s is %s: users have no containers here", s.Name, s.Value)
	}
	terminal, env := v.spec.Process.Terminal, v.spec.Process.Env
	v.spec = runtime.ExampleSpec(true)
	v.spec.Process.Terminal, v.spec.Process.Env, v.spec.Root.Readonly = terminal, env, false
	v.spec.Linux.UIDMappings[0].HostID, v.spec.Linux.GIDMappings[0].HostID = nobody().Uid, nobody().Gid
	program := filepath.Join(v.dir, "final") // where he may go
	// By a process of its own: one that we start meanwhile would inherit a file open for writing, and it could not be run.
	err := exec.Command("cp", v.program, program).Run()
	v.program = program
	if err == nil {
		err = os.Mkdir(filepath.Join(v.dir, "state"), 0o700)
	}
	if err != nil {
		v.Fatal(err)
	}
	for _, path := range []string{filepath.Join(v.dir, "state"), v.image("")} {
		if err := os.Chown(path, int(nobody().Uid), int(nobody().Gid)); err != nil {
			v.Fatal(err)
		}
	}
	v.owner = func(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Credential: nobody()} }
	v.caller = v.owner
}

// TestRootless: a user who is not root has containers too, as the root of their user namespaces, and nobody on the host.
func TestRootless(t *testing.T) {
	byBoth(t, func(t *testing.T, v *victim) {
		v.rootless()
		v.spec.Hooks = &specs.Hooks{CreateContainer: []specs.Hook{{Path: "/bin/sh", Args: []string{"sh", "-c", "hostname hooked"}}}}
		out := v.run("sh", "-c", "id -u; cat /proc/self/setgroups; hostname; touch /made; echo x > /dev/null; grep Groups /proc/self/status")
		if want := "0\ndeny\nhooked\nGroups:\t \n"; out != want {
			t.Errorf("it says %q, want %q", out, want)
		}
		v.spec.Hooks = nil
		var stat syscall.Stat_t
		if err := syscall.Stat(v.image("made"), &stat); err != nil || stat.Uid != nobody().Uid || stat.Gid != nobody().Gid {
			t.Errorf("what it made belongs to %d:%d, %v; want it the user's", stat.Uid, stat.Gid, err)
		}
		v.start("sleep", "60")
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", v.pid()))
		if uid := fieldOf(t, string(text), "Uid"); err != nil || uid != "65534\t65534\t65534\t65534" {
			t.Errorf("on the host its user is %q, %v; want nobody", uid, err)
		}
		if out := v.exec("sh", "-c", "id -u; hostname"); out != "0\ncontainer\n" {
			t.Errorf("exec: %q", out)
		}
		for _, line := range []string{"pause ID", "ps ID", "update --pids-limit 5 ID", "events --stats ID", "kill --all ID KILL"} {
			_, complaint, code := v.final(strings.Fields(strings.ReplaceAll(line, "ID", v.id))...)
			if code == 0 || !strings.Contains(complaint, "no cgroup: none was delegated") {
				t.Errorf("%s: exit code %d, %s; want it refused, as there is no cgroup", line, code, complaint)
			}
		}
		if _, complaint, code := v.final("kill", v.id, "KILL"); code != 0 {
			t.Error(complaint)
		}
		waitStopped(t, v)
		if _, complaint, code := v.final("delete", v.id); code != 0 {
			t.Error(complaint)
		}
	})
}

// TestRootlessRefused: what takes root is refused by name, and leaves nothing.
func TestRootlessRefused(t *testing.T) {
	byBoth(t, func(t *testing.T, v *victim) {
		v.rootless()
		without := func(kind specs.LinuxNamespaceType) func() {
			return func() {
				var rest []specs.LinuxNamespace
				for _, n := range v.spec.Linux.Namespaces {
					if n.Type != kind {
						rest = append(rest, n)
					}
				}
				v.spec.Linux.Namespaces = rest
			}
		}
		pids, weight, mode, lowest := int64(5), uint16(100), os.FileMode(0o600), -1000
		mounts := v.spec.Mounts
		mount := func(m specs.Mount) func() {
			return func() { v.spec.Mounts = append(mounts[:len(mounts):len(mounts)], m) }
		}
		device := func(d specs.LinuxDevice) func() { return func() { v.spec.Linux.Devices = []specs.LinuxDevice{d} } }
		limits := func(r specs.LinuxResources) func() { return func() { v.spec.Linux.Resources = &r } }
		original := *v.spec.Linux
		for _, test := range []struct {
			words  string
			change func()
		}{
			{"linux.namespaces: no new PID namespace, and no cgroup is delegated to user 65534", without(specs.PIDNamespace)},
			{"linux.resources.pids.limit: 5: no cgroup is delegated to this user", limits(specs.LinuxResources{Pids: &specs.LinuxPids{Limit: &pids}})},
			{"linux.resources.", limits(specs.LinuxResources{BlockIO: &specs.LinuxBlockIO{Weight: &weight}})},
			{"mounts[7]: destination /x: mount: operation not permitted: in a user namespace there is no ext4 but the host's",
				mount(specs.Mount{Destination: "/x", Type: "ext4", Source: "/dev/null"})},
			{"mounts[4]: destination /dev/mqueue: mount: operation not permitted: a user namespace has it with a new ipc namespace alone",
				without(specs.IPCNamespace)},
			{"mounts[7]: tmpcopyup, idmap: only root can prepare such a mount: ",
				mount(specs.Mount{Destination: "/x", Type: "tmpfs", Source: "tmpfs", Options: []string{"tmpcopyup"}})},
			{"linux.devices: /dev/none: stat /dev/none: no such file or directory: a user namespace may make no nodes",
				device(specs.LinuxDevice{Path: "/dev/none", Type: "c", Major: 1, Minor: 3})},
			{"linux.devices: /dev/zero: device 1:5, want 1:3: ", device(specs.LinuxDevice{Path: "/dev/zero", Type: "c", Major: 1, Minor: 3})},
			{"linux.devices: /dev/null: another type of file: ", device(specs.LinuxDevice{Path: "/dev/null", Type: "b", Major: 1, Minor: 3})},
			{"linux.devices: /dev/null: mode 0666, want 0600: ",
				device(specs.LinuxDevice{Path: "/dev/null", Type: "c", Major: 1, Minor: 3, FileMode: &mode})},
			{`linux.sysctl: "vm.swappiness": no namespace has a copy of it`, func() { v.spec.Linux.Sysctl = map[string]string{"vm.swappiness": "1"} }},
			{"linux.namespaces[6].path: setns /proc/self/ns/net network: operation not permitted", func() {
				without(specs.NetworkNamespace)()
				own := specs.LinuxNamespace{Type: specs.NetworkNamespace, Path: "/proc/self/ns/net"}
				v.spec.Linux.Namespaces = append(v.spec.Linux.Namespaces, own)
			}},
			{"process.oomScoreAdj: ", func() { v.spec.Process.OOMScoreAdj = &lowest }},
			{"linux.uidMappings: ", func() {
				v.spec.Linux.UIDMappings = []specs.LinuxIDMapping{{ContainerID: 0, HostID: 0, Size: 1}}
			}},
			{"linux.gidMappings: ", func() {
				v.spec.Linux.GIDMappings = []specs.LinuxIDMapping{{ContainerID: 0, HostID: nobody().Gid, Size: 2}}
			}},
			{"linux.namespaces: no user namespace, and user 65534 is not root: add one (final spec --rootless has it)", func() {
				without(specs.UserNamespace)()
				v.spec.Linux.UIDMappings, v.spec.Linux.GIDMappings = nil, nil
			}},
		} {
			linux := original
			v.spec.Linux, v.spec.Mounts, v.spec.Process.OOMScoreAdj = &linux, mounts, nil
			test.change()
			v.configure("true")
			v.refused(test.words)
		}
	})
}

// TestRootlessPlace: without --root, the states are where the other programs of the user's session have theirs.
func TestRootlessPlace(t *testing.T) {
	byBoth(t, func(t *testing.T, v *victim) {
		v.rootless()
		v.configure("true")
		cmd := exec.Command(v.program, "create", "--bundle", v.dir, v.id)
		v.caller(cmd)
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), "create: user 65534 has no place for states in XDG_RUNTIME_DIR: it is not set: sudo final create") {
			t.Errorf("without a place: %s, %v", out, err)
		}
		place := filepath.Join(v.dir, "state")
		cmd = exec.Command(v.program, "list")
		v.caller(cmd)
		cmd.Env = []string{"XDG_RUNTIME_DIR=" + place}
		if out, err := cmd.CombinedOutput(); err != nil || !strings.HasPrefix(string(out), "ID") {
			t.Errorf("list: %s, %v", out, err)
		}
		v.configure("sleep", "60")
		for _, line := range []string{"run --detach --bundle " + v.dir + " ID", "exec ID true", "kill ID KILL", "delete --force ID"} {
			cmd = exec.Command(v.program, strings.Fields(strings.ReplaceAll(line, "ID", v.id))...)
			v.caller(cmd)
			cmd.Env = []string{"XDG_RUNTIME_DIR=" + place}
			if err := cmd.Run(); err != nil { // its output would be the container's too
				t.Errorf("%s: %v", line, err)
			}
		}
		if info, err := os.Stat(place + "/simple-container/oci"); err != nil || info.Mode() != os.ModeDir|os.ModeSticky|0o700 {
			t.Errorf("the place: %v, %v", info.Mode(), err)
		}
		if left, err := os.ReadDir(place + "/simple-container/oci"); err != nil || len(left) > 0 {
			t.Errorf("below %s: %v, %v; want the place, and nothing in it", place, left, err)
		}
	})
}

// TestRootlessClean: a user's clean removes what a create of his has left that was ended, and no more.
func TestRootlessClean(t *testing.T) {
	byBoth(t, func(t *testing.T, v *victim) {
		v.rootless()
		v.start("sleep", "60")
		half := filepath.Join(v.dir, "state/half")
		if err := errors.Join(os.Mkdir(half, 0o700), os.Chown(half, int(nobody().Uid), int(nobody().Gid))); err != nil {
			t.Fatal(err)
		}
		for _, test := range []struct{ line, want string }{
			{"clean --dry-run", "would remove half-made container half\n"},
			{"clean", "removed half-made container half\n"},
			{"clean", "nothing to clean\n"},
		} {
			if out, complaint, code := v.final(strings.Fields(test.line)...); out != test.want || code != 0 {
				t.Errorf("%s: %s%s, code %d, want %s", test.line, out, complaint, code, test.want)
			}
		}
		if out := v.exec("echo", "here"); out != "here\n" {
			t.Errorf("the container that runs: %q", out)
		}
	})
}

// TestForeignPlace: nobody believes what others could have written, a user no more than root.
func TestForeignPlace(t *testing.T) {
	byBoth(t, func(t *testing.T, v *victim) {
		v.rootless()
		v.configure("true")
		place, lines := filepath.Join(v.dir, "state"), []string{"list", "state ID", "delete --force ID", "create --bundle DIR ID", "exec ID true"}
		for _, test := range []struct {
			what  string
			owner uint32
			mode  os.FileMode
			user  *syscall.Credential
			words string // none: it goes through
		}{
			{"the user's own", nobody().Uid, 0o700, nobody(), ""},
			{"others may look", nobody().Uid, 0o755, nobody(), ""},
			{"the user's group may write", nobody().Uid, 0o775, nobody(), ""},
			{"everybody may write", nobody().Uid, 0o777 | os.ModeSticky, nobody(), "others may write to it (mode 1777)"},
			{"root's", 0, 0o755, nobody(), "it belongs to user 0, and this is user 65534"},
			{"a user's, and root calls", nobody().Uid, 0o700, nil, "it belongs to user 65534, and this is user 0"},
			{"root's, and a group may write", 0, 0o775, nil, "others may write to it (mode 0775)"},
		} {
			if err := errors.Join(os.Chown(place, int(test.owner), int(nobody().Gid)), os.Chmod(place, test.mode)); err != nil {
				t.Fatal(err)
			}
			v.caller = func(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Credential: test.user} }
			if test.words == "" {
				if _, complaint, code := v.final("list"); code != 0 {
					t.Errorf("%s: list: %s", test.what, complaint)
				}
				continue
			}
			for _, line := range lines {
				_, complaint, code := v.final(strings.Fields(strings.NewReplacer("ID", v.id, "DIR", v.dir).Replace(line))...)
				if code == 0 || !strings.Contains(complaint, test.words) {
					t.Errorf("%s: %s: exit code %d, %s; want it refused with %q", test.what, line, code, complaint, test.words)
				}
			}
		}
		v.caller = v.owner
	})
}

// TestForeignSession: su(1) keeps XDG_RUNTIME_DIR, which is another user's then.
func TestForeignSession(t *testing.T) {
	byBoth(t, func(t *testing.T, v *victim) {
		v.rootless()
		for _, test := range []struct{ dir, words string }{
			{v.dir, "it belongs to user 0, and this is user 65534"},
			{filepath.Join(v.dir, "gone"), "no such file or directory"},
			{"here", "it is not set"}, // the specification wants it absolute, or passed over
		} {
			cmd := exec.Command(v.program, "list")
			v.caller(cmd)
			cmd.Env = []string{"XDG_RUNTIME_DIR=" + test.dir}
			out, err := cmd.CombinedOutput()
			if want := "list: user 65534 has no place for states in XDG_RUNTIME_DIR: "; err == nil ||
				!strings.Contains(string(out), want) || !strings.Contains(string(out), test.words) {
				t.Errorf("%s: %s, %v; want %q and %q", test.dir, out, err, want, test.words)
			}
		}
	})
}
