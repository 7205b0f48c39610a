//go:build linux

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/opencontainers/runtime-spec/specs-go/features"
)

// The conformance tests go through the sentences of the OCI runtime specification that say MUST, and what
// engines expect of a runtime's command line. They know nothing of the program but what it prints.

// TestDebug: each call is in the log, and where there is none, on the standard error.
func TestDebug(t *testing.T) {
	byBoth(t, func(t *testing.T, v *victim) {
		v.configure("true")
		log := filepath.Join(v.dir, "log")
		out, complaint, code := v.final("--debug", "--log", log, "--log-format", "json", "create", "--bundle", v.dir, v.id)
		text, err := os.ReadFile(log)
		if code != 0 || out+complaint != "" || err != nil || !strings.Contains(string(text), `{"level":"debug","msg":"clone container `) {
			t.Errorf("code %d, %s%s, %v; the log: %s", code, out, complaint, err, text)
		}
		for line := range strings.Lines(string(text)) {
			if !json.Valid([]byte(line)) {
				t.Errorf("a line that is no JSON: %s", line)
			}
		}
		_, complaint, code = v.final("--debug", "delete", v.id)
		if code != 0 || !strings.Contains(complaint, "level=debug msg=\"rmdir ") {
			t.Errorf("code %d: %s", code, complaint)
		}
	})
}

// TestHonoured: what config.json says is so inside.
func TestHonoured(t *testing.T) {
	umask, score := uint32(0o077), 500
	for _, test := range []struct {
		must   string
		change func(*specs.Spec)
		script string
		want   string
	}{
		{"root.readonly", func(s *specs.Spec) { s.Root.Readonly = true }, "touch /x || echo refused", "refused"},
		{"mounts in the listed order", func(s *specs.Spec) {
			s.Mounts = append(s.Mounts, tmpfsAt("/a"), tmpfsAt("/a/b"), tmpfsAt("/c"))
		}, `while read _ at _; do case $at in /a*|/c) echo $at;; esac; done < /proc/mounts`, "/a\n/a/b\n/c"},
		{"a relative destination begins at /", func(s *specs.Spec) { s.Mounts = append(s.Mounts, tmpfsAt("rel")) },
			"stat -f /rel >/dev/null; grep -c ' /rel ' /proc/mounts", "1"},
		{"the tmpfs options of a bind mount", func(s *specs.Spec) {
			s.Mounts = append(s.Mounts, specs.Mount{Destination: "/b", Source: "/etc", Options: []string{"bind", "mode=755", "size=1k"}})
		}, "ls -d /b/passwd", "/b/passwd"},
		{"process.env, in full", func(s *specs.Spec) { s.Process.Env = []string{"PATH=/bin", "A=b c"} }, "env | grep ^A", "A=b c"},
		{"process.cwd", func(s *specs.Spec) { s.Process.Cwd = "/proc/sys" }, "pwd", "/proc/sys"},
		{"process.user", func(s *specs.Spec) {
			s.Process.User = specs.User{UID: 10, GID: 20, AdditionalGids: []uint32{30, 40}, Umask: &umask}
		}, "id -u; id -g; grep Groups: /proc/self/status; umask", "10\n20\nGroups:\t30 40 \n0077"},
		{"process.oomScoreAdj", func(s *specs.Spec) { s.Process.OOMScoreAdj = &score }, "cat /proc/self/oom_score_adj", "500"},
		{"process.rlimits", func(s *specs.Spec) {
			s.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: 100, Hard: 100}}
		}, "grep 'open files' /proc/self/limits | tr -s ' '", "Max open files 100 100 files "},
		{"consoleSize is ignored without a terminal", func(s *specs.Spec) {
			s.Process.ConsoleSize = &specs.Box{Height: 1 << 20, Width: 1}
		}, "echo there", "there"},
		{"hostname and domainname", func(s *specs.Spec) { s.Hostname, s.Domainname = "host-c", "domain-c" },
			"cat /proc/sys/kernel/hostname /proc/sys/kernel/domainname", "host-c\ndomain-c"},
		{"unknown annotations are ignored", func(s *specs.Spec) { s.Annotations = map[string]string{"org.x": ""} }, "echo there", "there"},
		{"the default devices and links", func(*specs.Spec) {},
			"for f in null zero full random urandom tty ptmx fd stdin stdout stderr; do test -e /dev/$f || echo no $f; done; readlink /dev/ptmx",
			"pts/ptmx"},
		{"a user namespace whose root is nobody's on the host", func(s *specs.Spec) {
			s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.UserNamespace})
			s.Linux.UIDMappings = []specs.LinuxIDMapping{{ContainerID: 0, HostID: 12345, Size: 100}}
			s.Linux.GIDMappings = s.Linux.UIDMappings
			s.Process.Capabilities = nil
		}, "id -u; grep -E 'Cap(Inh|Prm|Eff|Bnd|Amb)' /proc/self/status | grep -vc 0000000000000000; true", "0\n0"},
		{"sysctls of a namespace", func(s *specs.Spec) { s.Linux.Sysctl = map[string]string{"net.ipv4.ip_forward": "1"} },
			"cat /proc/sys/net/ipv4/ip_forward", "1"},
		{"masked and read-only paths", func(s *specs.Spec) {
			s.Linux.MaskedPaths, s.Linux.ReadonlyPaths = []string{"/etc", "/proc/version"}, []string{"/tmp"}
		}, "ls /etc; cat /proc/version; touch /tmp/x || echo refused", "refused"},
		{"devices outside of /dev", func(s *specs.Spec) {
			mode := os.FileMode(0o640)
			s.Linux.Devices = []specs.LinuxDevice{{Path: "/null-c", Type: "c", Major: 1, Minor: 3, FileMode: &mode}}
		}, "stat -c '%a' /null-c", "640"},
	} {
		t.Run(test.must, func(t *testing.T) {
			t.Parallel()
			byBoth(t, func(t *testing.T, v *victim) {
				test.change(v.spec)
				if got := strings.TrimSuffix(v.run("sh", "-c", test.script), "\n"); got != test.want {
					t.Errorf("%s: %q, want %q", test.script, got, test.want)
				}
			})
		})
	}
}

func tmpfsAt(path string) specs.Mount {
	return specs.Mount{Destination: path, Type: "tmpfs", Source: "tmpfs"}
}

// TestMountOptions: every option that `final features` names can be used.
func TestMountOptions(t *testing.T) {
	byBoth(t, func(t *testing.T, v *victim) {
		out, complaint, _ := v.final("features")
		var can features.Features
		if err := json.Unmarshal([]byte(out), &can); err != nil {
			t.Fatalf("%s%s: %v", out, complaint, err)
		}
		for _, want := range []string{"bind", "rbind", "remount", "rro", "nosymfollow", "idmap", "runbindable", "lazytime"} {
			if !slices.Contains(can.MountOptions, want) {
				t.Errorf("final features: mountOptions: no %s", want)
			}
		}
		elsewhere := []string{"bind", "rbind", "remount", "idmap", "ridmap"} // they need more than a tmpfs
		mounts := v.spec.Mounts
		for i, option := range can.MountOptions {
			// The kernel has locks of a kind only if it was built so, and a version counter only for file systems.
			if slices.Contains(elsewhere, option) || option == "mand" || option == "iversion" {
				continue
			}
			m := tmpfsAt(fmt.Sprintf("/m%d", i))
			m.Options = []string{option}
			v.spec.Mounts = append(v.spec.Mounts, m)
		}
		if out := v.run("grep", "-c", " /m[0-9]", "/proc/mounts"); out != fmt.Sprintln(len(v.spec.Mounts)-len(mounts)) {
			t.Errorf("%s mounts are there, want %d", strings.TrimSpace(out), len(v.spec.Mounts)-len(mounts))
		}
	})
}

// TestWithoutMountNamespace: the container inherits the runtime's, and leaves it as it was.
func TestWithoutMountNamespace(t *testing.T) {
	byBoth(t, func(t *testing.T, v *victim) {
		v.spec.Linux.Namespaces = slices.DeleteFunc(v.spec.Linux.Namespaces, func(n specs.LinuxNamespace) bool { return n.Type == specs.MountNamespace })
		mounted := func() bool {
			text, err := os.ReadFile("/proc/self/mountinfo")
			if err != nil {
				t.Fatal(err)
			}
			return strings.Contains(string(text), v.image(""))
		}
		v.start("sleep", "100")
		if !mounted() {
			t.Error("the container's mounts are not in the runtime's mount namespace")
		}
		if out := v.exec("ls", "/"); !strings.Contains(out, "attack") || strings.Contains(out, "boot") {
			t.Errorf("exec sees another root: %s", out)
		}
		v.final("delete", "--force", v.id)
		v.configure("/nowhere")
		v.refused("no such file or directory")
		if mounted() {
			t.Error("mounts of the container are left")
		}
	})
}

// TestCommandLine is a container's life, as engines ask for it. want is for the standard output and error.
func TestCommandLine(t *testing.T) {
	byBoth(t, func(t *testing.T, v *victim) {
		v.configure("sleep", "100")
		log, pidFile := filepath.Join(v.dir, "log"), filepath.Join(v.dir, "pid")
		for _, test := range []struct {
			line string
			code int
			want string // a regular expression
		}{
			{"--version", 0, `^runc version \d+\.\d+\.\d+.*\ncommit: \S+\nspec: 1\.`},
			{"list -f json", 1, `no such file or directory`}, // the root was named, and nothing is there,
			{"state ID", 1, `container does not exist`},
			{"kill ID 9", 1, `container does not exist`},
			{"delete ID", 1, `container does not exist`},
			{"delete --force ID", 0, `^$`},
			{"--log " + log + " --log-format=json start ID", 1, `container does not exist`},
			{"create", 1, `want: final create `},
			{"create .ID", 1, `container id`},
			{"create -b " + v.dir + " ID/x", 1, `container id`},
			{"create --bundle=" + v.dir + " ID --pid-file " + pidFile, 0, `^$`},
			{"create -b " + v.dir + " ID", 1, `already exists`},
			{"state ID", 0, `"status": "created"`},
			{"ps --format json ID", 0, `^\[\d+\]\n$`},
			{"pause ID", 0, `^$`},
			{"state ID", 0, `"status": "paused"`},
			{"start ID", 1, `cannot start a paused container`},
			{"resume ID", 0, `^$`},
			{"start ID", 0, `^$`},
			{"start ID", 1, `cannot start`},
			{"delete ID", 1, `running`},
			{"list --format=json", 0, `"id":"ID"`},
			{"list -q", 0, `^ID\n$`},
			{"exec ID sh -c exit 7", 7, `^$`},
			{"exec ID nowhere", 255, `executable file not found in \$PATH`},
			{"exec ID /nowhere", 255, `no such file or directory`},
			{"exec ID /etc", 255, `is a directory`},
			{"exec ID /etc/passwd", 255, `permission denied`},
			{"pause ID", 0, `^$`},
			{"exec ID true", 255, `paused`},
			{"resume ID", 0, `^$`},
			{"resume ID", 1, `not paused`},
			{"events --stats ID", 0, `^\{"type":"stats","id":"ID","data":\{"cpu"`},
			{"update ID --pids-limit 50", 0, `^$`},
			{"kill ID NOSUCH", 1, `signal`},
			{"kill ID SIGRTMIN+31", 1, `signal`},
			{"kill ID RTMIN+30", 0, `^$`},
			{"kill ID SIGKILL", 0, `^$`},
			{"WAIT", 0, ``},
			{"state ID", 0, `"pid": 0,\s+"status": "stopped"`},
			{"kill ID 9", 1, `container not running`},
			{"exec ID true", 255, `container not running`},
			{"start ID", 1, `cannot start`},
			{"delete ID", 0, `^$`},
			{"delete ID", 1, `container does not exist`},
			{"create -b " + v.dir + " ID", 0, `^$`},
			{"delete ID", 0, `^$`}, // a created one needs no force
			{"checkpoint ID", 1, `not offered`},
		} {
			if test.line == "WAIT" {
				waitStopped(t, v)
				continue
			}
			args := strings.Fields(strings.ReplaceAll(test.line, "ID", v.id))
			if i := slices.Index(args, "-c"); i >= 0 {
				args = append(args[:i+1], strings.Join(args[i+1:], " "))
			}
			out, complaint, code := v.final(args...)
			want := regexp.MustCompile(strings.ReplaceAll(test.want, "ID", v.id))
			if code != test.code || !want.MatchString(out+complaint) {
				t.Errorf("final %s: code %d, %q, want %d, %s", test.line, code, out+complaint, test.code, want)
			}
		}
		text, _ := os.ReadFile(log)
		lines := strings.Split(strings.TrimSpace(string(text)), "\n")
		var last struct{ Level, Msg, Time string }
		if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil || last.Level != "error" || !strings.Contains(last.Msg, "does not exist") {
			t.Errorf("--log: %q, %v", text, err)
		}
		if text, err := os.ReadFile(pidFile); err != nil || !regexp.MustCompile(`^\d+$`).Match(text) {
			t.Errorf("--pid-file: %q, %v", text, err)
		}
	})
}

// TestConfigElsewhere: with --config the bundle needs no config.json.
func TestConfigElsewhere(t *testing.T) {
	byBoth(t, func(t *testing.T, v *victim) {
		v.configure("sh", "-c", "exit 7")
		other := filepath.Join(t.TempDir(), "other.json")
		text, err := os.ReadFile(filepath.Join(v.dir, "config.json"))
		if err := errors.Join(err, os.WriteFile(other, text, 0o600), os.Remove(filepath.Join(v.dir, "config.json"))); err != nil {
			t.Fatal(err)
		}
		if out, complaint, code := v.final("run", "--bundle", v.dir, "--config", other, v.id); code != 7 {
			t.Errorf("code %d, want 7: %s%s", code, out, complaint)
		}
	})
}

// TestFeatures: what is said of this runtime that it can do, as other tests prove.
func TestFeatures(t *testing.T) {
	byBoth(t, func(t *testing.T, v *victim) {
		out, complaint, _ := v.final("features")
		var can features.Features
		if err := json.Unmarshal([]byte(out), &can); err != nil {
			t.Fatalf("%s%s: %v", out, complaint, err)
		}
		l := can.Linux
		for name, yes := range map[string]*bool{
			"cgroup.v1": l.Cgroup.V1, "cgroup.v2": l.Cgroup.V2, "cgroup.systemd": l.Cgroup.Systemd,
			"cgroup.systemdUser": l.Cgroup.SystemdUser, "cgroup.rdma": l.Cgroup.Rdma, "seccomp": l.Seccomp.Enabled,
			"apparmor": l.Apparmor.Enabled, "selinux": l.Selinux.Enabled, "netDevices": l.NetDevices.Enabled,
			"mountExtensions.idmap": l.MountExtensions.IDMap.Enabled,
		} {
			if yes == nil || !*yes {
				t.Errorf("linux.%s: not true", name)
			}
		}
		if !slices.Contains(can.PotentiallyUnsafeConfigAnnotations, "org.systemd.property.") {
			t.Errorf("potentiallyUnsafeConfigAnnotations: %q", can.PotentiallyUnsafeConfigAnnotations)
		}
		for _, version := range []string{can.OCIVersionMin, can.OCIVersionMax} {
			v.spec.Version = version
			v.run("true")
		}
	})
}

func waitStopped(t *testing.T, v *victim) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		if out, complaint, _ := v.final("state", v.id); strings.Contains(out, `"stopped"`) {
			return
		} else if time.Now().After(deadline) {
			t.Fatalf("still not stopped: %s%s", out, complaint)
		}
	}
}

// TestInvalid: what is invalid, or cannot be, makes no container.
func TestInvalid(t *testing.T) {
	byBoth(t, func(t *testing.T, v *victim) {
		v.configure("true")
		text, err := os.ReadFile(filepath.Join(v.dir, "config.json"))
		if err != nil {
			t.Fatal(err)
		}
		for _, test := range []struct {
			change func(*specs.Spec)
			want   string
		}{
			{func(s *specs.Spec) { s.Version = "2.0.0" }, "ociVersion"},
			{func(s *specs.Spec) { s.Version = "1.x" }, "ociVersion"},
			{func(s *specs.Spec) { s.Root.Path = "nowhere" }, "root.path"},
			{func(s *specs.Spec) { s.Process.Cwd = "relative" }, "process.cwd"},
			{func(s *specs.Spec) { s.Process.Terminal = true }, "process.terminal"},
			{func(s *specs.Spec) { s.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_X"}} }, "process.rlimits[0].type"},
			{func(s *specs.Spec) { s.Process.Rlimits = append(s.Process.Rlimits, s.Process.Rlimits...) }, "process.rlimits[1]"},
			{func(s *specs.Spec) { s.Linux.Namespaces = append(s.Linux.Namespaces, s.Linux.Namespaces[0]) }, "linux.namespaces[6]"},
			{func(s *specs.Spec) { s.Linux.Namespaces[1].Path = "/proc/self/ns/pid" }, "not a network namespace"},
			{func(s *specs.Spec) { s.Linux.Namespaces[1].Path = "proc/self/ns/net" }, "want an absolute path"},
			{func(s *specs.Spec) {
				s.Linux.Devices = []specs.LinuxDevice{{Path: "/etc/passwd", Type: "c", Major: 1, Minor: 3}}
			}, "linux.devices"},
			{func(s *specs.Spec) { s.Linux.Resources.Unified = map[string]string{"nothing.max": "1"} }, "linux.resources.unified"},
			{func(s *specs.Spec) { s.Linux.IntelRdt = &specs.LinuxIntelRdt{} }, "linux.intelRdt"},
			{func(s *specs.Spec) { s.Linux.Seccomp = &specs.LinuxSeccomp{DefaultAction: "SCMP_ACT_X"} }, "linux.seccomp.defaultAction"},
			{func(s *specs.Spec) {
				code := uint(1)
				s.Linux.Seccomp = &specs.LinuxSeccomp{DefaultAction: specs.ActKill, DefaultErrnoRet: &code}
			}, "linux.seccomp.defaultErrnoRet"},
			{func(s *specs.Spec) {
				s.Linux.Seccomp = &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{{Action: specs.ActErrno}}}
			}, "linux.seccomp.syscalls[0].names"},
			{func(s *specs.Spec) { s.Hooks = &specs.Hooks{Poststop: []specs.Hook{{Path: "true"}}} }, "hooks.poststop[0].path"},
			{func(s *specs.Spec) { s.Annotations = map[string]string{"": "x"} }, "annotations"},
		} {
			v.spec = &specs.Spec{}
			if err := json.Unmarshal(text, v.spec); err != nil {
				t.Fatal(err)
			}
			test.change(v.spec)
			v.configure()
			v.refused(test.want)
		}
	})
}

// TestWithoutProcess: process may be missing, until start.
func TestWithoutProcess(t *testing.T) {
	byBoth(t, func(t *testing.T, v *victim) {
		v.spec.Process = nil
		text, err := json.Marshal(v.spec)
		if err != nil {
			t.Fatal(err)
		}
		v.writeConfig(text)
		if _, complaint, code := v.final("create", "--bundle", v.dir, v.id); code != 0 {
			t.Fatal(complaint)
		}
		if _, complaint, code := v.final("start", v.id); code == 0 || !strings.Contains(complaint, "process: not set") {
			t.Errorf("start: code %d, %s", code, complaint)
		}
		if out, complaint, _ := v.final("state", v.id); !strings.Contains(out, `"created"`) {
			t.Errorf("state: %s%s", out, complaint)
		}
	})
}
