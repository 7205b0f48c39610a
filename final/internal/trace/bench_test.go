//go:build linux

package trace

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/op"
)

// What a trace costs who is traced: the same loops without a trace, by each engine, and by strace, in turns. The
// times are from the opening of the gate to the program's end.
//
// getppid does next to nothing, so it shows the price of a call itself; files does what programs that call the kernel
// all the time do, and is what the figures of the README are of.
func BenchmarkOverhead(b *testing.B) {
	for _, loop := range []struct {
		name  string
		calls int
		ops   []op.Op
	}{
		{"getppid", 20000, repeat(20000, getppid)},
		{"files", 4 * 5000, reading(b, 5000)},
	} {
		b.Run(loop.name, func(b *testing.B) {
			path := script(b, one(gate), loop.ops, one(op.Exit(0)))
			ways := []*way{
				{name: "no trace", run: untraced},
				{name: "eBPF, counted", run: traced(Options{Engine: EBPF})},
				{name: "eBPF, each call", run: traced(Options{Engine: EBPF, Event: func(Event) {}})},
				{name: "ptrace, counted", run: traced(Options{Engine: Ptrace})},
				{name: "ptrace, each call", run: traced(Options{Engine: Ptrace, Event: func(Event) {}})},
			}
			if _, err := exec.LookPath("strace"); err == nil {
				ways = append(ways, &way{name: "strace -f -c", run: straced})
			}
			for b.Loop() {
				for _, w := range ways {
					w.times = append(w.times, w.run(b, path))
				}
			}
			b.ReportMetric(0, "ns/op") // of all together it says nothing
			fmt.Printf("\n%-18s %12s %12s %9s\n", loop.name, "ns/call, min", "median", "× none")
			for _, w := range ways {
				slices.Sort(w.times)
				least, none := float64(w.times[0])/float64(loop.calls), float64(ways[0].times[0])/float64(loop.calls)
				fmt.Printf("%-18s %12.0f %12.0f %9.2f\n", w.name, least,
					float64(w.times[len(w.times)/2])/float64(loop.calls), least/none)
			}
		})
	}
}

// A way is one to trace, and how long the program took.
type way struct {
	name  string
	run   func(b *testing.B, path string) time.Duration
	times []time.Duration
}

// reading opens a file, asks what it is, reads it and closes it.
func reading(b *testing.B, n int) (ops []op.Op) {
	const size = 64 << 10
	path := filepath.Join(b.TempDir(), "file")
	if err := os.WriteFile(path, make([]byte, size), 0o644); err != nil {
		b.Fatal(err)
	}
	fd, buffer, stat := op.NewVar("fd"), op.Zeros(size), op.Zeros(256)
	for range n {
		ops = append(ops, op.Open(path, 0, fd), call("fstat", unix.SYS_FSTAT, op.Val(fd), op.Ref(stat)),
			op.Read(op.Val(fd), buffer), op.Close(op.Val(fd)))
	}
	return ops
}

func untraced(b *testing.B, path string) time.Duration { return timed(begin(b, path)) }

// timed opens the gate and waits for the end.
func timed(p *process) time.Duration {
	began := time.Now()
	p.open()
	_ = unix.Waitid(unix.P_PID, p.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil) // ECHILD: a tracer took it
	return time.Since(began)
}

func traced(o Options) func(b *testing.B, path string) time.Duration {
	return func(b *testing.B, path string) time.Duration {
		p := begin(b, path)
		tracer := start(b, p.Target, o)
		began := time.Now()
		p.open()
		<-tracer.Done()
		took := time.Since(began)
		if err := tracer.Close(); err != nil {
			b.Fatal(err)
		}
		return took
	}
}

// straced is timed from when the program waits at its gate under strace.
func straced(b *testing.B, path string) time.Duration {
	theirs, ours, err := os.Pipe()
	if err != nil {
		b.Fatal(err)
	}
	defer theirs.Close()
	defer ours.Close()
	cmd := exec.Command("strace", "-f", "-c", "-o", "/dev/null", path)
	cmd.Stdin = theirs
	if err := inNursery(cmd.Start); err != nil {
		b.Fatal(err)
	}
	eventually(b, "the program waits under strace", func() bool {
		for _, pid := range descendants(cmd.Process.Pid)[1:] {
			text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/syscall", pid))
			name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
			if string(name) == "script\n" && len(text) > 2 && string(text[:2]) == fmt.Sprintf("%d ", unix.SYS_READ) {
				return true
			}
		}
		return false
	})
	began := time.Now()
	ours.Close()
	_ = cmd.Wait() // it ends with the program's code
	return time.Since(began)
}
