//go:build linux

package metrics

import (
	"fmt"
	"testing"

	"golang.org/x/sys/unix"
)

const many = 200

// containers makes many groups with a process in each, in a network namespace of its own.
func containers(b *testing.B) (targets []Target) {
	b.Helper()
	for i := range many {
		name := fmt.Sprintf("bench-%d", i)
		g := newGroup(b, name, nil)
		cmd := spawn(b, g, unix.CLONE_NEWNET, "sleep", "1000")
		targets = append(targets, target(g, name, cmd.Process.Pid))
	}
	return targets
}

// processorTime reports what was used of it, which is the same on a machine that has much else to do.
func processorTime(b *testing.B) func() {
	used := func() int64 {
		var usage unix.Rusage
		if err := unix.Getrusage(unix.RUSAGE_SELF, &usage); err != nil {
			b.Fatal(err)
		}
		return usage.Utime.Nano() + usage.Stime.Nano()
	}
	before := used()
	return func() { b.ReportMetric(float64(used()-before)/1e6/float64(b.N), "cpu-ms/op") }
}

// BenchmarkRead reads two hundred containers, as a scrape or a line of stats does: want less than 20 ms.
func BenchmarkRead(b *testing.B) {
	targets := containers(b)
	r := &Reader{}
	defer r.Close()
	if samples, err := r.All(targets); err != nil || len(samples) != many {
		b.Fatalf("%d containers, want %d; %v", len(samples), many, err)
	}
	b.ReportAllocs()
	defer processorTime(b)()
	for b.Loop() {
		if _, err := r.All(targets); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkFirstRead also opens their files, and closes them.
func BenchmarkFirstRead(b *testing.B) {
	targets := containers(b)
	for b.Loop() {
		r := &Reader{}
		if _, err := r.All(targets); err != nil {
			b.Fatal(err)
		}
		r.Close()
	}
}

// BenchmarkScrape also writes the page: want less than 50 ms.
func BenchmarkScrape(b *testing.B) {
	targets := containers(b)
	e := &Exporter{Targets: func() ([]Target, error) { return targets, nil }}
	defer e.reader.Close()
	if _, err := e.Page(Text); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	defer processorTime(b)()
	for b.Loop() {
		if _, err := e.Page(Text); err != nil {
			b.Fatal(err)
		}
	}
}
