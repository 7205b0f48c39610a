//go:build linux

package engine

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// killPatience is how long a container that was killed has for its end.
const killPatience = 30 * time.Second

// awaitKilled waits for the end of the container, which has been killed. It does not come while a process waits for a
// broken disk, nor while one that has ended waits for its parent outside (pid_namespaces(7)): what exec -d has
// started is a child of the machine's process 1, and that of a container without --init may wait for nobody.
func (c *Container) awaitKilled(patience time.Duration) error {
	ended := make(chan error, 1)
	go func() { ended <- c.awaitMonitor() }() // for ever perhaps: it ends with this program
	select {
	case err := <-ended:
		return err
	case <-time.After(patience):
	}
	if who := unreaped(c.State.Pid); who != "" {
		return fmt.Errorf("container %s was killed, and cannot end: %s", c.Name, who)
	}
	return fmt.Errorf("container %s was killed, and has not ended in %v: see final top %s", c.Name, patience, c.Name)
}

// unreaped finds a process that has ended in the PID namespace of process init, and whose parent is not in it.
func unreaped(init int) string {
	namespace, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", init))
	entries, _ := os.ReadDir("/proc") // nothing found is what there is to say of an error, too
	if err != nil {
		return ""
	}
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil || pid == init {
			continue
		}
		if in, _ := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", pid)); in != namespace {
			continue
		}
		name, state, parent := readParent(pid)
		if in, _ := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", parent)); state != "Z" || in == namespace {
			continue
		}
		of, _, _ := readParent(parent)
		return fmt.Sprintf("its process %d (%s) has ended, and the parent of that, %d (%s), does not wait for it; where that is process 1 of a container, start that one with --init",
			pid, name, parent, of)
	}
	return ""
}

// readParent reads /proc/PID/stat (proc_pid_stat(5)): 4711 (any text (even this) S 4700 ...
func readParent(pid int) (name, state string, parent int) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	begin, end := bytes.IndexByte(text, '('), bytes.LastIndexByte(text, ')')
	if err != nil || begin < 0 || end < begin {
		return "", "", 0
	}
	fields := strings.Fields(string(text[end+1:]))
	if len(fields) < 2 {
		return "", "", 0
	}
	parent, _ = strconv.Atoi(fields[1]) // a number, by the kernel's word
	return string(text[begin+1 : end]), fields[0], parent
}
