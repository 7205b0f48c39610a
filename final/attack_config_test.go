//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// This file has the attacks with a config.json, whose parts engines take from images and from users: names,
// hooks, sizes.

func nobody() *syscall.Credential { return &syscall.Credential{Uid: 65534, Gid: 65534} }

// What contradicts itself, or would reach beyond the container, is refused by name. (Neither this nor what is broken
// comes as far as an executor.)
func TestOddConfigurations(t *testing.T) {
	v := newVictim(t, false)
	original, err := json.Marshal(v.spec)
	if err != nil {
		t.Fatal(err)
	}
	for _, odd := range []struct {
		change func(*specs.Spec)
		words  string
	}{
		{func(s *specs.Spec) { s.Linux.Namespaces = append(s.Linux.Namespaces, s.Linux.Namespaces[0]) }, "linux.namespaces[6].type"},
		{func(s *specs.Spec) { s.Linux.Namespaces[0].Type = "users" }, "linux.namespaces[0].type"},
		{func(s *specs.Spec) { s.Linux.Namespaces[0].Path = "/proc/self/ns/net" }, "not a pid namespace"},
		{func(s *specs.Spec) { s.Linux.Namespaces[0].Path = "/dev/zero" }, "not a pid namespace"},
		{func(s *specs.Spec) { s.Process.Capabilities.Bounding[0] = "CAP_EVERYTHING" }, "process.capabilities.bounding"},
		{func(s *specs.Spec) { s.Process.Capabilities.Effective = []string{"cap_kill"} }, "process.capabilities.effective"},
		{func(s *specs.Spec) { s.Linux.CgroupsPath = "../escaped" }, "linux.cgroupsPath"},
		{func(s *specs.Spec) { s.Linux.CgroupsPath = "/a/../../escaped" }, "linux.cgroupsPath"},
		{func(s *specs.Spec) { s.Linux.CgroupsPath = "/" }, "linux.cgroupsPath"},
		{func(s *specs.Spec) { s.Linux.CgroupsPath = "/./" }, "linux.cgroupsPath"},
		{func(s *specs.Spec) { s.Linux.CgroupsPath = "/a\x00b" }, "invalid argument"},
		{func(s *specs.Spec) { s.Process.User.UID = ^uint32(0) }, "process.user.uid"},
		{func(s *specs.Spec) { s.Process.User.AdditionalGids = []uint32{^uint32(0)} }, "process.user.additionalGids[0]"},
		{func(s *specs.Spec) { s.Process.Args = []string{"a\x00b"} }, "process.args[0]"},
		{func(s *specs.Spec) { s.Process.Env = []string{"A=\x00b"} }, "process.env[0]"},
		{func(s *specs.Spec) { s.Process.Cwd = "/\x00" }, "process.cwd"},
		{func(s *specs.Spec) { s.Hostname = "a\x00b" }, "zero byte"},
		{func(s *specs.Spec) { s.Mounts[3].Destination = "/proc\x00/x" }, "zero byte"},
		{func(s *specs.Spec) { s.Mounts[3].Options = []string{"mode=755\x00"} }, "zero byte"},
		{func(s *specs.Spec) { s.Linux.MaskedPaths = []string{"/etc\x00/hosts"} }, "zero byte"},
		{func(s *specs.Spec) { s.Linux.ReadonlyPaths = []string{"/etc\x00/hosts"} }, "zero byte"},
		{func(s *specs.Spec) { s.Linux.Devices = []specs.LinuxDevice{{Path: "/dev/a\x00", Type: "p"}} }, "zero byte"},
		{func(s *specs.Spec) { s.Linux.Sysctl = map[string]string{"net.ipv4.ip_forward": "0\x00"} }, "zero byte"},
		{func(s *specs.Spec) { s.Root.Path = "rootfs\x00" }, "root.path"},
		{func(s *specs.Spec) { s.Mounts[3].Destination = "/proc/self/attr" }, "inside /proc"},
		{func(s *specs.Spec) { s.Mounts[3].Destination = "/proc/../proc/sys" }, "inside /proc"},
		{func(s *specs.Spec) { s.Mounts[0].Type = "tmpfs" }, "mounted on /proc"},
		{func(s *specs.Spec) { s.Mounts[3].Destination = "/" }, "mounts[3]"},
		{func(s *specs.Spec) { s.Mounts[3].Destination = "/../../" }, "mounts[3]"},
		{func(s *specs.Spec) { s.Hooks = &specs.Hooks{Poststart: []specs.Hook{{Path: "relative"}}} }, "hooks.poststart[0].path"},
	} {
		t.Run(odd.words, func(t *testing.T) {
			w := *v
			w.T, w.spec = t, &specs.Spec{}
			if err := json.Unmarshal(original, w.spec); err != nil {
				t.Fatal(err)
			}
			w.spec.Process.Args = []string{"true"}
			odd.change(w.spec)
			w.configure()
			w.refused(odd.words)
		})
	}
}

// An id is the name of a directory and of a cgroup; other texts are passed on as they are.
func TestOddNames(t *testing.T) {
	byBoth(t, func(t *testing.T, v *victim) {
		v.configure("true")
		for _, id := range []string{"", ".", "..", ".hidden", "a/b", "../a", "a\nb", "a b", "ä", "a;b", "$(id)", "a*", strings.Repeat("a", 256)} {
			if _, complaint, code := v.final("create", "--bundle", v.dir, "--", id); code != 1 {
				t.Errorf("create %q: exit code %d, %s; want 1", id, code, complaint)
				v.final("delete", "--force", "--", id)
			}
		}
		v.spec.Annotations = map[string]string{"a\nb": "\x01\x1b[31m\"\\\u2028</script>", "../x": "$(id)"}
		v.configure("true")
		if _, complaint, code := v.final("create", "--bundle", v.dir, v.id); code != 0 {
			t.Fatal(complaint)
		}
		out, _, _ := v.final("state", v.id)
		var state specs.State
		if err := json.Unmarshal([]byte(out), &state); err != nil || len(state.Annotations) != 2 ||
			state.Annotations["a\nb"] != v.spec.Annotations["a\nb"] || strings.Contains(out, "\x1b") {
			t.Errorf("state: %q, %v; want the annotations as they are", out, err)
		}
	})
}

// A cgroup that has processes is somebody else's: the container would share its limits, and end with it.
func TestCgroupOfSomebodyElse(t *testing.T) {
	byBoth(t, func(t *testing.T, v *victim) {
		v.spec.Linux.CgroupsPath = "attack-" + v.id
		v.start("sleep", "60")
		second := *v
		second.id += "-second"
		_, complaint, code := second.final("create", "--bundle", v.dir, second.id)
		if code != 1 || !strings.Contains(complaint, "not empty") {
			t.Errorf("a second container in the group: exit code %d, %s; want it refused", code, complaint)
		}
		if out := v.exec("echo", "alive"); out != "alive\n" {
			t.Errorf("the first container: %q", out)
		}
		if _, complaint, code := v.final("pause", v.id); code != 0 {
			t.Fatal(complaint)
		}
		if _, complaint, code = second.final("create", "--bundle", v.dir, second.id); code != 1 {
			t.Errorf("a second container in the frozen group: exit code %d, %s; want it refused", code, complaint)
			second.final("delete", "--force", second.id)
		}
		if _, complaint, code := v.final("resume", v.id); code != 0 {
			t.Fatal(complaint)
		}
	})
}

// The hooks of createContainer are found on the host, whatever the image has under their paths; of those that name an
// environment, the runtime's is not theirs.
func TestHooksOfTheImage(t *testing.T) {
	byBoth(t, func(t *testing.T, v *victim) {
		hook, out := filepath.Join(v.dir, "hook"), filepath.Join(v.dir, "hook.out")
		script := func(from string) []byte {
			return fmt.Appendf(nil, "#!/bin/sh\necho %s >> %s\nenv >> %s\n", from, out, out)
		}
		writeProgram(t, hook, script("host"))
		if err := os.MkdirAll(v.image(v.dir), 0o755); err != nil {
			t.Fatal(err)
		}
		writeProgram(t, v.image(hook), script("image"))
		hooks := []specs.Hook{{Path: hook, Env: []string{"PATH=" + os.Getenv("PATH")}}}
		v.spec.Hooks = &specs.Hooks{Prestart: hooks, CreateRuntime: hooks, CreateContainer: hooks, Poststart: hooks, Poststop: hooks} //nolint:staticcheck
		v.run("true")
		text, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(text), "host\n"); n != 5 || strings.Contains(string(text), "image\n") {
			t.Errorf("the hooks: %s; want five of the host", text)
		}
		if strings.Contains(string(text), "HOST_SECRET") {
			t.Errorf("the hooks have the runtime's environment: %s", text)
		}
	})
}

// A startContainer hook is looked up in the container, so that the image decides what runs. It is confined as
// the container's command is: else the image would have a process with all capabilities, and every device.
func TestStartContainerHookIsConfined(t *testing.T) {
	byBoth(t, func(t *testing.T, v *victim) {
		v.spec.Linux.Seccomp = &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{
			{Action: specs.ActErrno, Names: []string{"acct"}},
		}}
		v.spec.Process.User.UID = 1000
		v.spec.Hooks = &specs.Hooks{StartContainer: []specs.Hook{{
			Path: "/bin/sh", Args: []string{"sh", "-c", "(cat /proc/self/status /proc/self/cgroup; env; read x; echo state: $x) > /tmp/hook"},
			Env: []string{"PATH=/bin"},
		}}}
		v.run("true")
		text, err := os.ReadFile(v.image("tmp/hook"))
		if err != nil {
			t.Fatal(err)
		}
		out := string(text)
		for name, want := range map[string]string{
			"CapBnd": "0000000020000420", "CapEff": "0000000000000000", "Seccomp": "2", "NoNewPrivs": "1",
			"Uid": "1000\t1000\t1000\t1000",
		} {
			if got := fieldOf(t, out, name); got != want {
				t.Errorf("%s of the hook: %q; want %q", name, got, want)
			}
		}
		for line := range strings.Lines(out) { // 9:devices:/
			if strings.Contains(line, "devices:") && !strings.HasSuffix(line, ":/\n") || strings.Contains(line, "HOST_SECRET") {
				t.Errorf("of the hook: %s", line)
			}
		}
		mustHave(t, "the hook's standard input", out, `"id":"`+v.id)
	})
}

// What a hook of the image's prints is kept by the runtime, on the host: there must be an end to it.
func TestStartContainerHookPrintsWithoutEnd(t *testing.T) {
	byBoth(t, func(t *testing.T, v *victim) {
		v.spec.Hooks = &specs.Hooks{StartContainer: []specs.Hook{{
			Path: "/bin/sh", Args: []string{"sh", "-c", "head -c 4000000 /dev/zero | tr '\\0' x; exit 1"}, Env: []string{"PATH=/bin"},
		}}}
		v.configure("true")
		_, complaint, code := v.final("run", "--bundle", v.dir, v.id)
		if code != 1 || !strings.Contains(complaint, "startContainer") || len(complaint) > 1<<15 {
			t.Errorf("run: exit code %d, %d bytes: %.300s; want an error of at most 32 KiB", code, len(complaint), complaint)
		}
	})
}

// In a user namespace nobody is root of the host: not by ids, not by files.
func TestUserNamespaceReachesNothing(t *testing.T) {
	byBoth(t, func(t *testing.T, v *victim) {
		secret := filepath.Join(v.dir, "secret")
		if err := os.WriteFile(secret, []byte("secret"), 0o600); err != nil {
			t.Fatal(err)
		}
		v.spec.Linux.Namespaces = append(v.spec.Linux.Namespaces, specs.LinuxNamespace{Type: specs.UserNamespace})
		v.spec.Linux.UIDMappings = []specs.LinuxIDMapping{{ContainerID: 0, HostID: 100000, Size: 65536}}
		v.spec.Linux.GIDMappings = v.spec.Linux.UIDMappings
		v.spec.Mounts = append(v.spec.Mounts, specs.Mount{
			Destination: "/secret", Type: "bind", Source: secret, Options: []string{"bind"},
		})
		if err := os.WriteFile(v.image("secret"), nil, 0o644); err != nil {
			t.Fatal(err)
		}
		v.start("sleep", "60")
		out := v.exec("sh", "-c", "id -u; cat /secret 2>/dev/null && echo was read; ls /proc/1/root/etc/hostname; cat /proc/self/status")
		if !strings.HasPrefix(out, "0\n") || strings.Contains(out, "was read") {
			t.Errorf("in the container: %s", out)
		}
		var stat unix.Stat_t
		if err := unix.Stat(fmt.Sprintf("/proc/%d/ns/user", v.pid()), &stat); err != nil {
			t.Error(err)
		}
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", v.pid()))
		if err != nil {
			t.Fatal(err)
		}
		if uid := fieldOf(t, string(text), "Uid"); uid != "100000\t100000\t100000\t100000" {
			t.Errorf("on the host its user is %q; want 100000", uid)
		}
		if groups := fieldOf(t, string(text), "Groups"); groups != "" {
			t.Errorf("it has groups of the host: %q", groups)
		}
	})
}

// Sizes: what is large is carried out, or refused in words; nothing hangs.
func TestSizes(t *testing.T) {
	byBoth(t, func(t *testing.T, v *victim) {
		v.spec.Annotations = map[string]string{"huge": strings.Repeat("x", 8<<20)}
		if out := v.run("echo", "huge configuration"); out != "huge configuration\n" {
			t.Errorf("with a config.json of 8 MB: %q", out)
		}
		v.spec.Annotations = nil

		env := v.spec.Process.Env
		for i := range 10000 {
			v.spec.Process.Env = append(v.spec.Process.Env, fmt.Sprintf("NAME%d=value", i))
		}
		if out := v.run("sh", "-c", "echo $NAME9999"); out != "value\n" {
			t.Errorf("with 10000 variables: %q", out)
		}
		v.spec.Process.Env = env

		v.configure("echo", strings.Repeat("x", 1<<20))
		_, complaint, code := v.final("run", "--bundle", v.dir, v.id)
		if code != 1 || !strings.Contains(complaint, "argument list too long") || len(complaint) > 4096 {
			t.Errorf("an argument of 1 MB: exit code %d, %d bytes: %.300s; want: argument list too long", code, len(complaint), complaint)
		}
		v.start("sleep", "60")
		many := append([]string{"exec", v.id, "echo"}, make([]string, 200000)...)
		if _, complaint, code = v.final(many...); code != 0 {
			t.Errorf("200000 empty arguments: exit code %d, %.300s", code, complaint)
		}
	})
}

// Texts that are no config.json, or too much of one.
func TestBrokenConfigurations(t *testing.T) {
	v := newVictim(t, false)
	for what, text := range map[string]string{
		"nothing": "", "no object": "[]", "cut off": `{"ociVersion":"1.0`, "deep": strings.Repeat(`{"a":`, 100000),
		"wrong type": `{"ociVersion":"1.0.0","root":{"path":7}}`, "other text behind": `{"ociVersion":"1.0.0"} {}`,
		"null": "null", "null parts": `{"ociVersion":"1.0.0","root":null,"process":null,"linux":null}`,
	} {
		v.writeConfig([]byte(text))
		if _, complaint, code := v.final("create", "--bundle", v.dir, v.id); code != 1 || strings.Contains(complaint, "goroutine") {
			t.Errorf("%s: exit code %d, %.500s; want an error", what, code, complaint)
		}
	}
}
