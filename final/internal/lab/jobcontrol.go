//go:build linux

package lab

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
	"mvdan.cc/sh/v3/interp"
)

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
		if p.exited {
			continue // its pid may be another's by now
		}
		_ = unix.Kill(p.pid, sig) // gone is fine
		if stopped && (sig == unix.SIGTERM || sig == unix.SIGHUP) {
			_ = unix.Kill(p.pid, unix.SIGCONT) // or it would never see the signal
		}
	}
	switch sig {
	case unix.SIGTERM, unix.SIGHUP, unix.SIGINT, unix.SIGKILL, unix.SIGQUIT:
		j.killed, j.code, j.complete = int(sig), 128+int(sig), true
		j.stop()
	}
}
