//go:build linux

package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/simple-container/simple-container/vagrant/microvm/internal/wire"
)

// What a serial console really sends: the firmware's escapes, carriage
// returns, and writes that end in the middle of a line.
func TestConsole(t *testing.T) {
	c := &console{}
	for _, part := range []string{
		"\x1bc\x1b[?7l\x1b[2J\x1b[0mSeaBIOS (version 1.16.2)\r\n\r\n",
		"[    0.7] Run /init as in", "it process\r\n[    1.6",
		"52265] Kernel panic - not syncing: No working init found.  Try passing init=\r\n",
		"[    1.7] Kernel panic - not syncing: second\r\n",
		"[    1.8] Rebooting",
	} {
		if n, err := io.WriteString(c, part); n != len(part) || err != nil {
			t.Fatalf("write = %d, %v", n, err)
		}
	}
	if got, want := c.panicked(), "kernel panic: not syncing: No working init found.  Try passing init="; got != want {
		t.Errorf("panicked = %q, want %q", got, want)
	}
	for _, want := range []string{"\tSeaBIOS (version 1.16.2)\n", "\t[    0.7] Run /init as init process\n", "\t[    1.8] Rebooting"} {
		if got := c.quote(); !strings.Contains(got, want) {
			t.Errorf("quote = %q, want %q in it", got, want)
		}
	}
}

func TestConsoleKeepsTheLastLines(t *testing.T) {
	c := &console{}
	for i := range 3 * consoleLines {
		fmt.Fprintf(c, "line %d\n", i)
	}
	if len(c.lines) != consoleLines || c.lines[0] != fmt.Sprintf("line %d", 2*consoleLines) {
		t.Errorf("%d lines from %q, want the last %d", len(c.lines), c.lines[0], consoleLines)
	}
}

func TestConsoleThatStayedEmpty(t *testing.T) {
	if got, want := (&console{}).quote(), "; its console stayed empty"; got != want {
		t.Errorf("quote = %q, want %q", got, want)
	}
}

// report is a report as init writes it.
func report(t *testing.T, records ...wire.Record) io.Reader {
	t.Helper()
	var text strings.Builder
	for _, record := range records {
		if err := wire.WriteRecord(&text, record); err != nil {
			t.Fatal(err)
		}
	}
	return strings.NewReader(text.String())
}

func TestSummary(t *testing.T) {
	var out strings.Builder
	s := &summary{Out: &out}
	err := wire.ReadRecords(report(t,
		wire.Record{Ready: "6.1.0"},
		wire.Record{Started: "./a"}, wire.Record{Output: []byte("half a ")}, wire.Record{Output: []byte("line\x00\n{\"Done\":true}\n")},
		wire.Record{Ended: "./a", Result: &wire.Result{Seconds: 1.234}},
		wire.Record{Started: "./b"}, wire.Record{Ended: "./b", Result: &wire.Result{ExitCode: 137, Seconds: 2}},
		wire.Record{Done: true}, wire.Record{Failure: "not read"}), s.handle)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := out.String(), "half a line\x00\n{\"Done\":true}\n"; got != want {
		t.Errorf("output = %q, want %q", got, want)
	}
	if got, want := strings.Join(s.ended, "\n"), "ok  \t./a\t1.23s\nFAIL\t./b\t2.00s\texit code 137"; got != want {
		t.Errorf("summary = %q, want %q", got, want)
	}
	if len(s.failed) != 1 || s.failed[0] != "./b" {
		t.Errorf("failed = %q, want ./b", s.failed)
	}
}

func TestConclude(t *testing.T) {
	var out strings.Builder
	lost := errors.New("./b: guest: stopped")
	err := conclude([]summary{
		{ended: []string{"ok  \t./a\t1.00s"}},
		{err: lost},
		{ended: []string{"FAIL\t./c\t1.00s\texit code 1"}, failed: []string{"./c"}},
	}, &out)
	if !errors.Is(err, lost) || !strings.HasSuffix(err.Error(), "\nfailed: ./c") {
		t.Errorf("error %v, want that of ./b and that ./c failed", err)
	}
	if got, want := out.String(), "ok  \t./a\t1.00s\nFAIL\t./c\t1.00s\texit code 1\n"; got != want {
		t.Errorf("output = %q, want %q", got, want)
	}
	if err := conclude([]summary{{ended: []string{"ok"}}}, &out); err != nil {
		t.Errorf("all is well: error %v", err)
	}
}

func TestReportThatIsCutOff(t *testing.T) {
	s := &summary{Out: io.Discard}
	err := wire.ReadRecords(report(t, wire.Record{Ready: "6.1.0"}, wire.Record{Started: "./a"}), s.handle)
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("error %v, want %v", err, io.ErrUnexpectedEOF)
	}
}

func TestReportOfAFailure(t *testing.T) {
	s := &summary{Out: io.Discard}
	err := wire.ReadRecords(report(t, wire.Record{Failure: "open port: none"}, wire.Record{Done: true}), s.handle)
	if err == nil || err.Error() != "open port: none" {
		t.Errorf("error %v, want the guest's", err)
	}
}
