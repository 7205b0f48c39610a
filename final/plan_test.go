//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/op"
)

// somePlan has each thing that a print-out can show.
func somePlan() *op.List {
	fd := op.NewVar("fd")
	open := op.Open("/a", unix.O_PATH, fd)
	open.Why, open.Accept, open.Accepted = "is it there?", []unix.Errno{unix.ENOENT}, "none"
	change := op.Fchdir(op.Val(fd))
	change.Shell = "cd /a"
	end := op.Exit(0)
	end.Label, end.Why = "none", "nothing is left to do"
	list := &op.List{}
	list.Add(open, change, end)
	return list
}

func TestPlanForPeople(t *testing.T) {
	var out bytes.Buffer
	printPlan(&out, somePlan())
	want := `
# is it there?
   0  fd = openat(AT_FDCWD, "/a", O_PATH|O_CLOEXEC, 0)   ENOENT → none
   1  fchdir(fd)
        $ cd /a

# nothing is left to do
   2  exit_group(0)   <none>
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}

func TestPlanForPrograms(t *testing.T) {
	var out bytes.Buffer
	if err := printPlanJSON(&out, somePlan()); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 3 {
		t.Fatalf("%d lines, want one for each call:\n%s", len(lines), &out)
	}
	var first struct {
		Index          int
		Call, Accepted string
		Accept         []string
	}
	if err := json.Unmarshal([]byte(lines[0]), &first); err != nil {
		t.Fatal(err)
	}
	if first.Call != `fd = openat(AT_FDCWD, "/a", O_PATH|O_CLOEXEC, 0)` || first.Accepted != "none" || len(first.Accept) != 1 || first.Accept[0] != "ENOENT" {
		t.Errorf("%+v", first)
	}
}

// TestExplain: both sides' calls, in the order in which they are made, with the commands that would do the same.
func TestExplain(t *testing.T) {
	byBoth(t, func(t *testing.T, v *victim) {
		v.configure("true")
		_, said, code := v.final("--explain", "run", "--bundle", v.dir, v.id)
		if code != 0 {
			t.Fatalf("exit code %d: %s", code, said)
		}
		rest := said
		for _, want := range []string{
			"mkdir /sys/fs/cgroup/", "  $ mkdir /sys/fs/cgroup/", "clone container ", "  $ unshare ", "in the container:",
			"    pivot_root(\".\", \".\")", "      $ pivot_root . .", "in the container:", "    exec true", "rmdir /sys/fs/cgroup/",
		} {
			_, after, ok := strings.Cut(rest, want)
			if !ok {
				t.Fatalf("want %q after what came before it, in:\n%s", want, said)
			}
			rest = after
		}
	})
}

// TestCleanHalfMade: what a create leaves that was killed at its first moments is found and removed.
func TestCleanHalfMade(t *testing.T) {
	root := t.TempDir()
	v := newVictim(t, false)
	if err := unix.Mkdir(root+"/half", 0o700); err != nil {
		t.Fatal(err)
	}
	out, said, code := v.final("--root", root, "clean")
	if want := "removed half-made container half\n"; code != 0 || !strings.Contains(out, want) {
		t.Errorf("exit code %d, printed %q %s, want %q", code, out, said, want)
	}
	if err := unix.Access(root+"/half", unix.F_OK); err == nil {
		t.Error("its directory is still there")
	}
}
