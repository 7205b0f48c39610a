//go:build linux

package web

import (
	"os"
	"slices"
	"strconv"
	"strings"
)

// processes reads those of a container.
func (m *machine) processes(id string) (Processes, error) {
	c, _, err := m.find(id)
	if err != nil {
		return Processes{}, err
	}
	pids, err := c.Pids()
	if err != nil {
		return Processes{}, err
	}
	more := max(0, len(pids)-mostRows) // to read them all would take longer than anybody looks
	var found []process
	for _, pid := range pids[:len(pids)-more] {
		if p, ok := readProcess(pid); ok {
			found = append(found, p)
		}
	}
	return Processes{processTree(found), more}, nil
}

// A process is one with its parent, as the host numbers it.
type process struct {
	Process
	parent int
}

// processTree puts each process behind its parent. The first one has its parent outside, and so has one that was
// sent in (exec).
func processTree(list []process) (tree []Process) {
	below, known := map[int][]process{}, map[int]bool{}
	for _, p := range list {
		known[p.Host] = true
	}
	for _, p := range list {
		parent := p.parent
		if !known[parent] {
			parent = 0
		}
		below[parent] = append(below[parent], p)
	}
	var walk func(parent, depth int)
	walk = func(parent, depth int) {
		slices.SortFunc(below[parent], func(a, b process) int { return a.Host - b.Host })
		for _, p := range below[parent] {
			p.Depth = depth
			tree = append(tree, p.Process)
			walk(p.Host, depth+1)
		}
	}
	walk(0, 0)
	return tree
}

// readProcess reads /proc/PID; one that has ended meanwhile is not there.
func readProcess(pid int) (p process, ok bool) {
	status, err := os.ReadFile(proc(pid, "status"))
	if err != nil {
		return p, false
	}
	p, ok = parseStatus(string(status))
	line, err := os.ReadFile(proc(pid, "cmdline"))
	if err == nil && len(line) > 0 { // a zombie has none, and keeps the name in brackets
		p.Command = commandLine(string(line))
	}
	return p, ok
}

// parseStatus reads (proc_pid_status(5))
//
//	Name:	sleep
//	State:	S (sleeping)
//	Pid:	4711
//	PPid:	4700
//	Uid:	1000	1000	1000	1000
//	NSpid:	4711	12
//	Threads:	1
func parseStatus(text string) (p process, ok bool) {
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(line, ":")
		words := strings.Fields(value)
		if len(words) == 0 {
			continue
		}
		number := func(word string) int {
			n, _ := strconv.Atoi(word) // the kernel writes numbers
			return n
		}
		switch key {
		case "Name":
			p.Command = "[" + strings.TrimSpace(value) + "]"
		case "State":
			p.State = words[0]
		case "Pid":
			p.Host = number(words[0])
		case "PPid":
			p.parent = number(words[0])
		case "Uid":
			p.User = number(words[0])
		case "NSpid":
			p.Inside = number(words[len(words)-1])
		case "Threads":
			p.Threads = number(words[0])
		}
	}
	return p, p.Host != 0
}

// commandLine makes one line of the arguments, which end with a zero each, and may have anything else in them.
func commandLine(text string) string {
	text = strings.ReplaceAll(strings.TrimRight(text, "\x00"), "\x00", " ")
	if len(text) > 300 {
		text = text[:300] + "..."
	}
	return strings.ToValidUTF8(strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f {
			return '\u00b7'
		}
		return c
	}, text), "\ufffd")
}
