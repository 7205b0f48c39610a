//go:build linux

package lab

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

var processCommands = []command{
	{"ps", "list processes: ps [aux | -ef | -o pid,ppid,user,stat,time,args]", runPs},
	{"top", "show the busiest processes: top [-b] [-n COUNT] [-d SECONDS]", runTop},
	{"kill", "send a signal: kill [-SIGNAL] PID...; kill -l", runKill},
	{"killall", "send a signal by name: killall [-SIGNAL] NAME...", runKillall},
	{"pidof", "find the process ids of a program: pidof NAME...", runPidof},
	{"pgrep", "find processes whose name contains a text: pgrep [-l] TEXT", runPgrep},
	{"sleep", "wait: sleep SECONDS", runSleep},
	{"timeout", "stop a command after a time: timeout [-s SIGNAL] SECONDS COMMAND", runTimeout},
	{"nohup", "run a command that survives a hang-up: nohup COMMAND", runNohup},
	{"setsid", "run a command in a new session: setsid [-cw] COMMAND", runSetsid},
	{"nice", "run a command with another priority: nice [-n N] COMMAND", runNice},
	{"env", "run a command in another environment, or print it: env [-i] [NAME=VALUE...] [COMMAND]", runEnv},
	{"printenv", "print environment variables: printenv [NAME...]", runPrintenv},
	{"xargs", "run a command with arguments from the input: xargs [-n N] [-I TEXT] COMMAND", runXargs},
	{"time", "measure a command: time COMMAND", runTime},
	{"watch", "run a command again and again: watch [-n SECONDS] COMMAND", runWatch},
}

// A processInfo is one line of a process table.
type processInfo struct {
	pid, ppid, pgrp, session int
	tty                      int
	threads                  int
	nice                     int
	uid                      int
	comm, state, args        string
	cpu                      time.Duration
	start                    time.Duration // since boot
	vsize, rss               int64         // bytes
	foreground               int
}

// ticks is USER_HZ, the unit of times in /proc: 100 on every architecture that Go runs Linux on.
const ticks = 100

// readProcesses reads the process table from /proc, which shows the PID namespace that it was mounted in.
func readProcesses() ([]processInfo, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var all []processInfo
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		p, err := readProcess(pid)
		if err != nil {
			continue // it ended while we looked
		}
		all = append(all, p)
	}
	if len(all) == 0 {
		return nil, errors.New("/proc is empty: mount it first (mount -t proc proc /proc)")
	}
	slices.SortFunc(all, func(a, b processInfo) int { return a.pid - b.pid })
	return all, nil
}

func readProcess(pid int) (processInfo, error) {
	dir := "/proc/" + strconv.Itoa(pid)
	stat, err := os.ReadFile(dir + "/stat")
	if err != nil {
		return processInfo{}, err
	}
	p, err := parseStat(string(stat))
	if err != nil {
		return p, err
	}
	if info, err := os.Stat(dir); err == nil {
		p.uid = int(info.Sys().(*syscall.Stat_t).Uid)
	}
	cmdline, err := os.ReadFile(dir + "/cmdline")
	if err == nil && len(cmdline) > 0 {
		p.args = strings.TrimSpace(string(bytes.ReplaceAll(cmdline, []byte{0}, []byte{' '})))
	}
	if p.args == "" {
		p.args = "[" + p.comm + "]"
	}
	return p, nil
}

// parseStat reads proc_pid_stat(5):
//
//	7 (sh) S 1 7 7 34816 12 4194304 310 0 0 0 1 0 0 0 20 0 6 0 9171 1268527104 1792 ...
//
// The name may hold blanks and parentheses: it ends at the last ')'.
func parseStat(line string) (p processInfo, err error) {
	open, end := strings.IndexByte(line, '('), strings.LastIndexByte(line, ')')
	if open < 0 || end < open {
		return p, fmt.Errorf("stat %q: no name", line)
	}
	p.comm = line[open+1 : end]
	fields := strings.Fields(line[end+1:])
	if len(fields) < 22 {
		return p, fmt.Errorf("stat %q: %d fields after the name", line, len(fields))
	}
	number := func(i int) int64 {
		n, numberErr := strconv.ParseInt(fields[i], 10, 64)
		err = errors.Join(err, numberErr)
		return n
	}
	p.state = fields[0]
	p.ppid, p.pgrp, p.session = int(number(1)), int(number(2)), int(number(3))
	p.tty, p.foreground = int(number(4)), int(number(5))
	p.cpu = time.Duration(number(11)+number(12)) * time.Second / ticks
	p.nice, p.threads = int(number(16)), int(number(17))
	p.start = time.Duration(number(19)) * time.Second / ticks
	p.vsize, p.rss = number(20), number(21)*int64(os.Getpagesize())
	p.pid, err = strconv.Atoi(strings.TrimSpace(line[:open]))
	return p, err
}

// stat is the STAT column: the state, with s for a session leader, l for threads, + for the foreground.
func (p processInfo) stat() string {
	s := p.state
	switch {
	case p.nice < 0:
		s += "<"
	case p.nice > 0:
		s += "N"
	}
	if p.session == p.pid {
		s += "s"
	}
	if p.threads > 1 {
		s += "l"
	}
	if p.foreground == p.pgrp && p.pgrp > 0 {
		s += "+"
	}
	return s
}

func (p processInfo) terminal() string {
	major, minor := p.tty>>8&0xfff, p.tty&0xff|p.tty>>12&0xfff00
	switch {
	case p.tty == 0:
		return "?"
	case major >= 136 && major <= 143:
		return fmt.Sprintf("pts/%d", minor+(major-136)*256)
	case major == 4 && minor < 64:
		return fmt.Sprintf("tty%d", minor)
	case major == 4:
		return fmt.Sprintf("ttyS%d", minor-64)
	}
	return fmt.Sprintf("%d:%d", major, minor)
}

// clock prints a cpu time as procps does, 00:00:01, or in short as 0:01.
func clock(d time.Duration, long bool) string {
	seconds := int(d.Seconds())
	if long {
		return fmt.Sprintf("%02d:%02d:%02d", seconds/3600, seconds/60%60, seconds%60)
	}
	return fmt.Sprintf("%d:%02d", seconds/60, seconds%60)
}

func runPidof(c *call) error {
	all, err := readProcesses()
	if err != nil {
		return err
	}
	var found []string
	for _, name := range c.args {
		for _, p := range all {
			if p.comm == name && p.pid != os.Getpid() {
				found = append(found, strconv.Itoa(p.pid))
			}
		}
	}
	if len(found) == 0 {
		return exitCode(1)
	}
	c.println(strings.Join(found, " "))
	return nil
}

func runPgrep(c *call) error {
	o, err := c.options("lfx")
	if err != nil {
		return err
	}
	if len(o.rest) != 1 {
		return usagef("usage: pgrep [-lfx] TEXT")
	}
	all, err := readProcesses()
	if err != nil {
		return err
	}
	found := false
	for _, p := range all {
		name := p.comm
		if o.has('f') {
			name = p.args
		}
		if p.pid == os.Getpid() || !strings.Contains(name, o.rest[0]) || o.has('x') && name != o.rest[0] {
			continue
		}
		found = true
		if o.has('l') {
			c.println(p.pid, name)
		} else {
			c.println(p.pid)
		}
	}
	if !found {
		return exitCode(1)
	}
	return nil
}
