//go:build linux

package lab

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
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

type psColumn struct {
	name, heading string
	width         int // negative: flush left
	value         func(p processInfo, t psTotals) string
}

// psColumns are the columns that `ps -o` knows.
var psColumns = []psColumn{
	{"pid", "PID", 5, func(p processInfo, _ psTotals) string { return strconv.Itoa(p.pid) }},
	{"ppid", "PPID", 5, func(p processInfo, _ psTotals) string { return strconv.Itoa(p.ppid) }},
	{"pgid", "PGID", 5, func(p processInfo, _ psTotals) string { return strconv.Itoa(p.pgrp) }},
	{"pgrp", "PGRP", 5, func(p processInfo, _ psTotals) string { return strconv.Itoa(p.pgrp) }},
	{"sid", "SID", 5, func(p processInfo, _ psTotals) string { return strconv.Itoa(p.session) }},
	{"tpgid", "TPGID", 5, func(p processInfo, _ psTotals) string { return strconv.Itoa(p.foreground) }},
	{"user", "USER", -8, func(p processInfo, _ psTotals) string { return userName(p.uid) }},
	{"uid", "UID", 5, func(p processInfo, _ psTotals) string { return strconv.Itoa(p.uid) }},
	{"stat", "STAT", -4, func(p processInfo, _ psTotals) string { return p.stat() }},
	{"s", "S", -1, func(p processInfo, _ psTotals) string { return p.state }},
	{"nlwp", "NLWP", 4, func(p processInfo, _ psTotals) string { return strconv.Itoa(p.threads) }},
	{"ni", "NI", 3, func(p processInfo, _ psTotals) string { return strconv.Itoa(p.nice) }},
	{"vsz", "VSZ", 7, func(p processInfo, _ psTotals) string { return strconv.FormatInt(p.vsize/1024, 10) }},
	{"rss", "RSS", 6, func(p processInfo, _ psTotals) string { return strconv.FormatInt(p.rss/1024, 10) }},
	{"pcpu", "%CPU", 4, func(p processInfo, t psTotals) string { return fmt.Sprintf("%.1f", t.cpuShare(p)) }},
	{"pmem", "%MEM", 4, func(p processInfo, t psTotals) string { return fmt.Sprintf("%.1f", t.memoryShare(p)) }},
	{"tty", "TTY", -8, func(p processInfo, _ psTotals) string { return p.terminal() }},
	{"time", "TIME", 8, func(p processInfo, _ psTotals) string { return clock(p.cpu, true) }},
	{"etime", "ELAPSED", 8, func(p processInfo, t psTotals) string { return clock(t.uptime-p.start, true) }},
	{"stime", "STIME", -5, func(p processInfo, t psTotals) string { return t.started(p) }},
	{"start", "START", -5, func(p processInfo, t psTotals) string { return t.started(p) }},
	{"comm", "COMMAND", -15, func(p processInfo, _ psTotals) string { return p.comm }},
	{"args", "COMMAND", -27, func(p processInfo, _ psTotals) string { return p.args }},
	{"cmd", "CMD", -27, func(p processInfo, _ psTotals) string { return p.args }},
}

var psAliases = map[string]string{"command": "args", "ucmd": "comm", "%cpu": "pcpu", "%mem": "pmem", "state": "s",
	"tname": "tty", "tt": "tty", "thcount": "nlwp", "nice": "ni", "vsize": "vsz", "rssize": "rss", "euser": "user",
	"cputime": "time", "sess": "sid", "c": "pcpu"}

// psTotals is what the shares are of.
type psTotals struct {
	uptime time.Duration
	memory int64
}

func readTotals() psTotals {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return psTotals{}
	}
	return psTotals{uptime: time.Duration(info.Uptime) * time.Second, memory: int64(info.Totalram) * int64(info.Unit)}
}

func (t psTotals) cpuShare(p processInfo) float64 {
	if lived := t.uptime - p.start; lived > 0 {
		return min(100*float64(p.cpu)/float64(lived), 999)
	}
	return 0
}

func (t psTotals) memoryShare(p processInfo) float64 {
	if t.memory == 0 {
		return 0
	}
	return 100 * float64(p.rss) / float64(t.memory)
}

func (t psTotals) started(p processInfo) string {
	at := time.Now().Add(p.start - t.uptime)
	if time.Since(at) > 24*time.Hour {
		return at.Format("Jan02")
	}
	return at.Format("15:04")
}

// psForm is a set of columns with headings; "=" in -o empties the heading.
type psForm []struct{ column, heading string }

func psFormOf(columns string) (psForm, error) {
	var form psForm
	for spec := range strings.SplitSeq(strings.ReplaceAll(columns, " ", ","), ",") {
		name, heading, renamed := strings.Cut(spec, "=")
		if alias, ok := psAliases[name]; ok {
			name = alias
		}
		at := slices.IndexFunc(psColumns, func(c psColumn) bool { return c.name == name })
		if at < 0 {
			return nil, usagef("unknown column %q", spec)
		}
		if !renamed {
			heading = psColumns[at].heading
		}
		form = append(form, struct{ column, heading string }{name, heading})
	}
	return form, nil
}

// psRequest is what the command line of ps asks for.
type psRequest struct {
	columns     string
	chosen      []string // -o
	pids, users string   // lists with commas; "" for both is everything
}

// psForms are the columns for the letters of BSD's and System V's options; the first one that is given counts.
var psForms = []struct{ letter, columns string }{
	{"u", "user,pid,pcpu,pmem,vsz,rss,tty,stat,start,time,args"},
	{"f", "user=UID,pid,ppid,pcpu=C,stime,tty,time,cmd"},
	{"l", "stat,uid,pid,ppid,ni,vsz,rss,tty,time,cmd"},
	{"j", "pid,pgid,sid,tty,time,cmd"},
	{"x", "pid,tty,stat,time,args"},
}

func parsePs(args []string) (psRequest, error) {
	r := psRequest{columns: "pid,user,time,args"}
	into := map[string]func(string){
		"-o": func(v string) { r.chosen = append(r.chosen, v) },
		"-p": func(v string) { r.pids = v }, "--pid": func(v string) { r.pids = v },
		"-u": func(v string) { r.users = v },
	}
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		if option, value, ok := strings.Cut(arg, "="); ok && option == "--pid" {
			r.pids = value
			continue
		}
		if strings.HasPrefix(arg, "-o") && len(arg) > 2 {
			r.chosen = append(r.chosen, arg[2:])
			continue
		}
		if set, ok := into[arg]; ok {
			if len(args) == 0 {
				return r, usagef("option '%s' needs a value", arg)
			}
			set(args[0])
			args = args[1:]
			continue
		}
		letters := strings.TrimPrefix(arg, "-")
		if _, err := strconv.Atoi(letters); err == nil {
			r.pids = letters
			continue
		}
		if strings.Trim(letters, "auxfwelTALjH") != "" {
			return r, usagef("unrecognized option '%s'", arg)
		}
		for _, form := range psForms {
			if strings.Contains(letters, form.letter) {
				r.columns = form.columns
				break
			}
		}
	}
	if len(r.chosen) > 0 {
		r.columns = strings.Join(r.chosen, ",")
	}
	return r, nil
}

func (r psRequest) wants(p processInfo) bool {
	return r.pids == "" && r.users == "" ||
		slices.Contains(strings.Split(r.pids, ","), strconv.Itoa(p.pid)) ||
		slices.Contains(strings.Split(r.users, ","), userName(p.uid))
}

func runPs(c *call) error {
	request, err := parsePs(c.args)
	if err != nil {
		return err
	}
	form, err := psFormOf(request.columns)
	if err != nil {
		return err
	}
	all, err := readProcesses()
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(p processInfo) bool { return !request.wants(p) })
	form.print(c, all)
	if len(all) == 0 {
		return exitCode(1)
	}
	return nil
}

func (form psForm) print(c *call, all []processInfo) {
	totals := readTotals()
	rows := [][]string{{}}
	headed := false
	for _, f := range form {
		rows[0] = append(rows[0], f.heading)
		headed = headed || f.heading != ""
	}
	for _, p := range all {
		var row []string
		for _, f := range form {
			for _, col := range psColumns {
				if col.name == f.column {
					row = append(row, col.value(p, totals))
				}
			}
		}
		rows = append(rows, row)
	}
	widths := make([]int, len(form))
	for i, f := range form {
		for _, col := range psColumns {
			if col.name == f.column {
				widths[i] = col.width
			}
		}
		for _, row := range rows {
			if w := len(row[i]); widths[i] < 0 {
				widths[i] = min(widths[i], -w)
			} else {
				widths[i] = max(widths[i], w)
			}
		}
	}
	for n, row := range rows {
		if n == 0 && !headed {
			continue
		}
		var line strings.Builder
		for i, cell := range row {
			if i == len(row)-1 && widths[i] < 0 {
				widths[i] = 0
			}
			fmt.Fprintf(&line, "%*s ", widths[i], cell)
		}
		c.println(strings.TrimSuffix(line.String(), " "))
	}
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

func runSleep(c *call) error {
	if len(c.args) == 0 {
		return usagef("usage: sleep SECONDS...")
	}
	var total time.Duration
	for _, arg := range c.args {
		if arg == "infinity" || arg == "inf" {
			total = 1 << 62
			break
		}
		d, err := parseDuration(arg)
		if err != nil {
			return err
		}
		total += d
	}
	// One thread in nanosleep(2), no timers: a sleep is what lessons look at with ps, strace and /proc.
	left := unix.NsecToTimespec(int64(total))
	for {
		rest := unix.Timespec{}
		if err := unix.Nanosleep(&left, &rest); err != unix.EINTR {
			return nil
		}
		left = rest
	}
}

// become replaces this process with a command, with the exit codes of a shell if that fails.
func (c *call) become(args []string, env []string) error {
	path, err := exec.LookPath(args[0])
	if err == nil || errors.Is(err, exec.ErrDot) {
		_ = c.out.Flush() // the new program knows nothing of the buffer
		err = syscall.Exec(path, args, env)
	}
	return c.notFound(args[0], err)
}

func (c *call) notFound(name string, err error) error {
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, unix.ENOENT) {
		fmt.Fprintf(c.err, "%s: %s: not found\n", c.name, name)
		return exitCode(127)
	}
	fmt.Fprintf(c.err, "%s: %s: %v\n", c.name, name, errors.Unwrap(err))
	return exitCode(126)
}

// start begins a command as a child with this command's streams.
func (c *call) start(args []string, sys *syscall.SysProcAttr) (*exec.Cmd, error) {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = c.in, os.Stdout, os.Stderr
	cmd.SysProcAttr = sys
	_ = c.out.Flush() // in order with the child's output
	if err := cmd.Start(); err != nil {
		return nil, c.notFound(args[0], err)
	}
	return cmd, nil
}

// codeOf is the exit code that a shell gives for a finished child.
func codeOf(state *os.ProcessState) int {
	status, ok := state.Sys().(syscall.WaitStatus)
	switch {
	case ok && status.Signaled():
		return 128 + int(status.Signal())
	default:
		return state.ExitCode()
	}
}

func ended(cmd *exec.Cmd) error {
	_ = cmd.Wait() // the state says all
	if code := codeOf(cmd.ProcessState); code != 0 {
		return exitCode(code)
	}
	return nil
}

func runTimeout(c *call) error {
	o, err := c.options("+s:k:", "signal=s", "kill-after=k")
	if err != nil {
		return err
	}
	if len(o.rest) < 2 {
		return usagef("usage: timeout [-s SIGNAL] [-k SECONDS] SECONDS COMMAND [ARG...]")
	}
	limit, err := parseDuration(o.rest[0])
	if err != nil {
		return err
	}
	sig, err := parseSignal(o.value('s', "TERM"))
	if err != nil {
		return err
	}
	after, err := o.duration('k', 0)
	if err != nil {
		return err
	}
	cmd, err := c.start(o.rest[1:], nil)
	if err != nil {
		return err
	}
	done := make(chan struct{})
	go func() {
		_ = cmd.Wait() // the state says all
		close(done)
	}()
	select {
	case <-done:
		return exitCode(codeOf(cmd.ProcessState))
	case <-time.After(limit):
	}
	_ = cmd.Process.Signal(sig) // it may have ended just now
	if after > 0 {
		select {
		case <-done:
		case <-time.After(after):
			_ = cmd.Process.Kill()
			<-done
			return exitCode(137)
		}
	}
	<-done
	if sig == unix.SIGKILL {
		return exitCode(137)
	}
	return exitCode(124)
}

func runEnv(c *call) error {
	o, err := c.options("+iu:", "ignore-environment=i", "unset=u")
	if err != nil {
		return err
	}
	env := os.Environ()
	if o.has('i') {
		env = nil
	}
	drop := func(name string) {
		env = slices.DeleteFunc(env, func(v string) bool { return strings.HasPrefix(v, name+"=") })
	}
	for _, name := range o.values['u'] {
		drop(name)
	}
	rest := o.rest
	for len(rest) > 0 {
		name, _, ok := strings.Cut(rest[0], "=")
		if !ok {
			break
		}
		drop(name)
		env = append(env, rest[0])
		rest = rest[1:]
	}
	if len(rest) > 0 {
		for _, v := range env {
			if path, ok := strings.CutPrefix(v, "PATH="); ok {
				if err := os.Setenv("PATH", path); err != nil {
					return err
				}
			}
		}
		return c.become(rest, env)
	}
	for _, v := range env {
		c.println(v)
	}
	return nil
}

func runPrintenv(c *call) error {
	if len(c.args) == 0 {
		return runEnv(c)
	}
	for _, name := range c.args {
		value, ok := os.LookupEnv(name)
		if !ok {
			c.status = 1
			continue
		}
		c.println(value)
	}
	return nil
}
