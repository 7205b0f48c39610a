//go:build linux

package lab

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"
)

type shellBuiltin func(s *shell, ctx context.Context, hc interp.HandlerContext, args []string) error

// shellBuiltins are the builtins that need the shell's processes, and those that print. The interpreter has the
// others. Its own echo writes word by word: lines that two shells append to one file would be torn, and nobody
// would hear of a disk that is full.
func shellBuiltins() map[string]shellBuiltin {
	return map[string]shellBuiltin{
		"end":     (*shell).endOfJob,
		"exec":    (*shell).execBuiltin,
		"jobs":    (*shell).jobsBuiltin,
		"fg":      (*shell).fgBuiltin,
		"bg":      (*shell).bgBuiltin,
		"wait":    (*shell).waitBuiltin,
		"kill":    (*shell).killBuiltin,
		"trap":    (*shell).trapBuiltin,
		"umask":   (*shell).umaskBuiltin,
		"ulimit":  (*shell).ulimitBuiltin,
		"history": (*shell).historyBuiltin,
		"help":    (*shell).helpBuiltin,
		"traps":   (*shell).runWithTraps,
		"echo":    asBuiltin("echo", runEcho),
		"printf":  asBuiltin("printf", runPrintf),
	}
}

// asBuiltin makes a command that only writes to its output a builtin.
func asBuiltin(name string, run func(*call) error) shellBuiltin {
	return func(s *shell, _ context.Context, hc interp.HandlerContext, args []string) error {
		c := &call{name: name, args: args, in: s.in, out: bufio.NewWriter(hc.Stdout), err: hc.Stderr}
		return status(c.run(command{name: name, run: run}))
	}
}

// called sees every simple command before it runs and redirects some of them to the builtins above.
func (s *shell) called(ctx context.Context, args []string) ([]string, error) {
	hc := interp.HandlerCtx(ctx)
	if s.ended(s.jobOf(hc)) {
		return nil, errJobKilled
	}
	name := args[0]
	switch {
	case strings.HasPrefix(name, callPrefix):
		return args, nil
	case name == "exit":
		s.traps.exits()
	case name == "eval":
		return []string{"eval", s.rewriteText(strings.Join(args[1:], " "))}, nil
	case name == "exec" || name == "traps" || name == "end":
	case shellBuiltins()[name] != nil:
		args = slices.Concat([]string{callPrefix + name}, args[1:])
	}
	if s.traps.due() && !inBackground(hc) {
		return slices.Concat([]string{callPrefix + "traps"}, args), nil
	}
	return args, nil
}

// rewriteText does for text what rewrite does for statements.
func (s *shell) rewriteText(text string) string {
	file, err := syntax.NewParser().Parse(strings.NewReader(text), "")
	if err != nil {
		return text // eval will say what is wrong with it
	}
	for _, st := range file.Stmts {
		s.rewrite(st)
	}
	var out strings.Builder
	if err := syntax.NewPrinter().Print(&out, file); err != nil {
		return text
	}
	return out.String()
}

// endOfJob is what a background job calls last.
func (s *shell) endOfJob(_ context.Context, hc interp.HandlerContext, _ []string) error {
	j := s.jobOf(hc)
	if j.id == 0 {
		return nil // killed and forgotten: this is the one in the foreground
	}
	s.mu.Lock()
	ranNone := len(j.processes) == 0
	s.mu.Unlock()
	if ranNone {
		// In other shells it is a process all the same, and $! its number: give it one that ends with its code.
		args := []string{"lab", "exit", strconv.Itoa(int(hc.LastExitStatus))}
		_, _ = s.start(j, "/proc/self/exe", args, &syscall.ProcAttr{Files: []uintptr{0, 1, 2}}) // or it has none
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	j.complete, j.code = true, hc.LastExitStatus
	s.changed.Broadcast()
	return status(hc.LastExitStatus)
}

func (s *shell) execBuiltin(_ context.Context, hc interp.HandlerContext, args []string) error {
	path, err := lookPath(hc, args[0])
	if err == nil {
		var stdio, finish, ioErr = s.stdio(hc, &job{})
		if ioErr != nil {
			return s.cannotRun(hc, ioErr)
		}
		if s.terminal != nil {
			s.terminal.close()
		}
		err = replaceProcess(path, args, environment(hc.Env), hc.Dir, stdio)
		finish(false)
	}
	code := s.cannotRun(hc, err)
	if s.terminal != nil {
		return code // an interactive shell stays
	}
	var st interp.ExitStatus
	st, _ = code.(interp.ExitStatus)
	return hc.Builtin(context.Background(), []string{"exit", strconv.Itoa(int(st))})
}

// find resolves %1, %+, %-, %name or a process id to a job. The caller holds s.mu.
func (s *shell) find(spec string) (*job, error) {
	name, isJob := strings.CutPrefix(spec, "%")
	if !isJob {
		pid, err := strconv.Atoi(spec)
		for _, j := range s.jobs {
			if err == nil && slices.ContainsFunc(j.processes, func(p *process) bool { return p.pid == pid }) {
				return j, nil
			}
		}
		return nil, fmt.Errorf("pid %s is not a child of this shell", spec)
	}
	if n, err := strconv.Atoi(name); err == nil {
		for _, j := range s.jobs {
			if j.number == n {
				return j, nil
			}
		}
		return nil, fmt.Errorf("%s: no such job", spec)
	}
	switch name {
	case "", "+", "%":
		if len(s.jobs) > 0 {
			return s.jobs[len(s.jobs)-1], nil
		}
	case "-":
		if len(s.jobs) > 1 {
			return s.jobs[len(s.jobs)-2], nil
		}
	default:
		for _, j := range s.jobs {
			if strings.HasPrefix(j.text, name) {
				return j, nil
			}
		}
	}
	return nil, fmt.Errorf("%s: no such job", spec)
}

func (s *shell) failed(hc interp.HandlerContext, name string, err error) error {
	fmt.Fprintf(hc.Stderr, "%s: %v\n", name, err)
	return interp.ExitStatus(1)
}

func (s *shell) jobsBuiltin(_ context.Context, hc interp.HandlerContext, args []string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, j := range s.jobs {
		switch {
		case slices.Contains(args, "-p"):
			fmt.Fprintln(hc.Stdout, j.leader())
		case slices.Contains(args, "-l"):
			fmt.Fprintln(hc.Stdout, s.line(j, strconv.Itoa(j.leader())+" "))
		default:
			fmt.Fprintln(hc.Stdout, s.line(j, ""))
		}
	}
	s.forget()
	return nil
}

func (j *job) leader() int {
	if len(j.processes) == 0 {
		return 0
	}
	return j.processes[0].pid
}

// line describes a job as other shells do: `[1]+  Running                 sleep 100 &`.
func (s *shell) line(j *job, pid string) string {
	mark := " "
	switch {
	case len(s.jobs) > 0 && s.jobs[len(s.jobs)-1] == j:
		mark = "+"
	case len(s.jobs) > 1 && s.jobs[len(s.jobs)-2] == j:
		mark = "-"
	}
	state := j.state()
	j.told = state
	text := j.text
	if state == "Running" {
		text += " &"
	}
	return fmt.Sprintf("[%d]%s  %s%-23s %s", j.number, mark, pid, state, text)
}

// forget removes the jobs that have ended and of which the end was told. The caller holds s.mu.
func (s *shell) forget() {
	s.jobs = slices.DeleteFunc(s.jobs, func(j *job) bool { return !j.alive() && j.complete && j.told == j.state() })
}

func (s *shell) fgBuiltin(_ context.Context, hc interp.HandlerContext, args []string) error {
	if !s.control {
		return s.failed(hc, "fg", fmt.Errorf("no job control"))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	j, err := s.find(orLast(args))
	if err != nil {
		return s.failed(hc, "fg", err)
	}
	fmt.Fprintln(hc.Stdout, j.text)
	j.background = false
	if j.alive() && j.pgid != 0 {
		s.terminal.resume(j.pgid, j.modes)
		for _, p := range j.processes {
			p.stopped = false
		}
		_ = unix.Kill(-j.pgid, unix.SIGCONT) // it may have ended just now
	}
	for j.state() == "Running" {
		s.changed.Wait()
	}
	j.background = true
	code := j.code
	if len(j.processes) > 0 {
		code = j.processes[len(j.processes)-1].code()
	}
	if j.state() == "Stopped" {
		j.modes = s.terminal.modes()
		j.told = ""
	} else {
		j.told = j.state()
		s.forget()
	}
	s.terminal.take()
	return status(code)
}

func orLast(args []string) string {
	if len(args) == 0 {
		return "%+"
	}
	if args[0] != "" && args[0][0] != '%' {
		return "%" + args[0]
	}
	return args[0]
}

func (s *shell) bgBuiltin(_ context.Context, hc interp.HandlerContext, args []string) error {
	if !s.control {
		return s.failed(hc, "bg", fmt.Errorf("no job control"))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	j, err := s.find(orLast(args))
	if err != nil {
		return s.failed(hc, "bg", err)
	}
	for _, p := range j.processes {
		p.stopped = false
	}
	j.told = "Running"
	fmt.Fprintf(hc.Stdout, "[%d] %s &\n", j.number, j.text)
	if j.pgid != 0 {
		_ = unix.Kill(-j.pgid, unix.SIGCONT)
	}
	return nil
}

func (s *shell) waitBuiltin(ctx context.Context, hc interp.HandlerContext, args []string) error {
	stop := context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.changed.Broadcast()
	})
	defer stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	wanted := slices.Clone(s.jobs)
	for i, arg := range args {
		j, err := s.find(arg)
		if err != nil {
			fmt.Fprintf(hc.Stderr, "wait: %v\n", err)
			return interp.ExitStatus(127)
		}
		wanted = append(wanted[:i:i], j)
	}
	own := s.ownJob(hc)
	code := 0
	for _, j := range wanted {
		if j == own {
			continue
		}
		for j.state() == "Running" && ctx.Err() == nil && !s.traps.due() {
			s.changed.Wait()
		}
		if ctx.Err() != nil {
			return interp.ExitStatus(128 + int(unix.SIGINT))
		}
		if sig := s.traps.first(); sig != 0 {
			return interp.ExitStatus(128 + int(sig))
		}
		if len(args) > 0 {
			code = j.result()
			j.told = j.state()
		}
	}
	if s.terminal == nil {
		for _, j := range wanted {
			j.told = j.state()
		}
		s.forget()
	}
	return status(code)
}

// ownJob is the job that the calling subshell is, nil in the shell itself. The caller holds s.mu.
func (s *shell) ownJob(hc interp.HandlerContext) *job {
	id, _ := strconv.Atoi(hc.Env.Get(varJob).String())
	for _, j := range s.jobs {
		if id != 0 && j.id == id {
			return j
		}
	}
	return nil
}

func (j *job) result() int {
	if j.killed != 0 {
		return 128 + j.killed
	}
	if j.id != 0 {
		return j.code
	}
	if n := len(j.processes); n > 0 {
		return j.processes[n-1].code()
	}
	return j.code
}

// killBuiltin is kill(1) with job specifications. It is a builtin because it must work when no more processes
// can be made.
func (s *shell) killBuiltin(_ context.Context, hc interp.HandlerContext, args []string) error {
	sig, targets, err := parseKill(args)
	if err == nil && slices.ContainsFunc(targets, func(t string) bool { return strings.HasPrefix(t, "%") }) {
		return s.killJobs(hc, sig, targets)
	}
	if err == nil && slices.Contains(dumps, sig) && slices.Contains(targets, strconv.Itoa(os.Getpid())) && !s.catches(sig) {
		_ = standardAction(sig) // or the dump says more than was asked for
	}
	// A signal to the shell itself takes its effect before the next command.
	defer s.expect(sig, targets)
	out := bufio.NewWriter(hc.Stdout)
	c := &call{name: "kill", args: args, in: s.in, out: out, err: hc.Stderr}
	return status(c.run(command{name: "kill", run: runKill}))
}

func (s *shell) killJobs(hc interp.HandlerContext, sig unix.Signal, targets []string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var failed error
	for _, target := range targets {
		j, err := s.find(target)
		if err != nil {
			failed = s.failed(hc, "kill", err)
			continue
		}
		s.killJob(j, sig)
	}
	return failed
}

// killJob signals a job's process group; without job control, each process. The part of the job that the
// interpreter runs in the shell ends as if it were a process that the signal killed.
func (s *shell) killJob(j *job, sig unix.Signal) {
	stopped := j.state() == "Stopped"
	for _, p := range j.processes {
		if !p.exited {
			_ = unix.Kill(p.pid, sig) // gone is fine
		}
	}
	if stopped && (sig == unix.SIGTERM || sig == unix.SIGHUP) {
		for _, p := range j.processes {
			_ = unix.Kill(p.pid, unix.SIGCONT) // or it would never see the signal
		}
	}
	switch sig {
	case unix.SIGTERM, unix.SIGHUP, unix.SIGINT, unix.SIGKILL, unix.SIGQUIT:
		j.killed, j.code, j.complete = int(sig), 128+int(sig), true
		j.stop()
	}
}

func (s *shell) umaskBuiltin(_ context.Context, hc interp.HandlerContext, args []string) error {
	if len(args) == 0 {
		mask := unix.Umask(0)
		unix.Umask(mask)
		fmt.Fprintf(hc.Stdout, "%04o\n", mask)
		return nil
	}
	mask, err := strconv.ParseUint(args[0], 8, 12)
	if err != nil {
		return s.failed(hc, "umask", fmt.Errorf("%q is not an octal mode", args[0]))
	}
	unix.Umask(int(mask))
	return nil
}

var limits = []struct {
	letter   byte
	resource int
	unit     uint64
	name     string
}{
	{'c', unix.RLIMIT_CORE, 512, "core file size (blocks)"},
	{'d', unix.RLIMIT_DATA, 1024, "data seg size (kb)"},
	{'f', unix.RLIMIT_FSIZE, 512, "file size (blocks)"},
	{'l', unix.RLIMIT_MEMLOCK, 1024, "locked memory (kb)"},
	{'n', unix.RLIMIT_NOFILE, 1, "open files"},
	{'s', unix.RLIMIT_STACK, 1024, "stack size (kb)"},
	{'t', unix.RLIMIT_CPU, 1, "cpu time (seconds)"},
	{'u', unix.RLIMIT_NPROC, 1, "processes"},
	{'v', unix.RLIMIT_AS, 1024, "virtual memory (kb)"},
}

func (s *shell) ulimitBuiltin(_ context.Context, hc interp.HandlerContext, args []string) error {
	letter, hard := byte('f'), false
	for len(args) > 0 && strings.HasPrefix(args[0], "-") {
		for _, l := range []byte(args[0][1:]) {
			switch l {
			case 'S':
			case 'H':
				hard = true
			default:
				letter = l
			}
		}
		args = args[1:]
	}
	known := false
	for _, l := range limits {
		if letter != 'a' && letter != l.letter {
			continue
		}
		known = true
		// syscall's, not unix's: the Go runtime raised RLIMIT_NOFILE at start and gives children the old
		// value back, until it is set through here.
		var limit syscall.Rlimit
		if err := syscall.Getrlimit(l.resource, &limit); err != nil {
			return s.failed(hc, "ulimit", err)
		}
		if letter == 'a' {
			fmt.Fprintf(hc.Stdout, "%-26s (-%c) ", l.name, l.letter)
		}
		if letter == 'a' || len(args) == 0 {
			printLimit(hc.Stdout, limit, hard, l.unit)
			continue
		}
		value := ^uint64(0)
		if args[0] != "unlimited" {
			n, err := strconv.ParseUint(args[0], 10, 50)
			if err != nil {
				return s.failed(hc, "ulimit", fmt.Errorf("%q is not a number", args[0]))
			}
			value = n * l.unit
		}
		limit.Cur = value
		if hard || value > limit.Max {
			limit.Max = value
		}
		if err := syscall.Setrlimit(l.resource, &limit); err != nil {
			return s.failed(hc, "ulimit", fmt.Errorf("%s %s: %w", l.name, args[0], err))
		}
	}
	if !known {
		return s.failed(hc, "ulimit", fmt.Errorf("unrecognized option '-%c'", letter))
	}
	return nil
}

func printLimit(w io.Writer, limit syscall.Rlimit, hard bool, unit uint64) {
	value := limit.Cur
	if hard {
		value = limit.Max
	}
	if value == ^uint64(0) {
		fmt.Fprintln(w, "unlimited")
		return
	}
	fmt.Fprintln(w, value/unit)
}

func (s *shell) historyBuiltin(_ context.Context, hc interp.HandlerContext, _ []string) error {
	if s.terminal == nil {
		return nil
	}
	h := s.terminal.editor.History
	for i := h.Len() - 1; i >= 0; i-- {
		fmt.Fprintf(hc.Stdout, "%5d  %s\n", h.Len()-i, h.At(i))
	}
	return nil
}

func (s *shell) helpBuiltin(_ context.Context, hc interp.HandlerContext, _ []string) error {
	fmt.Fprintln(hc.Stdout, "Builtins of the shell: . : [ alias bg break cd command continue echo eval exec exit export false fg\n"+
		"getopts help history jobs kill printf pwd read readonly return set shift test trap true type ulimit umask\n"+
		"unalias unset wait")
	fmt.Fprintln(hc.Stdout)
	list(hc.Stdout)
	return nil
}
