//go:build linux

package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"mvdan.cc/sh/v3/interp"
)

// A process is a child of the shell.
type process struct {
	pid     int
	job     *job
	status  unix.WaitStatus
	exited  bool
	stopped bool
}

func (p *process) code() int {
	switch {
	case p.stopped:
		return 128 + int(p.status.StopSignal())
	case p.status.Signaled():
		return 128 + int(p.status.Signal())
	}
	return p.status.ExitStatus()
}

// A job is what was typed as one statement: all processes started for it share a process group, so that the
// terminal's signals reach them together and the shell not at all. Its fields are guarded by shell.mu.
type job struct {
	id         int // for LAB_JOB; 0 for what runs in the foreground from the start
	number     int // as in %1; 0 while nobody was told it
	text       string
	pgid       int
	processes  []*process
	background bool // nobody waits for it with the terminal in hand
	complete   bool // the interpreter starts nothing more for it
	code       int  // once complete: its exit status
	killed     int  // by `kill %n` with this signal: it must start nothing more
	told       string
	modes      *unix.Termios
	cancel     context.CancelFunc
}

// startLimit is how long to wait for a background job's first process: it may have none at all.
const startLimit = 2 * time.Second

var errJobKilled = errors.New("job killed")

// ended reports whether a job was killed, so that the interpreter must start nothing more for it.
func (s *shell) ended(j *job) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return j.killed != 0
}

func (j *job) alive() bool {
	return slices.ContainsFunc(j.processes, func(p *process) bool { return !p.exited })
}

// state is what `jobs` prints.
func (j *job) state() string {
	alive, stopped := 0, 0
	var last *process
	for _, p := range j.processes {
		last = p
		switch {
		case p.exited:
		case p.stopped:
			stopped++
			alive++
		default:
			alive++
		}
	}
	switch {
	case alive > 0 && stopped == alive:
		return "Stopped"
	case alive > 0 || !j.complete:
		return "Running"
	case last != nil && last.status.Signaled():
		return signalText(last.status.Signal())
	case j.code != 0:
		return fmt.Sprintf("Done(%d)", j.code)
	}
	return "Done"
}

// signalText is a death in words: "Killed", "Terminated".
func signalText(sig unix.Signal) string {
	text := sig.String()
	return strings.ToUpper(text[:1]) + text[1:]
}

// newJob makes the job for the n-th source text and returns its id.
func (s *shell) newJob(n int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nextID++
	j := &job{id: s.nextID, text: s.sources[n], background: true}
	s.number(j)
	s.lastJob = j
	return j.id
}

// number puts a job into the table.
func (s *shell) number(j *job) {
	if j.number != 0 {
		return
	}
	for _, other := range s.jobs {
		j.number = max(j.number, other.number)
	}
	j.number++
	s.jobs = append(s.jobs, j)
}

// jobOf tells which job a command belongs to, see rewrite.go.
func (s *shell) jobOf(hc interp.HandlerContext) *job {
	id, _ := strconv.Atoi(hc.Env.Get(varJob).String()) // unset: 0
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, j := range s.jobs {
		if id != 0 && j.id == id {
			return j
		}
	}
	return s.foreground
}

// lastPid is $!. The job runs in its own time, so wait until its first process exists.
func (s *shell) lastPid() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	j := s.lastJob
	if j == nil {
		return ""
	}
	s.waitUntil(startLimit, func() bool { return len(j.processes) > 0 || j.complete })
	if len(j.processes) == 0 {
		return "" // it ran no program
	}
	return strconv.Itoa(j.processes[len(j.processes)-1].pid)
}

// waitUntil waits for a change that makes the condition true. The caller holds s.mu.
func (s *shell) waitUntil(limit time.Duration, condition func() bool) {
	expired := false
	timer := time.AfterFunc(limit, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		expired = true
		s.changed.Broadcast()
	})
	defer timer.Stop()
	for !condition() && !expired {
		s.changed.Wait()
	}
}

// start forks and executes one program as a part of the job.
//
//	shell                             child
//	  │ clone, setpgid ───────────────▶ execve
//	  │ tcsetpgrp(child's group)        │ reads the terminal too early: SIGTTIN stops it
//	  │ wait4: stopped by SIGTTIN
//	  │ kill(-group, SIGCONT) ─────────▶ goes on
//
// The child cannot take the terminal itself: tcsetpgrp in the background raises SIGTTOU, and to ignore or block
// that it would have to hand on the ignoring or blocking to the program that it becomes.
func (s *shell) start(j *job, path string, args []string, attr *syscall.ProcAttr) (*process, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !j.alive() {
		j.pgid = 0 // the group went with its last process, and its number may be in use again
	}
	leads := s.control && j.pgid == 0
	attr.Sys = &syscall.SysProcAttr{Setpgid: s.control, Pgid: j.pgid}
	var pid int
	fork := func(path string, args []string) (err error) {
		pid, err = forkExec(path, args, attr)
		return err
	}
	if err := execError(path, args, fork(path, args), fork); err != nil {
		return nil, err
	}
	p := &process{pid: pid, job: j}
	s.processes[pid] = p
	j.processes = append(j.processes, p)
	if leads {
		j.pgid = pid
		if !j.background {
			s.terminal.give(pid)
		}
	}
	s.changed.Broadcast()
	return p, nil
}

// forkExec tries again while the file is still open for writing in a child of another thread that has not
// reached its execve yet (ETXTBSY, go.dev/issue/22315).
func forkExec(path string, args []string, attr *syscall.ProcAttr) (pid int, err error) {
	for delay := time.Millisecond; ; delay *= 2 {
		pid, err = syscall.ForkExec(path, args, attr)
		if !errors.Is(err, unix.ETXTBSY) || delay > 200*time.Millisecond {
			return pid, err
		}
		time.Sleep(delay)
	}
}

// await waits for a process to end and returns its exit code. With job control a stop ends the wait as well:
// the job goes into the table and the shell back to its prompt.
func (s *shell) await(p *process) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	for !p.exited && !(p.stopped && s.control && !p.job.background) {
		s.changed.Wait()
	}
	j := p.job
	if s.control && !j.background {
		if p.stopped || p.status.Signaled() && p.status.Signal() == unix.SIGINT {
			// As in other shells, the rest of the statement goes with it: a loop must end.
			j.stop()
		}
		if !slices.ContainsFunc(j.processes, func(p *process) bool { return !p.exited && !p.stopped }) {
			s.terminal.take()
		}
	}
	return p.code()
}

// tooEarly tells whether a stop came of using the terminal before the job had it. It has it now. (To continue
// every job when it gets the terminal would undo a Ctrl-Z that came in between.)
func (p *process) tooEarly(sig unix.Signal) bool {
	return p.job.pgid != 0 && !p.job.background && (sig == unix.SIGTTIN || sig == unix.SIGTTOU)
}

func (j *job) stop() {
	if j.cancel != nil {
		j.cancel()
	}
}

func (s *shell) childSignals() <-chan os.Signal {
	c := make(chan os.Signal, 1)
	signal.Notify(c, unix.SIGCHLD)
	return c
}

// reap collects every change of state of every child. If the shell is process 1 of its PID namespace this
// includes the orphans that it inherits.
func (s *shell) reap(children <-chan os.Signal) {
	for range children {
		for s.reapOne() {
		}
	}
}

func (s *shell) reapOne() bool {
	// Under the lock: start holds it from the fork until the process is in the table.
	s.mu.Lock()
	defer s.mu.Unlock()
	var status unix.WaitStatus
	pid, err := unix.Wait4(-1, &status, unix.WNOHANG|unix.WUNTRACED|unix.WCONTINUED, nil)
	if err == unix.EINTR {
		return true
	}
	if err != nil || pid <= 0 {
		return false
	}
	p := s.processes[pid]
	if p == nil {
		return true
	}
	switch {
	case status.Stopped() && p.tooEarly(status.StopSignal()):
		_ = unix.Kill(-p.job.pgid, unix.SIGCONT) // it may have ended already
	case status.Stopped():
		p.stopped, p.status = true, status
	case status.Continued():
		p.stopped = false
	default:
		p.exited, p.stopped, p.status = true, false, status
		delete(s.processes, pid)
	}
	s.changed.Broadcast()
	return true
}
