//go:build linux

package engines

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/moby/sys/mountinfo"
	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/cgroup"
)

// scripts runs the scripts of an engine. env is for all of them; besides, they know the world's directory as
// $WORLD, the runtime as $RUNTIME, and the image as lab. A script's name is in $ID, for its containers.
func scripts(t *testing.T, engine string, env ...string) {
	testscript.Run(t, testscript.Params{
		Files:    scriptsOf(t, engine),
		Deadline: time.Now().Add(enough), // engines wait for ever when a runtime lets them
		Setup: func(e *testscript.Env) error {
			e.Vars = append(e.Vars, env...)
			e.Setenv("WORLD", os.Getenv(work))
			e.Setenv("ID", engine+"-"+strings.TrimPrefix(filepath.Base(e.WorkDir), "script-"))
			return nil
		},
		RequireExplicitExec: true,
		Condition: func(name string) (bool, error) {
			switch name {
			case "all-rights":
				return allRights()
			case "v2":
				return !hasV1(t), nil
			case "crun":
				return filepath.Base(runtimeUnderTest(t)) == "crun", nil
			}
			return false, fmt.Errorf("unknown condition %q", name)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits": exits, "let": let, "eventually": eventually, "gone": gone,
			"limit": limit, "status": status, "tty": tty,
		},
	})
}

// onV2 are the scripts that the micro-VM runs of engines that all of them are run of elsewhere: cgroup v2 has a
// part in these, and the processor there is emulated.
var onV2 = map[string][]string{
	"podman":     {"health", "kill", "limits", "pause", "update", "watch"},
	"containerd": {"events", "limits", "task"},
}

func scriptsOf(t *testing.T, engine string) (files []string) {
	t.Helper()
	all, err := filepath.Glob(filepath.Join("testdata", engine, "*.txt"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range all {
		name := strings.TrimSuffix(filepath.Base(file), ".txt")
		if few := onV2[engine]; !inVM || few == nil || slices.Contains(few, name) {
			files = append(files, file)
		}
	}
	return files
}

// allRights tells whether this machine lets root have all capabilities: --privileged asks for no less.
func allRights() (bool, error) {
	last, err := os.ReadFile("/proc/sys/kernel/cap_last_cap")
	if err != nil {
		return false, err
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(last)))
	for capability := range n + 1 {
		held, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, uintptr(capability), 0, 0, 0)
		if held != 1 || err != nil {
			return false, err
		}
	}
	return true, err
}

// exits CODE PROGRAM [ARG...] runs a program that has to end with this code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	code := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		e, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("%v", err)
		}
		code = e.ExitCode()
	}
	if code != want {
		ts.Fatalf("exit code %d, want %d", code, want)
	}
}

// let NAME sets a variable to what the last program printed.
func let(ts *testscript.TestScript, neg bool, args []string) {
	ts.Setenv(args[0], strings.TrimSpace(ts.ReadFile("stdout")))
}

// patience is how long eventually, gone and tty wait on a machine that has much else to do, or emulates; enough is
// what all scripts of an engine have.
const patience, enough = time.Minute, 8 * time.Minute

// eventually REGEXP PROGRAM [ARG...] runs a program again and again, until it prints what is wanted.
func eventually(ts *testscript.TestScript, neg bool, args []string) {
	want := regexp.MustCompile("(?m)" + args[0])
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		err := ts.Exec(args[1], args[2:]...)
		if want.MatchString(ts.ReadFile("stdout")+ts.ReadFile("stderr")) != neg {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("after %v: %v, and no %q", patience, err, args[0])
		}
	}
}

// gone PID waits for the end of a process.
func gone(ts *testscript.TestScript, neg bool, args []string) {
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat("/proc/" + args[0]); errors.Is(err, os.ErrNotExist) {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("process %s is there after %v", args[0], patience)
		}
	}
}

// limits are the files that hold a limit, in v1 and in v2, by the controller.
var limits = map[string]struct{ controller, v1, v2 string }{
	"memory":     {"memory", "memory.limit_in_bytes", "memory.max"},
	"reserved":   {"memory", "memory.soft_limit_in_bytes", "memory.low"},
	"pids":       {"pids", "pids.max", "pids.max"},
	"cpu-quota":  {"cpu", "cpu.cfs_quota_us", "cpu.max"},
	"cpu-shares": {"cpu", "cpu.shares", "cpu.weight"},
	"cpus":       {"cpuset", "cpuset.cpus", "cpuset.cpus"},
}

// limit PID NAME V1 [V2] looks at a limit of a process's cgroup: V1 as v1 has it, V2 as v2 has it, if that is
// not the same. More than one may be right: 20|59.
func limit(ts *testscript.TestScript, neg bool, args []string) {
	l, want := limits[args[1]], args[2]
	dir, version, err := groupOf(cmp.Or(ts.Getenv("PROC"), "/proc"), args[0], l.controller)
	ts.Check(err)
	file := l.v1
	if version == 2 {
		file, want = l.v2, args[len(args)-1]
	}
	got, err := os.ReadFile(filepath.Join(dir, file))
	ts.Check(err)
	if !slices.Contains(strings.Split(want, "|"), strings.TrimSpace(string(got))) {
		ts.Fatalf("%s/%s is %q, want %q", dir, file, got, want)
	}
}

// groupOf finds a process's group with a controller. proc is where who knows the process has its number from.
func groupOf(proc, pid, controller string) (dir string, version int, err error) {
	mounts, err := mountinfo.GetMounts(nil)
	if err != nil {
		return "", 0, err
	}
	layout, err := cgroup.Find(mounts)
	if err != nil {
		return "", 0, err
	}
	h, ok := layout.Controller(controller)
	if !ok {
		return "", 0, fmt.Errorf("no hierarchy has %s", controller)
	}
	text, err := os.ReadFile(filepath.Join(proc, pid, "cgroup"))
	if h.Version == 2 {
		controller = ""
	}
	return filepath.Join(h.Dir, cgroup.ParseMembership(string(text))[controller]), h.Version, err
}

// status PID FIELD VALUE looks at a line of a process's status, as the host sees it.
func status(ts *testscript.TestScript, neg bool, args []string) {
	text, err := os.ReadFile("/proc/" + args[0] + "/status")
	ts.Check(err)
	_, rest, _ := strings.Cut(string(text), "\n"+args[1]+":")
	line, _, _ := strings.Cut(rest, "\n")
	if got := strings.Join(strings.Fields(line), " "); got != args[2] {
		ts.Fatalf("%s of process %s is %q, want %q", args[1], args[0], got, args[2])
	}
}

// wrapper writes a program that calls another with arguments of its own before, and returns the PATH that has
// it: so that scripts need not say where an engine has its files.
func wrapper(t *testing.T, name, script string) string {
	t.Helper()
	dir := t.TempDir()
	path, err := exec.LookPath(name)
	if err == nil {
		text := fmt.Sprintf("#!/bin/sh\nprogram=%s\n%s\n", path, script)
		err = os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir + ":" + os.Getenv("PATH")
}

// start starts a daemon, waits until ready succeeds, and stops it at the test's end, or before.
func start(t *testing.T, ready []string, name string, args ...string) (stop func(os.Signal)) {
	t.Helper()
	command := exec.Command(name, args...)
	log, err := os.CreateTemp(t.TempDir(), name)
	if err != nil {
		t.Fatal(err)
	}
	command.Stdout, command.Stderr = log, log
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	ended := false
	stop = func(signal os.Signal) {
		if ended {
			return
		}
		ended = true
		_ = command.Process.Signal(signal) // if it has ended, Wait says how
		if err := command.Wait(); err != nil && !command.ProcessState.Success() {
			t.Logf("%s: %v", name, err)
		}
		if t.Failed() {
			text, _ := os.ReadFile(log.Name())
			quiet := regexp.MustCompile(`(?m)^.*level=info.*\n`).ReplaceAll(text, nil)
			t.Logf("%s's log:\n%s", name, quiet)
		}
		log.Close()
	}
	t.Cleanup(func() { stop(os.Interrupt) })
	for deadline := time.Now().Add(2 * patience); ; time.Sleep(20 * time.Millisecond) {
		out, err := exec.Command(ready[0], ready[1:]...).CombinedOutput()
		if err == nil {
			return stop
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s is not ready: %v\n%s", name, err, out)
		}
	}
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}

func writeFile(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}
