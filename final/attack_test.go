//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/lab"
	"github.com/simple-container/simple-container/final/internal/runtime"
)

// The attack tests drive the program as engines do, and mount an attack each: by an image, by a process in a
// running container, by somebody who shares a volume with it, or by a careless caller. This file has the
// bundle that is attacked; attack_*_test.go have the attacks.

// A victim is a bundle, and the program that runs it.
type victim struct {
	*testing.T
	id      string
	dir     string // the bundle
	program string // final
	reexec  bool
	spec    *specs.Spec
	caller  func(*exec.Cmd) // changes how the program is called; may be nil
	owner   func(*exec.Cmd) // the same for who has the states, if that is not root
}

const attackerEnv = "TEST_ATTACKER=1"

// The attackers are programs that a shell cannot be: /attack NAME ARG... in the container, or a process of the
// host. Their results go to the standard output.
func init() {
	name, value, _ := strings.Cut(attackerEnv, "=")
	if os.Getenv(name) != value || len(os.Args) < 2 {
		return
	}
	attackers := map[string]func([]string) error{
		"watch": watchProcesses, "overwrite": overwritePrograms, "keys": listKeys, "swap": swapForever,
		"caller": beCaller, "connect": connectTo, "take": takeOver,
	}
	if err := attackers[os.Args[1]](os.Args[2:]); err != nil {
		fmt.Println("attacker:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// newVictim makes a bundle of the example configuration, with the lab and /attack in its root file system.
func newVictim(t *testing.T, reexec bool) *victim {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skipf("containers need root: %v", unix.EPERM)
	}
	dir, err := os.MkdirTemp("", "attack")
	if err != nil {
		t.Fatal(err)
	}
	v := &victim{T: t, dir: dir, reexec: reexec, program: finalProgram(t), spec: runtime.ExampleSpec(false)}
	v.id = fmt.Sprintf("%s-%d", filepath.Base(dir), os.Getpid())
	v.spec.Process.Terminal = false
	v.spec.Process.Env = append(v.spec.Process.Env, attackerEnv)
	v.spec.Root.Readonly = false
	t.Cleanup(func() {
		if v.caller = v.owner; v.owner == nil {
			v.program = finalProgram(t) // whatever has become of the test's
		}
		v.final("delete", "--force", v.id)
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil { // the root of a user namespace passes too
		t.Fatal(err)
	}
	cloneTree(t, attackImage(t), v.image(""))
	return v
}

// byBoth runs a test with both executors.
func byBoth(t *testing.T, test func(t *testing.T, v *victim)) {
	for _, name := range []string{"stub", "reexec"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, newVictim(t, name == "reexec"))
		})
	}
}

// byUsers is byBoth for root, and for a user who is not root.
func byUsers(t *testing.T, test func(t *testing.T, v *victim)) {
	t.Run("root", func(t *testing.T) { byBoth(t, test) })
	t.Run("user", func(t *testing.T) {
		byBoth(t, func(t *testing.T, v *victim) {
			v.rootless()
			test(t, v)
		})
	})
}

// image is a path in the container's root file system.
func (v *victim) image(path string) string { return filepath.Join(v.dir, "rootfs", path) }

// command is the program with global flags and args, to be run.
func (v *victim) command(args ...string) *exec.Cmd {
	executor := "stub"
	if v.reexec {
		executor = "reexec"
	}
	cmd := exec.Command(v.program, append([]string{"--root", filepath.Join(v.dir, "state"), "--executor", executor}, args...)...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOST_SECRET=of the host"}
	if v.caller != nil {
		v.caller(cmd)
	}
	return cmd
}

// final runs the program, with files for its output, which a container may hold open.
func (v *victim) final(args ...string) (stdout, stderr string, code int) {
	v.Helper()
	cmd := v.command(args...)
	var files [2]*os.File
	for i := range files {
		file, err := os.CreateTemp(v.dir, "output")
		if err != nil {
			v.Fatal(err)
		}
		defer file.Close()
		defer os.Remove(file.Name())
		files[i] = file
	}
	cmd.Stdout, cmd.Stderr = files[0], files[1]
	timer := time.AfterFunc(time.Minute, func() {
		v.Errorf("final %q: still running after a minute", args)
		_ = cmd.Process.Kill()
	})
	err := cmd.Run()
	timer.Stop()
	if err != nil && cmd.ProcessState == nil {
		v.Fatal(err)
	}
	out, _ := os.ReadFile(files[0].Name())
	complaint, _ := os.ReadFile(files[1].Name())
	return string(out), string(complaint), cmd.ProcessState.ExitCode()
}

// configure writes config.json, for a command line.
func (v *victim) configure(args ...string) {
	v.Helper()
	if len(args) > 0 {
		v.spec.Process.Args = args
	}
	text, err := json.Marshal(v.spec)
	if err != nil {
		v.Fatal(err)
	}
	v.writeConfig(text)
}

func (v *victim) writeConfig(text []byte) {
	v.Helper()
	if err := os.WriteFile(filepath.Join(v.dir, "config.json"), text, 0o644); err != nil {
		v.Fatal(err)
	}
}

// run runs a container to its end and returns what it printed.
func (v *victim) run(args ...string) string {
	v.Helper()
	v.configure(args...)
	out, complaint, code := v.final("run", "--bundle", v.dir, v.id)
	if code != 0 {
		v.Fatalf("final run: exit code %d: %s%s", code, out, complaint)
	}
	return out
}

// start starts a container that stays.
func (v *victim) start(args ...string) {
	v.Helper()
	v.configure(args...)
	if out, complaint, code := v.final("run", "--detach", "--bundle", v.dir, v.id); code != 0 {
		v.Fatalf("final run --detach: exit code %d: %s%s", code, out, complaint)
	}
}

// exec runs a command in the container and returns what it printed.
func (v *victim) exec(args ...string) string {
	v.Helper()
	out, complaint, code := v.final(append([]string{"exec", v.id}, args...)...)
	if code != 0 {
		v.Fatalf("final exec: exit code %d: %s%s", code, out, complaint)
	}
	return out
}

// pid is that of the container's first process.
func (v *victim) pid() int {
	v.Helper()
	out, complaint, _ := v.final("state", v.id)
	var state struct{ Pid int }
	if err := json.Unmarshal([]byte(out), &state); err != nil || state.Pid == 0 {
		v.Fatalf("final state: %s%s: %v", out, complaint, err)
	}
	return state.Pid
}

// refused fails unless the bundle cannot be made a container, with these words and nothing left behind.
func (v *victim) refused(words string) {
	v.Helper()
	_, complaint, code := v.final("create", "--bundle", v.dir, v.id)
	if code == 0 {
		v.Errorf("final create: it went through; want an error with %q", words)
		v.final("delete", "--force", v.id)
		return
	}
	if !strings.Contains(complaint, words) {
		v.Errorf("final create: %s; want an error with %q", complaint, words)
	}
	if left, _ := filepath.Glob(filepath.Join(v.dir, "state", "*")); len(left) > 0 {
		v.Errorf("a failed create left %v", left)
	}
}

// fieldOf is a field of /proc/PID/status as a container printed it.
func fieldOf(t *testing.T, text, name string) string {
	t.Helper()
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	t.Errorf("no %s in %q", name, text)
	return ""
}

// writeProgram writes what will be executed. Nobody is forked meanwhile: until its execve, a child has open for writing
// what we have, and the kernel executes no such file (ETXTBSY).
func writeProgram(t *testing.T, path string, text []byte) {
	t.Helper()
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if err := os.WriteFile(path, text, 0o755); err != nil {
		t.Fatal(err)
	}
}

var built struct {
	once           sync.Once
	program, image string
	err            error
}

// buildAttack makes, the program that is attacked and the image that attacks it: the lab, and this test
// binary as /attack.
func buildAttack() {
	dir, err := os.MkdirTemp("", "attack-build")
	if err != nil {
		built.err = err
		return
	}
	built.program, built.image = os.Getenv("CONTAINER"), filepath.Join(dir, "image")
	if built.program == "" {
		built.program = filepath.Join(dir, "final")
		cmd := exec.Command("go", "build", "-o", built.program, ".")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			built.err = fmt.Errorf("%w: %s", err, out)
			return
		}
	}
	if built.err = os.Mkdir(built.image, 0o755); built.err != nil {
		return
	}
	syscall.ForkLock.RLock() // as in writeProgram
	defer syscall.ForkLock.RUnlock()
	if built.err = lab.Write(built.image); built.err != nil { // the test binary, and the libraries it wants
		return
	}
	program, err := os.ReadFile(built.program)
	if err == nil {
		err = os.Rename(built.image+"/bin/lab", built.image+"/attack")
	}
	if err == nil {
		err = os.WriteFile(built.image+"/bin/lab", program, 0o755)
	}
	built.err = err
}

func TestMain(m *testing.M) {
	code := m.Run()
	if built.image != "" {
		_ = os.RemoveAll(filepath.Dir(built.image))
	}
	os.Exit(code)
}

func finalProgram(t *testing.T) string {
	t.Helper()
	if built.once.Do(buildAttack); built.err != nil {
		t.Fatal(built.err)
	}
	return built.program
}

func attackImage(t *testing.T) string {
	finalProgram(t)
	return built.image
}

// cloneTree copies a tree, its files as hard links.
func cloneTree(t *testing.T, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		place := filepath.Join(to, strings.TrimPrefix(path, from))
		info, err := entry.Info()
		switch {
		case err != nil:
			return err
		case entry.IsDir():
			if err := os.Mkdir(place, 0o755); err != nil {
				return err
			}
			return os.Chmod(place, info.Mode())
		case entry.Type() == os.ModeSymlink:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			return os.Symlink(target, place)
		}
		return os.Link(path, place)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// hostCommand runs a command of the test binary's own as a process of the host.
func hostCommand(args ...string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env = append(os.Environ(), attackerEnv)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// through has the program called by another: /attack caller, which gives it what a careless caller would.
func (v *victim) through(what string) {
	v.caller = func(cmd *exec.Cmd) {
		cmd.Args = append([]string{"/proc/self/exe", "caller", what}, cmd.Args...)
		cmd.Path = "/proc/self/exe"
		cmd.Env = append(cmd.Env, attackerEnv)
	}
}

func mustHave(t *testing.T, what, text string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("%s: %q; want %q in it", what, text, w)
		}
	}
}

func sameBytes(t *testing.T, path string, want []byte) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s has changed: %d bytes, %v; want the %d that it had", path, len(got), err, len(want))
	}
}
