//go:build linux

package trace

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/simple-container/simple-container/final/internal/runtime"
)

// A Target is what is traced: a container, as the kernel knows it.
type Target struct {
	Pid    int                   // its first process, in our numbers
	Cgroup string                // its directory in the cgroup2 tree; "" if there is none
	Pids   func() ([]int, error) // all its processes by now; nil for the first and its descendants
}

// Of is a container of the OCI runtime as a target.
func Of(c *runtime.Container) Target {
	return Target{Pid: c.Pid, Cgroup: c.Cgroups[""], Pids: c.Pids}
}

// processes are those that there are by now.
func (t Target) processes() ([]int, error) {
	if t.Pids == nil {
		return descendants(t.Pid), nil
	}
	pids, err := t.Pids()
	if err == nil && !slices.Contains(pids, t.Pid) {
		pids = append(pids, t.Pid)
	}
	return pids, err
}

// descendants are a process and what came from it, by /proc/PID/task/TID/children (since Linux 3.5). What ends
// while we look is not in it.
func descendants(pid int) []int {
	list := []int{pid}
	for _, tid := range threads(pid) {
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, tid))
		for word := range strings.FieldsSeq(string(text)) {
			if child, err := strconv.Atoi(word); err == nil {
				list = append(list, descendants(child)...)
			}
		}
	}
	return list
}

// threads are a process's, none if it is gone.
func threads(pid int) (list []int) {
	entries, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	for _, entry := range entries {
		if tid, err := strconv.Atoi(entry.Name()); err == nil {
			list = append(list, tid)
		}
	}
	return list
}

// inContainer is the number that a thread has in its own PID namespace (NSpid in proc_pid_status(5); in ours if
// that is the same one).
func inContainer(pid, tid int) int {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/status", pid, tid))
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "NSpid:"); ok {
			words := strings.Fields(rest)
			n, _ := strconv.Atoi(words[len(words)-1])
			return n
		}
	}
	return 0
}
