//go:build linux

package trace

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/confine"
	"github.com/simple-container/simple-container/final/internal/kernel"
	"github.com/simple-container/simple-container/final/internal/op"
	"github.com/simple-container/simple-container/final/internal/runtime"
)

// newBundle makes a bundle of a program, under a profile.
func newBundle(t *testing.T, path string, seccomp *specs.LinuxSeccomp, change func(*specs.Spec)) (dir string) {
	t.Helper()
	dir = t.TempDir()
	image, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	s := runtime.ExampleSpec(false)
	s.Process.Terminal, s.Process.Args, s.Process.Rlimits = false, []string{"/app"}, nil
	s.Linux.Seccomp = seccomp
	s.Linux.CgroupsPath = fmt.Sprintf("/final-trace-test-%d-%s", os.Getpid(), filepath.Base(dir))
	if change != nil {
		change(s)
	}
	config, err := json.Marshal(s)
	if err == nil {
		err = errors.Join(os.Mkdir(dir+"/rootfs", 0o755), os.WriteFile(dir+"/rootfs/app", image, 0o755),
			os.WriteFile(dir+"/config.json", config, 0o644))
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// runContainer runs a program in a container under a profile, and if it is to be traced, by an engine.
func runContainer(t *testing.T, path string, seccomp *specs.LinuxSeccomp, o *Options) (Summary, int) {
	t.Helper()
	bundle := newBundle(t, path, seccomp, nil)
	r := &runtime.Runtime{Root: bundle + "/state", Door: &kernel.Door{}}
	c, err := r.Create("app", runtime.CreateOptions{Bundle: bundle})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := r.Delete("app", true); err != nil {
			t.Error(err)
		}
	}()
	p := &process{t: t, Target: Of(c)}
	var tracer *Tracer
	if o != nil {
		o.AfterExec = true
		tracer = start(t, p.Target, *o)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	if tracer == nil {
		return Summary{}, waitFor(t, c.Pid)
	}
	<-tracer.Done()
	status, taken := tracer.Status()
	if err := tracer.Close(); err != nil {
		t.Fatal(err)
	}
	summary, err := tracer.Summary()
	if err != nil {
		t.Fatal(err)
	}
	if taken {
		return summary, exitCode(status)
	}
	return summary, waitFor(t, c.Pid)
}

func waitFor(t *testing.T, pid int) int {
	t.Helper()
	var status unix.WaitStatus
	for {
		_, err := unix.Wait4(pid, &status, 0, nil)
		if err == nil {
			return exitCode(status)
		}
		if !errors.Is(err, unix.EINTR) {
			t.Fatal(err)
		}
	}
}

// TestProfile: a program runs under the profile of what it did, and what it did not do is refused.
func TestProfile(t *testing.T) {
	refused := fails(getgid, unix.EPERM) // it has no errors, but under a filter
	app := script(t, repeat(3, getppid), repeat(2, missing), one(op.Chdir("/"), op.Exit(9)))
	grown := script(t, repeat(3, getppid), repeat(2, missing), one(op.Chdir("/"), refused),
		one(call("getegid", unix.SYS_GETEGID), op.Exit(9)))
	engines(t, func(t *testing.T, engine Engine) {
		summary, code := runContainer(t, app, nil, &Options{Engine: engine})
		if code != 9 {
			t.Errorf("exit code %d, want 9", code)
		}
		profile, nameless, err := summary.Profile("final")
		if err != nil {
			t.Fatal(err)
		}
		want := []string{"capset", "chdir", "execve", "exit", "exit_group", "getppid", "openat", "restart_syscall", "rt_sigreturn", "write"}
		if diff := cmp.Diff(want, profile.Syscalls[0].Names); diff != "" || len(nameless) > 0 {
			t.Errorf("%v %s", nameless, diff)
		}
		text, err := ProfileFile(profile)
		if err != nil {
			t.Fatal(err)
		}
		read := &specs.LinuxSeccomp{}
		if err := json.Unmarshal(text, read); err != nil {
			t.Fatal(err)
		}
		if _, code := runContainer(t, app, read, nil); code != 9 {
			t.Errorf("under its profile: exit code %d, want 9", code)
		}
		if _, code := runContainer(t, grown, read, nil); code != 1 {
			t.Errorf("one that does more, under the profile: exit code %d, want 1: its last call has no leave to fail", code)
		}
	})
}

// TestProfileForRunc: under a profile for runc, runc starts it too.
func TestProfileForRunc(t *testing.T) {
	runc, err := exec.LookPath("runc")
	if err != nil {
		if os.Getenv("CI") != "" && os.Getenv("MICROVM") == "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	app := script(t, repeat(3, getppid), repeat(2, missing), one(op.Exit(9)))
	summary, _ := runContainer(t, app, nil, &Options{Engine: Ptrace})
	profile, _, err := summary.Profile("runc")
	if err != nil {
		t.Fatal(err)
	}
	for _, noNewPrivileges := range []bool{false, true} {
		bundle := newBundle(t, app, profile, func(s *specs.Spec) {
			s.Version, s.Process.NoNewPrivileges = "1.0.2", noNewPrivileges // Debian's knows no newer
		})
		id := "app-" + filepath.Base(filepath.Dir(bundle)) + filepath.Base(bundle)
		cmd := exec.Command(runc, "--root", t.TempDir(), "run", "--bundle", bundle, id)
		out, err := cmd.CombinedOutput()
		if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 9 {
			t.Errorf("no_new_privs %v: %v, want exit code 9\n%s", noNewPrivileges, err, out)
		}
	}
}

// TestProfileHasTheStart: what the plan has between the filter and the command is in every profile.
func TestProfileHasTheStart(t *testing.T) {
	for _, noNewPrivileges := range []bool{false, true} {
		s := runtime.ExampleSpec(false)
		s.Process.NoNewPrivileges = noNewPrivileges
		all := []string{"CAP_SYS_ADMIN"}
		s.Process.Capabilities = &specs.LinuxCapabilities{Bounding: all, Effective: all, Permitted: all}
		s.Linux.Seccomp = &specs.LinuxSeccomp{DefaultAction: specs.ActErrno, Syscalls: []specs.LinuxSyscall{
			{Names: []string{"execve"}, Action: specs.ActAllow}}}
		filter, err := confine.Compile(s.Linux.Seccomp, 0)
		if err != nil {
			t.Skip(err)
		}
		list := &op.List{}
		if err := confine.Finish(list, s.Process, confine.Host{LastCapability: 40, Held: ^uint64(0)}, filter); err != nil {
			t.Fatal(err)
		}
		at := slices.IndexFunc(list.Ops, func(o op.Op) bool { return o.Name == "seccomp" })
		if at < 0 {
			t.Fatal("no filter is loaded")
		}
		for _, o := range list.Ops[at+1:] {
			if !slices.Contains(starters[0].calls, o.Name) {
				t.Errorf("%s comes after the filter, and is not in every profile", o.Name)
			}
		}
	}
}
