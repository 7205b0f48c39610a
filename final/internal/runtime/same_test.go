//go:build linux

package runtime

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// TestSameContainer: both executors make the same container, and start the same process in it.
func TestSameContainer(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*specs.Spec)
	}{
		{"plain", func(*specs.Spec) {}},
		{"full", full},
		{"user", mapped},
	} {
		t.Run(test.name, func(t *testing.T) {
			stub, reexec := look(t, false, test.change), look(t, true, test.change)
			if diff := cmp.Diff(stub, reexec); diff != "" {
				t.Errorf("- stub, + reexec:\n%s", diff)
			}
		})
	}
}

// look makes a container and returns all that the host sees of it and of one more process, without what is
// never the same twice.
func look(t *testing.T, reexec bool, change func(*specs.Spec)) map[string]string {
	t.Helper()
	w := newWorld(t, reexec)
	c := w.create("a", change)
	seen := map[string]string{}
	w.lookAt("created: ", c.Pid, seen, "cgroup", "mountinfo", "limits", "uid_map", "gid_map", "oom_score_adj", "timens_offsets")
	w.must(c.Start())
	w.untilSleeping(c.Pid)
	files := []string{"status", "cgroup", "mountinfo", "limits", "environ", "cmdline", "uid_map", "oom_score_adj", "sessionid", "setgroups"}
	w.lookAt("running: ", c.Pid, seen, files...)
	p, _, err := c.startExec(execArgs("sleep", "1000"))
	w.must(err)
	defer p.Pidfd.Close()
	w.untilSleeping(p.Pid)
	w.lookAt("exec: ", p.Pid, seen, files...)
	for _, file := range []string{"root", "cwd", "exe"} {
		for name, pid := range map[string]int{"running: ": c.Pid, "exec: ": p.Pid} {
			link, err := os.Readlink(fmt.Sprintf("/proc/%d/%s", pid, file))
			seen[name+file] = fmt.Sprint(strings.ReplaceAll(link, w.dir, "DIR"), err)
		}
	}
	var tree []string
	root := fmt.Sprintf("/proc/%d/root", c.Pid)
	for _, pattern := range []string{"/*", "/dev/*", "/proc/sys/net/ipv4/ip_forward"} {
		found, _ := filepath.Glob(root + pattern)
		for _, path := range found {
			info, err := os.Lstat(path)
			w.must(err)
			tree = append(tree, fmt.Sprint(strings.TrimPrefix(path, root), " ", info.Mode()))
		}
	}
	seen["tree"] = strings.Join(tree, "\n")
	return seen
}

// untilSleeping waits for the moment after execve(2): just before it, the process has capabilities to lose.
func (w *world) untilSleeping(pid int) {
	w.Helper()
	if !eventually(func() bool { return strings.HasPrefix(w.proc(pid, "cmdline"), "sleep\x00") }) {
		w.Errorf("process %d is %q, not sleep", pid, w.proc(pid, "cmdline"))
	}
}

// passing are the lines of status that change from moment to moment, or with the pid.
var passing = regexp.MustCompile(`(?m)^(Name|Pid|Tgid|Ngid|PPid|NSpid|NStgid|NSpgid|NSsid|Vm.*|Rss.*|Hugetlb.*|Threads|State|SigQ|SigBlk|SigCgt|SigIgn|SigPnd|ShdPnd|FDSize|THP_.*|Cpus_.*|Mems_.*|.*ctxt_switches|Kthread|x86_.*|untag.*|CoreDump.*):.*\n`)

// openFiles is the soft limit of descriptors: the lab is written in Go, which raises it. See TestNoFile.
var openFiles = regexp.MustCompile(`Max open files +\d+ +`)

// numbers are those of mounts and devices.
var numbers = regexp.MustCompile(`(?m)^\d+ \d+ \d+:\d+ |(shared|master):\d+|propagate_from:\d+`)

func (w *world) lookAt(when string, pid int, seen map[string]string, files ...string) {
	w.Helper()
	for _, file := range files {
		text := w.proc(pid, file) + "\n"
		switch file {
		case "status":
			text = passing.ReplaceAllString(text, "")
		case "limits":
			text = openFiles.ReplaceAllString(text, "Max open files ")
		case "mountinfo":
			lines := strings.Split(numbers.ReplaceAllString(text, "$1"), "\n")
			slices.Sort(lines)
			text = strings.Join(lines, "\n")
		}
		seen[when+file] = strings.ReplaceAll(strings.ReplaceAll(text, w.dir, "DIR"), filepath.Base(w.dir), "DIR")
	}
}
