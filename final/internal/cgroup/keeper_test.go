//go:build linux

package cgroup

import (
	"os"
	"strings"
	"testing"
)

// A file longer than the buffer, and one that the kernel hands out in several pieces, are read to their ends.
func TestKeeperReadsToTheEnd(t *testing.T) {
	long := strings.Repeat("0123456789\n", 20_000)
	g := fakeGroup(t.TempDir(), 2)
	fakeFiles(t, g, map[string]string{"long": long, "empty": ""})
	keep := &Keeper{Most: 2}
	f := g.Files("", keep)
	defer g.CloseFiles()
	for range 2 {
		if text, ok := f.Read("long"); !ok || string(text) != long {
			t.Errorf("got %d bytes, want %d", len(text), len(long))
		}
		if text, ok := f.Read("empty"); !ok || len(text) != 0 {
			t.Errorf("empty: got %q, %v", text, ok)
		}
		if _, ok := f.Read("none"); ok {
			t.Error("a file that is not there was read")
		}
	}
	if err := f.Err(); err != nil || keep.have != 2 {
		t.Errorf("%d files are kept, want 2; %v", keep.have, err)
	}
	table, err := os.Open("/proc/self/mountinfo") // a list that has a length of its own
	if err != nil {
		t.Fatal(err)
	}
	defer table.Close()
	want, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := keep.ReadFrom(int(table.Fd())); err != nil || string(got) != string(want) {
		t.Errorf("got %d bytes, want %d; %v", len(got), len(want), err)
	}
}

// The list of processes of v1 is as old as the open file.
func TestKeeperLeavesProcsOfV1(t *testing.T) {
	for version, want := range map[int]int{1: 1, 2: 2} {
		g := fakeGroup(t.TempDir(), version)
		fakeFiles(t, g, map[string]string{"cgroup.procs": "1\n", "pids.current": "1\n"})
		keep := &Keeper{Most: 10}
		f := g.Book(keep)
		for _, name := range []string{"cgroup.procs", "pids.current"} {
			if _, ok := f.Read(name); !ok {
				t.Errorf("v%d: %s was not read", version, name)
			}
		}
		if keep.have != want {
			t.Errorf("v%d: %d files are kept, want %d", version, keep.have, want)
		}
		g.CloseFiles()
		if keep.have != 0 {
			t.Errorf("v%d: %d files stay open", version, keep.have)
		}
	}
	if f := (&Group{}).Book(nil); f != nil {
		t.Errorf("a group in no tree has %v", f)
	}
}
