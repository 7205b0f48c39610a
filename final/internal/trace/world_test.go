//go:build linux

package trace

// These tests trace small programs that are lists of system calls (package op), so that it is known what they do,
// on every machine. Each has a cgroup of its own.

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/cgroup"
	"github.com/simple-container/simple-container/final/internal/executor"
	"github.com/simple-container/simple-container/final/internal/kernel"
	"github.com/simple-container/simple-container/final/internal/op"
)

// role says what the test binary is: nothing, or another program.
const role = "TRACE_TEST"

// patient bounds every wait.
var patient = 20 * time.Second

func TestMain(m *testing.M) {
	if os.Getenv("MICROVM") != "" {
		patient = 2 * time.Minute // an emulated processor
	}
	switch os.Getenv(role) {
	case "threads":
		os.Exit(beThreads())
	case "exec":
		os.Exit(beExec())
	case "tracer":
		os.Exit(beTracer())
	}
	if os.Geteuid() != 0 {
		fmt.Println("the tests trace other processes, so they must be root: sudo env PATH=$PATH go test")
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// engines runs a test with both.
func engines(t *testing.T, test func(t *testing.T, engine Engine)) {
	for _, engine := range []Engine{Ptrace, EBPF} {
		t.Run(string(engine), func(t *testing.T) { test(t, engine) })
	}
}

// repeat is an op several times.
func repeat(n int, o op.Op) (list []op.Op) {
	for range n {
		list = append(list, o)
	}
	return list
}

// call is a call without arguments that do anything.
func call(name string, nr int, args ...op.Arg) op.Op { return op.Op{Name: name, Nr: nr, Args: args} }

// fails is an op that has to fail.
func fails(o op.Op, errno unix.Errno) op.Op {
	o.Accept = []unix.Errno{errno}
	return o
}

var (
	getppid = call("getppid", unix.SYS_GETPPID)
	getuid  = call("getuid", unix.SYS_GETUID)
	getgid  = call("getgid", unix.SYS_GETGID)
	missing = fails(op.Open("/missing/file", 0, nil), unix.ENOENT)
	closed  = fails(op.Close(op.Int(99)), unix.EBADF)
	gate    = op.Read(op.Int(0), op.Zeros(1)) // a program waits here until it is traced
)

// script writes a list into a file.
func script(t testing.TB, parts ...[]op.Op) (path string) {
	t.Helper()
	list := &op.List{}
	for _, part := range parts {
		list.Add(part...)
	}
	list.Fail(op.Int(99), 1) // its report is for nobody
	image, err := executor.Program(list)
	if err != nil {
		t.Skip(err)
	}
	path = filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(path, image, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// one is a list of single ops.
func one(ops ...op.Op) []op.Op { return ops }

// process is a program that waits at its gate, in a cgroup of its own.
type process struct {
	*exec.Cmd
	Target
	t    testing.TB
	gate *os.File
}

// begin starts a program.
func begin(t testing.TB, path string, env ...string) *process {
	t.Helper()
	p, err := tryBegin(t, path, env...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func tryBegin(t testing.TB, path string, env ...string) (*process, error) {
	t.Helper()
	p := &process{Cmd: exec.Command(path), t: t}
	group := newGroup(t)
	theirs, ours, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	p.gate = ours
	p.Stdin, p.Stdout, p.Stderr = theirs, os.Stderr, os.Stderr
	p.Env = append(os.Environ(), env...)
	p.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL, Cloneflags: unix.CLONE_NEWPID}
	if err := inNursery(p.Start); err != nil {
		ours.Close()
		return nil, err
	}
	t.Cleanup(func() {
		ours.Close()
		_ = p.Process.Kill() // it has ended, mostly
		_ = p.Wait()
	})
	p.Target = Target{Pid: p.Process.Pid, Cgroup: group}
	if group != "" {
		if err := os.WriteFile(group+"/cgroup.procs", fmt.Append(nil, p.Pid), 0); err != nil {
			t.Fatal(err)
		}
	}
	return p, nil
}

// nursery is the thread that all processes are children of: PR_SET_PDEATHSIG means the thread's death, and threads
// that trace end with the trace.
var nursery = sync.OnceValue(func() chan<- func() {
	work := make(chan func())
	go func() {
		runtime.LockOSThread()
		for f := range work {
			f()
		}
	}()
	return work
})

func inNursery(start func() error) error {
	done := make(chan error)
	nursery() <- func() { done <- start() }
	return <-done
}

// state is the letter of proc_pid_stat(5).
func (p *process) state() byte {
	p.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.Pid))
	if err != nil {
		p.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	return rest[0]
}

// newGroup makes a cgroup in the cgroup2 tree; "" where there is none.
func newGroup(t testing.TB) string {
	mounts, err := (&kernel.Door{}).Mounts()
	if err != nil {
		t.Fatal(err)
	}
	layout, err := cgroup.Find(mounts)
	if err != nil {
		t.Fatal(err)
	}
	v2, ok := layout.V2()
	if !ok {
		return ""
	}
	dir, err := os.MkdirTemp(v2.Dir, "final-trace-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		err := error(unix.EBUSY)
		for deadline := time.Now().Add(patient); err != nil && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
			err = os.Remove(dir)
		}
		if err != nil {
			t.Error(err)
		}
	})
	return dir
}

// open lets the program begin.
func (p *process) open() { p.gate.Close() }

// ended waits for its end and returns the exit code, 128 more than the signal that ended it.
func (p *process) ended(tracer *Tracer) int {
	p.t.Helper()
	if tracer != nil {
		select {
		case <-tracer.Done():
		case <-time.After(patient):
			p.t.Fatal("the tracer does not say that the process has ended")
		}
		if status, ok := tracer.Status(); ok {
			return exitCode(status)
		}
	}
	err := p.Wait()
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok {
		return 0
	}
	return exitCode(unix.WaitStatus(exit.Sys().(syscall.WaitStatus)))
}

func exitCode(status unix.WaitStatus) int {
	if status.Signaled() {
		return 128 + int(status.Signal())
	}
	return status.ExitStatus()
}

// seen collects events.
type seen struct {
	mutex  sync.Mutex
	events []Event
}

func (s *seen) add(e Event) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.events = append(s.events, e)
}

// lines are the events as text, without those of the gate.
func (s *seen) lines(pid int) (lines []string) {
	for _, e := range s.events {
		if (pid == 0 || e.Pid == pid) && e.Call.Name() != "read" {
			lines = append(lines, e.String())
		}
	}
	return lines
}

// start begins to trace. Where eBPF cannot be had, it skips.
func start(t testing.TB, target Target, o Options) *Tracer {
	t.Helper()
	tracer, err := Start(target, o)
	if err != nil {
		if o.Engine == EBPF && (errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOSYS)) && os.Getenv("CI")+os.Getenv("MICROVM") == "" {
			t.Skip(err)
		}
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tracer.Close(); err != nil {
			t.Error(err)
		}
	})
	return tracer
}

// figures are how often which calls were made and failed, as "name calls errors"; reads, which a gate may have, are
// left out.
func figures(t testing.TB, tracer *Tracer) map[string]string {
	t.Helper()
	summary, err := tracer.Summary()
	if err != nil {
		t.Fatal(err)
	}
	if summary.Lost != 0 {
		t.Errorf("%d calls were lost", summary.Lost)
	}
	found := map[string]string{}
	for _, c := range summary.Counts {
		if name := strings.TrimSpace(c.Call.foreign() + " " + c.Call.Name()); name != "read" {
			found[name] = fmt.Sprint(c.Calls, " ", c.Errors)
		}
		inPlot := uint64(0)
		for _, n := range c.Latency {
			inPlot += n
		}
		if inPlot != c.Calls-c.Endless {
			t.Errorf("%s: %d calls came back, and %d are in the histogram", c.Call.Name(), c.Calls-c.Endless, inPlot)
		}
	}
	return found
}

// eventually tries until ok.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patient); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("it did not come to this: %s", what)
}
