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
// times are from the opening of the gate to the program's end, and the processor's time that the program took, which
// others on the machine change less: eBPF's programs run on it, and ptrace is mostly waiting.
//
// getppid does next to nothing, so it shows the price of a call itself; files and copies do what programs that call the
// kernel all the time do, with 64 KiB and with 256 KiB a file.
func BenchmarkOverhead(b *testing.B) {
	for _, loop := range []struct {
		name  string
		calls int
		ops   []op.Op
	}{
		{"getppid", 20000, repeat(20000, getppid)},
		{"files", 4 * 5000, reading(b, 5000, 64<<10)},
		{"copies", 4 * 2000, reading(b, 2000, 256<<10)},
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
					took := w.run(b, path)
					w.wall, w.cpu = append(w.wall, took.wall), append(w.cpu, took.cpu)
				}
			}
			b.ReportMetric(0, "ns/op") // of all together it says nothing
			fmt.Printf("\n%-18s %10s %8s %10s %8s   (least of %d)\n",
				loop.name, "ns/call", "× none", "cpu", "× none", len(ways[0].wall))
			for _, w := range ways {
				per := func(times []time.Duration) float64 { return float64(slices.Min(times)) / float64(loop.calls) }
				fmt.Printf("%-18s %10.0f %8.2f", w.name, per(w.wall), per(w.wall)/per(ways[0].wall))
				if per(w.cpu) > 0 {
					fmt.Printf(" %10.0f %8.2f", per(w.cpu), per(w.cpu)/per(ways[0].cpu))
				}
				fmt.Println()
			}
		})
	}
}

// A way is one to trace, and how long the program took.
type way struct {
	name      string
	run       func(b *testing.B, path string) took
	wall, cpu []time.Duration
}

// took is how long a program took: by the clock, and on the processor; 0 if that is not known.
type took struct{ wall, cpu time.Duration }

// reading opens a file, asks what it is, reads it and closes it.
func reading(b *testing.B, n, size int) (ops []op.Op) {
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

func untraced(b *testing.B, path string) took { return timed(begin(b, path)) }

// timed opens the gate and waits for the end.
func timed(p *process) (t took) {
	began := time.Now()
	p.open()
	var usage unix.Rusage
	_ = unix.Waitid(unix.P_PID, p.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, &usage) // ECHILD: a tracer took it
	return took{time.Since(began), time.Duration(usage.Utime.Nano() + usage.Stime.Nano())}
}

func traced(o Options) func(b *testing.B, path string) took {
	return func(b *testing.B, path string) took {
		p := begin(b, path)
		tracer := start(b, p.Target, o)
		t := took{}
		if began := time.Now(); o.Engine == Ptrace { // the end is told to the tracer alone
			p.open()
			<-tracer.Done()
			t.wall = time.Since(began)
		} else {
			t = timed(p)
		}
		if err := tracer.Close(); err != nil {
			b.Fatal(err)
		}
		return t
	}
}

// straced is timed from when the program waits at its gate under strace.
func straced(b *testing.B, path string) took {
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
	return took{wall: time.Since(began)}
}
