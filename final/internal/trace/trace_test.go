//go:build linux

package trace

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/op"
)

// second is what the program becomes at its end.
func second(t testing.TB) string { return script(t, repeat(4, getgid), one(op.Exit(5))) }

// execve becomes a program.
func execve(path string) op.Op {
	return call("execve", unix.SYS_EXECVE, op.Str(path), op.Ref(op.Strings([]string{path})), op.Ref(op.Strings(nil)))
}

// known makes a known number of calls, with known errors; it forks, twice, gets a signal, and becomes another program.
func known(t testing.TB, next string) string {
	pid, self := op.NewVar("pid"), op.NewVar("self")
	fork := op.Op{Name: "clone", Nr: unix.SYS_CLONE, Result: pid, Zero: "child",
		Args: []op.Arg{op.Int(int(unix.SIGCHLD)), op.Null(), op.Null(), op.Null(), op.Null()}}
	vfork := fork
	vfork.Args = append([]op.Arg{op.Int(unix.CLONE_VFORK | int(unix.SIGCHLD))}, fork.Args[1:]...)
	wait := call("wait4", unix.SYS_WAIT4, op.Val(pid), op.Null(), op.Int(0), op.Null())
	ignore := call("rt_sigaction", unix.SYS_RT_SIGACTION,
		op.Int(int(unix.SIGUSR1)), op.Ref(op.Words(1, 0, 0, 0)), op.Null(), op.Int(8))
	getpid := op.Op{Name: "getpid", Nr: unix.SYS_GETPID, Result: self}
	kill := call("kill", unix.SYS_KILL, op.Val(self), op.Int(int(unix.SIGUSR1)))
	become := execve(next)
	child := getuid
	child.Label = "child"
	return script(t, one(gate), repeat(100, getppid), repeat(7, missing), repeat(5, closed),
		one(fork, wait, vfork, wait, ignore, getpid, kill, fails(op.Write(op.Int(99), "lost"), unix.EBADF), become),
		one(child), repeat(2, getuid), one(op.Exit(0)))
}

// knownFigures are what known does.
var knownFigures = map[string]string{
	"getppid": "100 0", "openat": "7 7", "close": "5 5", "clone": "2 0", "wait4": "2 0", "rt_sigaction": "1 0",
	"getpid": "1 0", "kill": "1 0", "write": "1 1", "execve": "1 0", "getuid": "6 0", "getgid": "4 0", "exit_group": "3 0",
}

func TestCounts(t *testing.T) {
	engines(t, func(t *testing.T, engine Engine) {
		p := begin(t, known(t, second(t)))
		tracer := start(t, p.Target, Options{Engine: engine})
		p.open()
		if code := p.ended(tracer); code != 5 {
			t.Errorf("exit code %d, want 5", code)
		}
		if diff := cmp.Diff(knownFigures, figures(t, tracer)); diff != "" {
			t.Error(diff)
		}
		if err := tracer.Close(); err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(knownFigures, figures(t, tracer)); diff != "" {
			t.Errorf("after the end: %s", diff)
		}
	})
}

// TestBothSeeTheSame: the events of one engine are those of the other, to the letter, but for the pids.
func TestBothSeeTheSame(t *testing.T) {
	path := known(t, second(t))
	var lines [2][]string
	for i, engine := range []Engine{Ptrace, EBPF} {
		s := &seen{}
		p := begin(t, path)
		tracer := start(t, p.Target, Options{Engine: engine, Event: s.add})
		p.open()
		p.ended(tracer)
		if err := tracer.Close(); err != nil {
			t.Fatal(err)
		}
		lines[i] = s.lines(p.Pid)
		for _, e := range s.events {
			if e.Pid == p.Pid && (e.Tid != p.Pid || e.In != 1) {
				t.Errorf("%s: thread %d, in the container %d: want %d and 1", e.String(), e.Tid, e.In, p.Pid)
			}
		}
	}
	if diff := cmp.Diff(lines[0], lines[1]); diff != "" {
		t.Errorf("ptrace (-) and eBPF (+): %s", diff)
	}
	want := []string{
		`openat(AT_FDCWD, "/missing/file", O_RDONLY|O_CLOEXEC) = -1 ENOENT (no such file or directory)`,
		`close(99) = -1 EBADF (bad file descriptor)`,
		`rt_sigaction(SIGUSR1, `, `kill(1, SIGUSR1) = 0`, `write(99, "lost", 4) = -1 EBADF (bad file descriptor)`,
		`exit_group(5) = ?`, `clone(SIGCHLD, NULL, NULL, NULL, NULL) = 2`,
		`clone(SIGCHLD|CLONE_VFORK, NULL, NULL, NULL, NULL) = 3`,
	}
	all := strings.Join(lines[0], "\n")
	for _, line := range want {
		if !strings.Contains(all, line) {
			t.Errorf("no %q in\n%s", line, all)
		}
	}
}

// TestAsStrace counts the same program's calls by strace.
func TestAsStrace(t *testing.T) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		if os.Getenv("CI") != "" && os.Getenv("MICROVM") == "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	out := filepath.Join(t.TempDir(), "out")
	_ = exec.Command(strace, "-f", "-o", out, known(t, second(t))).Run() // it ends with the program's code
	text, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	calls, failed := map[string]int{}, map[string]int{}
	// 4711  openat(AT_FDCWD, "/missing/file", O_RDONLY|O_CLOEXEC) = -1 ENOENT (No such file or directory)
	// 4711  wait4(4712, <unfinished ...>
	// 4711  <... wait4 resumed>NULL, 0, NULL) = 4712
	began := regexp.MustCompile(`^\d+ +(\w+)\(`)
	ended := regexp.MustCompile(`^\d+ +(?:<\.\.\. (\w+) resumed>|(\w+)\().* = -1 `)
	for line := range strings.Lines(string(text)) {
		if m := began.FindStringSubmatch(line); m != nil {
			calls[m[1]]++
		}
		if m := ended.FindStringSubmatch(line); m != nil {
			failed[m[1]+m[2]]++
		}
	}
	calls["execve"]-- // strace's own
	delete(calls, "read")
	found := map[string]string{}
	for name, n := range calls {
		found[name] = fmt.Sprint(n, " ", failed[name])
	}
	if diff := cmp.Diff(knownFigures, found); diff != "" {
		t.Errorf("strace (+): %s", diff)
	}
}

func TestFilter(t *testing.T) {
	engines(t, func(t *testing.T, engine Engine) {
		filter, err := ParseFilter("%file,getuid")
		if err != nil {
			t.Fatal(err)
		}
		s := &seen{}
		p := begin(t, known(t, second(t)))
		tracer := start(t, p.Target, Options{Engine: engine, Filter: filter, Errors: true, Event: s.add})
		p.open()
		p.ended(tracer)
		if err := tracer.Close(); err != nil {
			t.Fatal(err)
		}
		want := map[string]string{"openat": "7 7", "execve": "1 0", "getuid": "6 0"}
		if diff := cmp.Diff(want, figures(t, tracer)); diff != "" {
			t.Error(diff)
		}
		if len(s.events) != 7 {
			t.Errorf("events only for errors: got %q", s.lines(0))
		}
	})
}

// TestAfterExec: what comes before the command is not the container's doing, whether or not its execve is wanted.
func TestAfterExec(t *testing.T) {
	path := script(t, one(gate), repeat(3, getuid), one(execve(second(t)), op.Exit(1)))
	engines(t, func(t *testing.T, engine Engine) {
		for list, want := range map[string]map[string]string{
			"":              {"execve": "1 0", "getgid": "4 0", "exit_group": "1 0"},
			"getuid,getgid": {"getgid": "4 0"},
			"!execve":       {"getgid": "4 0", "exit_group": "1 0"},
		} {
			o := Options{Engine: engine, AfterExec: true}
			if list != "" {
				var err error
				if o.Filter, err = ParseFilter(list); err != nil {
					t.Fatal(err)
				}
			}
			s := &seen{}
			o.Event = s.add
			p := begin(t, path)
			tracer := start(t, p.Target, o)
			p.open()
			p.ended(tracer)
			if err := tracer.Close(); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, figures(t, tracer)); diff != "" {
				t.Errorf("%q: %s", list, diff)
			}
			if total := len(want) - 1 + 4; len(s.events) != total {
				t.Errorf("%q: events: got %q, want %d", list, s.lines(0), total)
			}
		}
	})
}

// TestUnfinished: a call that a thread dies in, or that the trace ends in, is told too.
func TestUnfinished(t *testing.T) {
	nap := call("ppoll", unix.SYS_PPOLL, op.Null(), op.Int(0), op.Null(), op.Null(), op.Int(8))
	path := script(t, one(gate), one(getppid, nap, op.Exit(0)))
	for _, how := range []string{"killed", "closed"} {
		t.Run(how, func(t *testing.T) {
			engines(t, func(t *testing.T, engine Engine) {
				s := &seen{}
				p := begin(t, path)
				tracer := start(t, p.Target, Options{Engine: engine, Event: s.add})
				p.open()
				eventually(t, "it sleeps", func() bool {
					text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/syscall", p.Pid))
					return strings.HasPrefix(string(text), strconv.Itoa(unix.SYS_PPOLL)+" ") && p.state() == 'S'
				})
				if how == "killed" {
					if err := unix.Kill(p.Pid, unix.SIGKILL); err != nil {
						t.Fatal(err)
					}
					if code := p.ended(tracer); code != 128+9 {
						t.Errorf("exit code %d, want 137", code)
					}
				}
				if err := tracer.Close(); err != nil {
					t.Fatal(err)
				}
				if len(s.events) == 0 {
					t.Fatal("no events")
				}
				// Of one that a signal ends, the kernel may say that it is to be made again, and then end the thread.
				last := s.events[len(s.events)-1]
				again := how == "killed" && restarts[last.Errno()] != ""
				if last.Call.Name() != "ppoll" || !last.Endless && !again {
					t.Errorf("the last event is %s, want the call that has no end", last.String())
				}
				if got := figures(t, tracer)["ppoll"]; !strings.HasPrefix(got, "1 ") {
					t.Errorf("ppoll: %s, want 1", got)
				}
				if how == "closed" && !alive(p.Pid, p.Pid) {
					t.Error("it does not live any more")
				}
			})
		})
	}
}

// threadsTimes is how often each of how many threads calls.
const threadsTimes, threadsMany = 200, 8

// beThreads is a program of many threads.
func beThreads() int {
	_, _ = os.Stdin.Read(make([]byte, 1))
	var all sync.WaitGroup
	for range threadsMany {
		all.Go(func() {
			runtime.LockOSThread()
			for range threadsTimes {
				unix.RawSyscall(unix.SYS_GETPPID, 0, 0, 0)
			}
		})
	}
	all.Wait()
	return 0
}

func TestThreads(t *testing.T) {
	engines(t, func(t *testing.T, engine Engine) {
		p := begin(t, "/proc/self/exe", role+"=threads")
		tracer := start(t, p.Target, Options{Engine: engine})
		p.open()
		if code := p.ended(tracer); code != 0 {
			t.Errorf("exit code %d, want 0", code)
		}
		want := fmt.Sprint(threadsMany*threadsTimes, " 0")
		if got := figures(t, tracer)["getppid"]; got != want {
			t.Errorf("getppid: %s, want %s", got, want)
		}
	})
}

// beExec becomes another program, in a thread that is not the first.
func beExec() int {
	_, _ = os.Stdin.Read(make([]byte, 1))
	done := make(chan error)
	for range 4 {
		go func() {
			runtime.LockOSThread()
			if unix.Gettid() != unix.Getpid() {
				done <- syscall.Exec(os.Getenv("NEXT"), []string{"next"}, nil)
			}
			select {}
		}()
	}
	fmt.Fprintln(os.Stderr, <-done)
	return 1
}

func TestExecOfThread(t *testing.T) {
	next := second(t)
	engines(t, func(t *testing.T, engine Engine) {
		s := &seen{}
		p := begin(t, "/proc/self/exe", role+"=exec", "NEXT="+next)
		tracer := start(t, p.Target, Options{Engine: engine, Event: s.add})
		p.open()
		if code := p.ended(tracer); code != 5 {
			t.Errorf("exit code %d, want 5", code)
		}
		if err := tracer.Close(); err != nil {
			t.Fatal(err)
		}
		good := 0
		for _, e := range s.events {
			if e.Call.Name() == "execve" && !e.Endless && e.Result == 0 {
				good++
			}
		}
		if got := figures(t, tracer)["getgid"]; got != "4 0" || good != 1 {
			t.Errorf("getgid: %s, want 4 0; %d execve came to their end, want 1", got, good)
		}
	})
}

// forever makes calls until somebody ends it.
func forever(t testing.TB) string {
	again := call("gettid", unix.SYS_GETTID)
	again.Label, again.Positive = "again", "again"
	return script(t, one(gate, again, op.Exit(1)))
}

// beTracer traces until it is killed, and says when it has begun.
func beTracer() int {
	pid, _ := strconv.Atoi(os.Getenv("PID"))
	tracer, err := Start(Target{Pid: pid, Cgroup: os.Getenv("GROUP")}, Options{Engine: Engine(os.Getenv("ENGINE"))})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println("begun")
	<-tracer.Done()
	return 0
}

// TestKilledTracer: who is traced goes on when the tracer is killed, whatever it was doing, and can be traced again.
func TestKilledTracer(t *testing.T) {
	engines(t, func(t *testing.T, engine Engine) {
		p := begin(t, forever(t))
		p.open()
		for range 10 {
			tracer := exec.Command("/proc/self/exe")
			tracer.Env = append(os.Environ(),
				role+"=tracer", "PID="+strconv.Itoa(p.Pid), "GROUP="+p.Cgroup, "ENGINE="+string(engine))
			tracer.Stderr = os.Stderr
			tracer.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL}
			out, err := tracer.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := inNursery(tracer.Start); err != nil {
				t.Fatal(err)
			}
			if line, err := bufio.NewReader(out).ReadString('\n'); err != nil {
				t.Fatal(line, err)
			}
			if err := tracer.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = tracer.Wait() // killed
		}
		tracer := start(t, p.Target, Options{Engine: engine})
		eventually(t, "it makes calls", func() bool { return figures(t, tracer)["gettid"] != "" })
		if err := tracer.Close(); err != nil {
			t.Fatal(err)
		}
		if err := unix.Kill(p.Pid, unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
		if code := p.ended(nil); code != 128+9 {
			t.Errorf("exit code %d, want that of our signal", code)
		}
	})
}

// TestStopped: who is stopped stays so, and goes on for SIGCONT.
func TestStopped(t *testing.T) {
	p := begin(t, forever(t))
	tracer := start(t, p.Target, Options{Engine: Ptrace})
	p.open()
	calls := func() uint64 {
		summary, err := tracer.Summary()
		if err != nil {
			t.Fatal(err)
		}
		return summary.Calls()
	}
	eventually(t, "it makes calls", func() bool { return calls() > 0 })
	for range 3 {
		if err := unix.Kill(p.Pid, unix.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		rests, last := 0, uint64(0)
		eventually(t, "it rests", func() bool {
			now := calls()
			if now == last {
				rests++
			} else {
				rests = 0
			}
			last = now
			return rests >= 20
		})
		if err := unix.Kill(p.Pid, unix.SIGCONT); err != nil {
			t.Fatal(err)
		}
		eventually(t, "it goes on", func() bool { return calls() > last })
	}
}

// TestCloseStopped: a trace that ends leaves the stopped stopped.
func TestCloseStopped(t *testing.T) {
	p := begin(t, forever(t))
	tracer := start(t, p.Target, Options{Engine: Ptrace})
	p.open()
	if err := unix.Kill(p.Pid, unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if err := tracer.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is stopped", func() bool { return p.state() == 'T' })
	if err := unix.Kill(p.Pid, unix.SIGCONT); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it goes on", func() bool { return p.state() == 'R' })
}

// TestDropped: what does not fit into the buffer is missing among the events, and counted.
func TestDropped(t *testing.T) {
	const many = 5000
	s, hold := &seen{}, make(chan struct{})
	p := begin(t, script(t, one(gate), repeat(many, getppid), one(op.Exit(0))))
	tracer := start(t, p.Target, Options{Engine: EBPF, Buffer: 16 << 10, Event: func(e Event) {
		<-hold
		s.add(e)
	}})
	p.open()
	eventually(t, "events are dropped", func() bool {
		dropped, _, err := tracer.Missed()
		return err == nil && dropped > 0
	})
	close(hold)
	p.ended(tracer)
	if err := tracer.Close(); err != nil {
		t.Fatal(err)
	}
	summary, err := tracer.Summary()
	if err != nil {
		t.Fatal(err)
	}
	if got := figures(t, tracer)["getppid"]; got != fmt.Sprint(many, " 0") {
		t.Errorf("getppid: %s, want all %d: nothing is dropped from the counts", got, many)
	}
	if all := summary.Calls(); uint64(len(s.events))+summary.Dropped != all {
		t.Errorf("%d events and %d dropped, want %d together", len(s.events), summary.Dropped, all)
	}
	var b strings.Builder
	want := fmt.Sprintf("%d events were dropped", summary.Dropped)
	if err := summary.WriteTable(&b); err != nil || !strings.Contains(b.String(), want) {
		t.Errorf("%v: the table does not say it:\n%s", err, b.String())
	}
}

// TestEntering: processes that come into the container's group later are traced, as those that exec puts there.
func TestEntering(t *testing.T) {
	engines(t, func(t *testing.T, engine Engine) {
		p := begin(t, forever(t))
		other := begin(t, script(t, one(gate), repeat(10, getgid), one(op.Exit(0))))
		target := p.Target
		target.Pids = func() ([]int, error) { return []int{p.Pid, other.Pid}, nil }
		if engine == EBPF {
			if p.Cgroup == "" {
				t.Skip("no cgroup2 here")
			}
			if err := os.WriteFile(p.Cgroup+"/cgroup.procs", fmt.Append(nil, other.Pid), 0); err != nil {
				t.Fatal(err)
			}
		}
		tracer := start(t, target, Options{Engine: engine})
		if engine == Ptrace {
			eventually(t, "it is traced", func() bool { return tracerOf(other.Pid) != 0 })
		}
		other.open()
		eventually(t, "its calls are counted", func() bool { return figures(t, tracer)["getgid"] == "10 0" })
	})
}

// TestByNamespace: without cgroup2 a container is known by its PID namespace, and if it has none of its own, it is a
// matter for ptrace.
func TestByNamespace(t *testing.T) {
	p := begin(t, known(t, second(t)))
	p.Cgroup = ""
	tracer := start(t, p.Target, Options{Engine: EBPF})
	p.open()
	p.ended(tracer)
	if diff := cmp.Diff(knownFigures, figures(t, tracer)); diff != "" {
		t.Error(diff)
	}
	bare := exec.Command(forever(t))
	gate, err := bare.StdinPipe()
	if err == nil {
		err = inNursery(bare.Start)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // after the trace: a tracer has the first word of the end of its own child
		gate.Close()
		_ = bare.Process.Kill()
		_ = bare.Wait() // killed
	})
	if _, err := Start(Target{Pid: bare.Process.Pid}, Options{Engine: EBPF}); err == nil ||
		!strings.Contains(err.Error(), "to be known by") {
		t.Errorf("%v, want the reason", err)
	}
	tracer = start(t, Target{Pid: bare.Process.Pid}, Options{})
	if tracer.Engine != Ptrace || !strings.Contains(tracer.Why, "to be known by") {
		t.Errorf("%s, because: %q: want ptrace, and the reason", tracer.Engine, tracer.Why)
	}
}

// TestTakenEnd: a child of ours that we wait for in spite of the trace does not keep that from ending.
func TestTakenEnd(t *testing.T) {
	p := begin(t, forever(t))
	tracer := start(t, p.Target, Options{Engine: Ptrace})
	if err := unix.Kill(p.Pid, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = p.Wait() // whoever comes first
	closed := make(chan error, 1)
	go func() { closed <- tracer.Close() }()
	select {
	case err := <-closed:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(patient):
		t.Fatal("the trace does not end")
	}
}
