//go:build linux

package runtime

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/kernel"
)

// profiles are those of these tests. What each forbids, root with all capabilities may do without it.
const profiles = `
profile sc-strict flags=(attach_disconnected, mediate_deleted) {
	file, capability, network, signal, ptrace, umount,
	deny mount,
	deny /dev/shm/secret rwk,
}
profile sc-other flags=(attach_disconnected, mediate_deleted) {
	file, capability, network, signal, ptrace, mount, umount,
	deny /dev/shm/other rwk,
}
profile sc-runtime flags=(attach_disconnected, mediate_deleted) {
	file, capability, network, unix, signal, ptrace, mount, remount, umount, pivot_root, change_profile,
}
`

// needModule skips a test if a security module is off, unless the kernel's command line has it on. Policies are the
// whole machine's: only that of the micro-VM is ours to change.
func needModule(t *testing.T, name string) {
	t.Helper()
	if !inVM {
		t.Skip("a policy is the machine's: this test needs the micro-VM")
	}
	if slices.Contains(kernel.SecurityModules(), name) {
		return
	}
	line, _ := os.ReadFile("/proc/cmdline")
	if strings.Contains(string(line), "security="+name) || !strings.Contains(string(line), "security=") && name == "apparmor" {
		t.Fatalf("%s is off, with %s", name, line)
	}
	t.Skipf("the kernel's command line leaves %s off: go run ./vagrant/microvm -append security=%s", name, name)
}

// needAppArmor loads the profiles, for the time of the test.
func needAppArmor(t *testing.T) {
	t.Helper()
	needModule(t, "apparmor")
	for _, option := range []string{"--replace", "--remove"} {
		do := func() {
			cmd := exec.Command("apparmor_parser", option, "--skip-cache")
			cmd.Stdin = strings.NewReader(profiles)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("apparmor_parser %s: %v\n%s", option, err, out)
			}
		}
		if option == "--remove" {
			t.Cleanup(do)
		} else {
			do()
		}
	}
}

// confinedBy is a change to a container that does as its profile forbids, and says how that went.
func confinedBy(profile string) func(*specs.Spec) {
	return func(s *specs.Spec) {
		all := []string{"CAP_SYS_ADMIN", "CAP_DAC_OVERRIDE", "CAP_KILL"}
		s.Process.Capabilities = &specs.LinuxCapabilities{Bounding: all, Effective: all, Permitted: all}
		s.Process.ApparmorProfile, s.Linux.Seccomp = profile, nil
		s.Process.Args = []string{"sh", "-c", tryForbidden + "; > /dev/shm/ready; sleep 1000"}
	}
}

const tryForbidden = `cat /proc/self/attr/apparmor/current
for file in secret other; do echo x > /dev/shm/$file && echo wrote $file; done 2>/dev/null
mount -t tmpfs tmpfs /tmp 2>/dev/null && echo mounted
echo done`

// TestAppArmor: the command runs under its profile, as both sides see it, and what the profile forbids is refused. So
// does one more process, whoever asks for it; nobody else does.
func TestAppArmor(t *testing.T) {
	needAppArmor(t)
	for name, change := range map[string]func(*specs.Spec){
		"plain": func(s *specs.Spec) { s.Process.NoNewPrivileges = false },
		"user": func(s *specs.Spec) { // a new user namespace
			caps := s.Process.Capabilities
			mapped(s)
			s.Process.Capabilities = caps
		},
		"no new privileges": func(s *specs.Spec) { s.Process.NoNewPrivileges = true },
		"nobody": func(s *specs.Spec) {
			s.Process.User = specs.User{UID: 1000, GID: 1000}
			s.Process.Args = []string{"sh", "-c", "cat /proc/self/attr/apparmor/current; > /dev/shm/ready; sleep 1000"}
		},
	} {
		t.Run(name, func(t *testing.T) {
			more := moreUnder[:1]
			if name == "plain" {
				more = moreUnder
			}
			both(t, func(w *world) { w.testAppArmor(change, more) })
		})
	}
}

// moreUnder are the profiles that one more process is to have, and what it says under them.
var moreUnder = []struct{ profile, want string }{
	{"", "sc-strict (enforce)\nwrote other\ndone"}, // the container's
	{"sc-other", "sc-other (enforce)\nwrote secret\nmounted\ndone"},
	{"unconfined", "unconfined\nwrote secret\nwrote other\nmounted\ndone"},
	{"sc-strict//&sc-other", "sc-other//&sc-strict (enforce)\ndone"}, // a stack: what one of them forbids is forbidden
}

func (w *world) testAppArmor(change func(*specs.Spec), more []struct{ profile, want string }) {
	c := w.create("a", confinedBy("sc-strict"), change)
	w.wantProfile(c.Pid, "unconfined") // it becomes the command at its start
	w.must(c.Start())
	if !eventually(func() bool { return exists(fmt.Sprintf("/proc/%d/root/dev/shm/ready", c.Pid)) }) {
		w.Error("the command does not come to its end")
	}
	w.wantProfile(c.Pid, "sc-strict (enforce)")
	for _, test := range more {
		got, code, err := c.exec(func(o *ExecOptions) {
			o.Process.Args = []string{"sh", "-c", tryForbidden}
			o.Process.ApparmorProfile = test.profile
			o.Process.User = specs.User{}
		})
		if err != nil || code != 0 || got != test.want {
			w.Errorf("exec %q: code %d, %v\n%s\nwant:\n%s", test.profile, code, err, got, test.want)
		}
	}
	w.wantProfile(os.Getpid(), "unconfined")
	if next, err := os.ReadFile("/proc/self/attr/apparmor/exec"); !errors.Is(err, unix.EINVAL) { // there is none
		w.Errorf("the runtime itself would become %q, %v", next, err)
	}
	w.must(w.Delete("a", true))
	if got := c.output.String(); !strings.HasPrefix(got, "sc-strict (enforce)") || strings.Contains(got, "secret") || strings.Contains(got, "mounted") {
		w.Errorf("the command says %s", got)
	}
}

func (w *world) wantProfile(pid int, want string) {
	w.Helper()
	if got := w.proc(pid, "attr/apparmor/current"); got != want {
		w.Errorf("profile of process %d: %q, want %q", pid, got, want)
	}
}

// untilCommand waits until a process is the shell.
func (w *world) untilCommand(pid int) {
	w.Helper()
	if !eventually(func() bool { return strings.HasPrefix(w.proc(pid, "cmdline"), "sh\x00") }) {
		w.Errorf("process %d is %q, not the shell", pid, w.proc(pid, "cmdline"))
	}
}

// TestAppArmorUnknown: a profile that is not loaded fails the creation, in words by which engines tell it, and says
// what to do. A failed command for exec is the same.
func TestAppArmorUnknown(t *testing.T) {
	needAppArmor(t)
	both(t, func(w *world) {
		words := []string{`process.apparmorProfile: "sc-none": ` + "`/proc/self/attr/apparmor/exec`", "no such profile is loaded", "apparmor_parser -r"}
		_, err := w.tryCreate("a", CreateOptions{}, confinedBy("sc-none"))
		w.refused(err, words...)
		if strings.Contains(fmt.Sprint(err), unix.ENOENT.Error()) {
			w.Errorf("%v: engines take it for a command that is missing", err)
		}
		w.checkNothingLeft("create")
		c := w.create("b")
		w.must(c.Start())
		_, _, err = c.exec(func(o *ExecOptions) { o.Process.ApparmorProfile = "sc-none" })
		w.refused(err, words...)
	})
}

// TestAppArmorFakeProc: a container that has something else mounted on its /proc still gets no process without the
// profile (CVE-2019-16884, CVE-2025-52881).
func TestAppArmorFakeProc(t *testing.T) {
	needAppArmor(t)
	both(t, func(w *world) {
		c := w.create("a", confinedBy("sc-other"), shell(`mount -t tmpfs tmpfs /proc
mkdir -p /proc/self/attr/apparmor && > /proc/self/attr/apparmor/exec && > /proc/self/attr/exec && echo ready; sleep 1000`))
		w.must(c.Start())
		fake := fmt.Sprintf("/proc/%d/root/proc/self/attr/exec", c.Pid)
		if !eventually(func() bool { return exists(fake) }) {
			w.Fatal("no false /proc")
		}
		p, _, err := c.startExec(func(o *ExecOptions) {
			o.Process.Args, o.Process.ApparmorProfile = []string{"sleep", "1000"}, "sc-strict"
		})
		w.must(err)
		defer p.Pidfd.Close()
		w.wantProfile(p.Pid, "sc-strict (enforce)")
	})
}

// TestAppArmorStack: with no_new_privs, the kernel lets a process that is confined only become what is confined no less.
// A runtime that has a profile itself can then add one to its own (a stack), and not put another in its place.
func TestAppArmorStack(t *testing.T) {
	needAppArmor(t)
	both(t, func(w *world) {
		for profile, refused := range map[string]bool{"sc-strict": true, "sc-runtime//&sc-strict": false} {
			c := w.createUnder("sc-runtime", confinedBy(profile), func(s *specs.Spec) { s.Process.NoNewPrivileges = true })
			w.wantProfile(c.Pid, "sc-runtime (enforce)")
			if err := c.Start(); refused {
				w.refused(err, "exec sh: ", "operation not permitted")
			} else {
				w.must(err)
				w.untilCommand(c.Pid)
				w.wantProfile(c.Pid, profile+" (enforce)")
			}
			w.must(w.Delete("a", true))
		}
	})
}

// createUnder makes a container by a runtime that has a profile.
func (w *world) createUnder(profile string, change ...func(*specs.Spec)) *Container {
	w.Helper()
	self, err := os.Readlink("/proc/self/exe")
	w.must(err)
	cmd := w.helper("create", order{ID: "a", CreateOptions: CreateOptions{Bundle: w.bundle("a", w.basic(change...))}})
	script := fmt.Sprintf(`echo "exec %s" > /proc/self/attr/apparmor/exec && exec %s`, profile, self)
	cmd.Path, cmd.Args = "/bin/sh", []string{"sh", "-c", script}
	cmd.Stderr = os.Stderr // a pipe would have its end with the container
	w.must(cmd.Run())
	c, err := w.Load("a")
	w.must(err)
	return c
}
