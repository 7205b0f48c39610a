//go:build linux

package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"
)

// histogram counts system calls by number.
type histogram map[int]*tally

type tally struct {
	calls    int
	errors   map[unix.Errno]int
	duration time.Duration // of those that returned
	slowest  time.Duration
}

// enter counts a call. Not all return: exit_group never does.
func (h histogram) enter(call int) {
	if h[call] == nil {
		h[call] = &tally{errors: map[unix.Errno]int{}}
	}
	h[call].calls++
}

// leave adds what a call that returned came to. The time is from stop to stop, so it includes ours.
func (h histogram) leave(call int, failure unix.Errno, took time.Duration) {
	t := h[call]
	t.duration += took
	t.slowest = max(t.slowest, took)
	if failure != 0 {
		t.errors[failure]++
	}
}

// write tells all, the longest first. It begins a line of its own: after Ctrl-C the terminal shows ^C.
func (h histogram) write(w io.Writer) error {
	fmt.Fprintln(w)
	table := tabwriter.NewWriter(w, 0, 0, 3, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "CALLS\tTOTAL\tSLOWEST\tSYSTEM CALL\t  ERRORS")
	byTime := func(a, b int) int {
		return cmp.Or(cmp.Compare(h[b].duration, h[a].duration), cmp.Compare(a, b))
	}
	for _, call := range slices.SortedFunc(maps.Keys(h), byTime) {
		t := h[call]
		fmt.Fprintf(table, "%d\t%s\t%s\t%s\t  %s\n", t.calls, t.duration.Round(time.Microsecond),
			t.slowest.Round(time.Microsecond), syscallName(call), t.failures())
	}
	return table.Flush()
}

// failures lists a call's errors: ENOENT 12, EAGAIN 3.
func (t *tally) failures() string {
	byCount := func(a, b unix.Errno) int {
		return cmp.Or(cmp.Compare(t.errors[b], t.errors[a]), cmp.Compare(a, b))
	}
	var list []string
	for _, errno := range slices.SortedFunc(maps.Keys(t.errors), byCount) {
		list = append(list, fmt.Sprintf("%s %d", errnoName(errno), t.errors[errno]))
	}
	return strings.Join(list, ", ")
}

// errnoName also knows the kernel's own codes, for calls that a signal cut short and that are made again.
func errnoName(errno unix.Errno) string {
	if name := unix.ErrnoName(errno); name != "" {
		return name
	}
	restarts := map[unix.Errno]string{
		512: "ERESTARTSYS", 513: "ERESTARTNOINTR", 514: "ERESTARTNOHAND", 516: "ERESTART_RESTARTBLOCK",
	}
	return cmp.Or(restarts[errno], fmt.Sprintf("errno %d", int(errno)))
}

//go:generate go run syscalls_generate.go

func syscallName(call int) string {
	if call < len(syscallNames) && syscallNames[call] != "" {
		return syscallNames[call]
	}
	return fmt.Sprintf("syscall %d", call)
}
