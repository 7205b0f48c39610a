//go:build linux

package main

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"
)

// row is a line of the histogram.
type row struct {
	calls          int
	total, slowest time.Duration
	errors         string
}

// histogramOf reads what --trace tells at the end.
func histogramOf(w *world, r result) map[string]row {
	w.Helper()
	rows, begun := map[string]row{}, false
	for _, line := range lines(r.stderr) {
		if strings.Contains(line, "SYSTEM CALL") {
			begun = true
			continue
		}
		fields := strings.Fields(line)
		if !begun || len(fields) < 4 {
			continue
		}
		calls, err := strconv.Atoi(fields[0])
		w.must(err)
		total, err := time.ParseDuration(fields[1])
		w.must(err)
		slowest, err := time.ParseDuration(fields[2])
		w.must(err)
		rows[fields[3]] = row{calls, total, slowest, strings.Join(fields[4:], " ")}
	}
	if !begun {
		w.Fatalf("no histogram:\n%s", r.stderr)
	}
	return rows
}

func TestCallsAreCounted(t *testing.T) {
	w := newConnectedWorld(t)
	n, missing := 1000+rand.IntN(1000), 5+rand.IntN(20)
	calls := histogramOf(w, w.run("run", "--trace", "syscalls", strconv.Itoa(n), "--missing", strconv.Itoa(missing)))
	if got := calls["getppid"].calls; got != n {
		w.wrong("calls of getppid", n, got, "entry and exit are counted both, or the command's start is missed", walk)
	}
	// Go's runtime looks for files of its own; so the difference counts.
	none := histogramOf(w, w.run("run", "--trace", "syscalls", strconv.Itoa(n)))
	if got := calls["openat"].failed(w, "ENOENT") - none["openat"].failed(w, "ENOENT"); got != missing {
		w.wrong("calls of openat that failed with ENOENT", missing, got, "the result's sign was not looked at", walk)
	}
}

// failed returns how many calls failed with an error: "ENOENT 12, EAGAIN 3".
func (r row) failed(w *world, name string) int {
	w.Helper()
	for _, entry := range strings.Split(r.errors, ", ") {
		if count, ok := strings.CutPrefix(entry, name+" "); ok {
			n, err := strconv.Atoi(count)
			w.must(err)
			return n
		}
	}
	return 0
}

func TestAllProcessesAreFollowed(t *testing.T) {
	w := newConnectedWorld(t)
	r := w.run("run", "--trace", "sh", "-c", "syscalls 300 & (syscalls 20 | cat); sh -c 'syscalls 1'; wait; exit 9")
	if got := histogramOf(w, r)["getppid"].calls; got < 321 || got > 330 { // a shell asks for it once or twice itself
		w.wrong("calls of getppid in four processes", 321, got, "forks are not followed", walk)
	}
	if r.code != 9 {
		w.wrong("exit code", 9, r.code, "the tracer took it", walk)
	}
}

func TestTimesAreTaken(t *testing.T) {
	w := newConnectedWorld(t)
	calls := histogramOf(w, w.run("run", "--trace", "dd", "if=/dev/zero", "of=/dev/null", "bs=1024", "count=100"))
	if got := calls["write"]; got.calls < 100 || got.slowest <= 0 || got.total < got.slowest {
		w.wrong("100 calls of write", "total at least the slowest, above 0", got, "the time is not taken from entry to exit", walk)
	}
	started := time.Now()
	calls = histogramOf(w, w.run("run", "--trace", "sleep", "0.4"))
	longest := time.Duration(0)
	for _, c := range calls {
		longest = max(longest, c.slowest)
	}
	if longest < 100*time.Millisecond || longest > time.Since(started) {
		w.wrong("the longest call of sleep 0.4", "some tenths of a second", longest, "the time is not taken from entry to exit", walk)
	}
}

func TestProcess1IsNotCounted(t *testing.T) {
	w := newConnectedWorld(t)
	calls := histogramOf(w, w.run("run", "--trace", "true"))
	for _, name := range []string{"mount", "pivot_root", "sethostname", "unshare"} {
		if calls[name].calls > 0 {
			w.wrong("calls of "+name+" by true", 0, calls[name].calls, "the set-up of the container was counted", walk)
		}
	}
}

func TestTracedAsUntraced(t *testing.T) {
	w := newConnectedWorld(t)
	for _, c := range []struct {
		want int
		args []string
	}{
		{0, []string{"true"}},
		{42, []string{"sh", "-c", "exit 42"}},
		{137, []string{"sh", "-c", "kill -9 $$"}},
		{143, []string{"sh", "-c", "[ $$ -lt 100 ] || exit 99; kill -TERM 1; sleep 1000"}},
		{127, []string{"no-such-command"}},
		{137, []string{"--memory", "48m", "sh", "-c", "eat 200m; kill -9 $$"}},
	} {
		if r := w.run(append([]string{"run", "--trace"}, c.args...)...); r.code != c.want {
			w.wrong(fmt.Sprintf("exit code of %q, traced", c.args), c.want, r, "a signal, or the end, was lost in the tracer", walk)
		}
	}
}

func TestStopAndContinueTraced(t *testing.T) {
	w := newConnectedWorld(t)
	r := w.run("run", "--trace", "sh", "-c", "sleep 0.3 & sleep 0.1; kill -STOP %1 || kill -STOP $!; sleep 0.1; kill -CONT %1 || kill -CONT $!; wait; echo over")
	if r.code != 0 || !strings.Contains(r.stdout, "over") {
		w.wrong("a process that is stopped and continued", "over", r.stdout+r.stderr, "a group-stop needs PTRACE_LISTEN", walk)
	}
}

func TestShellWithJobControlTraced(t *testing.T) { useShell(newConnectedWorld(t), "run", "--trace") }
