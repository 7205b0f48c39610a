//go:build linux

package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"
)

// A terminal is the one that an interactive shell was started on.
type terminal struct {
	fd        int
	own       int           // the shell's process group
	before    int           // the group that had the terminal when the shell came
	cooked    *unix.Termios // the modes for commands
	editor    *term.Terminal
	keys      *keyboard
	announced bool // "there are stopped jobs" was said
}

// interact is the loop of an interactive shell.
func (s *shell) interact() int {
	s.terminal = &terminal{fd: int(os.Stdin.Fd())}
	if err := s.takeControl(); err != nil {
		fmt.Fprintf(s.err, "sh: can't access tty; job control turned off (%v)\n", err)
	}
	s.catchSignals()
	defer s.terminal.close()
	_ = interp.Interactive(true)(s.runner) // aliases; it cannot fail
	s.terminal.cooked = s.terminal.modes()
	s.terminal.keys = &keyboard{from: os.Stdin}
	s.newEditor()
	code := 0
	for {
		s.tellChanges()
		statements, err := s.readCommand()
		switch {
		case errors.Is(err, io.EOF):
			if s.mayLeave() {
				fmt.Fprintln(s.err, "exit")
				s.hangUp()
				return code
			}
			s.newEditor()
			continue
		case errors.Is(err, errInterrupted):
			code = 130
			continue
		case err != nil:
			code = s.syntaxError(err)
			continue
		}
		for _, st := range statements {
			code = s.interactiveStatement(st)
			if s.runner.Exited() && code >= 0 {
				s.hangUp()
				return code
			}
			if code < 0 { // interrupted or stopped: the rest of the line goes with it
				code = -code
				break
			}
		}
	}
}

// newEditor makes the line editor. After its end of input an editor says only that; its history goes on.
func (s *shell) newEditor() {
	t := s.terminal
	fresh := term.NewTerminal(t.keys, "")
	fresh.AutoCompleteCallback = s.complete
	if t.editor != nil {
		fresh.History = t.editor.History
	}
	t.editor = fresh
}

// takeControl makes the shell the terminal's foreground process group, as a job control shell is.
func (s *shell) takeControl() error {
	t := s.terminal
	before, err := unix.IoctlGetInt(t.fd, unix.TIOCGPGRP)
	if errors.Is(err, unix.ENOTTY) {
		// A terminal, but not this session's. A session without one may take it (tty_ioctl(4)).
		if _, newSession := unix.Setsid(); newSession != nil && !leadsSession() {
			return fmt.Errorf("the shell's session has another terminal or none")
		}
		if err := unix.IoctlSetInt(t.fd, unix.TIOCSCTTY, 0); err != nil {
			return fmt.Errorf("TIOCSCTTY: %w", err)
		}
		before, err = unix.IoctlGetInt(t.fd, unix.TIOCGPGRP)
	}
	if err != nil {
		return fmt.Errorf("TIOCGPGRP: %w", err)
	}
	if before != unix.Getpgrp() && before != 0 {
		// In the background: wait to be brought to the front. 0 is a group outside of the PID namespace.
		_ = unix.Kill(0, unix.SIGTTIN)
		if before, err = unix.IoctlGetInt(t.fd, unix.TIOCGPGRP); err != nil {
			return fmt.Errorf("TIOCGPGRP: %w", err)
		}
	}
	// A session leader leads a group already, and the call fails.
	if err := unix.Setpgid(0, 0); err != nil && !leadsSession() {
		return fmt.Errorf("setpgid: %w", err)
	}
	t.before, t.own = before, unix.Getpgrp()
	s.control = true
	t.take()
	return nil
}

func leadsSession() bool {
	sid, err := unix.Getsid(0)
	return err == nil && sid == os.Getpid()
}

// catchSignals keeps the shell alive when the terminal or a careless kill signals it. Handlers, not SIG_IGN:
// ignoring would be inherited by every command.
func (s *shell) catchSignals() {
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, unix.SIGINT)
	go func() {
		for range interrupts {
			s.mu.Lock()
			s.foreground.stop()
			s.mu.Unlock()
		}
	}()
	signal.Notify(make(chan os.Signal, 1), unix.SIGQUIT, unix.SIGTERM, unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU)
	// An exec from here on needs threads even when no more can be made (a limit on pids): have them ready.
	spareThreads(2)
}

// spareThreads makes the Go runtime start n threads, which it keeps for later. Each is one that a goroutine holds for
// itself; when all have let go, all are there to be used.
func spareThreads(n int) {
	var held, free sync.WaitGroup
	leave := make(chan struct{})
	held.Add(n)
	for range n {
		free.Go(func() {
			runtime.LockOSThread()
			held.Done()
			<-leave
			runtime.UnlockOSThread()
		})
	}
	held.Wait()
	close(leave)
	free.Wait()
}

// give makes a process group the terminal's foreground group.
//
// From the background this raises SIGTTOU, which the shell must not ignore (see catchSignals): it is blocked,
// on this thread and for this call.
func (t *terminal) give(pgid int) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var block, old unix.Sigset_t
	block.Val[0] = 1 << (unix.SIGTTOU - 1)
	if err := unix.PthreadSigmask(unix.SIG_BLOCK, &block, &old); err != nil {
		return
	}
	_ = unix.IoctlSetPointerInt(t.fd, unix.TIOCSPGRP, pgid) // the group may have ended: its terminal is taken back
	_ = unix.PthreadSigmask(unix.SIG_SETMASK, &old, nil)
}

// take gives the terminal back to the shell, in the modes it had.
func (t *terminal) take() {
	t.give(t.own)
	t.set(t.cooked)
}

// resume gives the terminal to a stopped job, in the modes that the job had.
func (t *terminal) resume(pgid int, modes *unix.Termios) {
	t.set(modes)
	t.give(pgid)
}

func (t *terminal) modes() *unix.Termios {
	modes, err := unix.IoctlGetTermios(t.fd, unix.TCGETS)
	if err != nil {
		return nil
	}
	return modes
}

func (t *terminal) set(modes *unix.Termios) {
	if modes != nil {
		_ = unix.IoctlSetTermios(t.fd, unix.TCSETSW, modes) // a terminal that has gone shows at the next read
	}
}

func (t *terminal) close() {
	t.set(t.cooked)
	if t.before != 0 && t.before != t.own {
		t.give(t.before)
	}
}

// raw switches to reading keys. Output processing stays on: jobs in the background go on printing lines. So does the
// translation of the return key: what is typed ahead of a command lies in the terminal until the command reads it.
func (t *terminal) raw() {
	modes := t.modes()
	if modes == nil {
		return
	}
	t.cooked = modes
	raw := *modes
	raw.Iflag &^= unix.INLCR | unix.IGNCR | unix.IXON | unix.ISTRIP
	raw.Lflag &^= unix.ECHO | unix.ECHONL | unix.ICANON | unix.ISIG | unix.IEXTEN
	raw.Cc[unix.VMIN], raw.Cc[unix.VTIME] = 1, 0
	t.set(&raw)
}

var errInterrupted = errors.New("interrupted")

// A keyboard passes keys to the line editor one at a time, so that what is typed ahead reaches the commands,
// and turns Ctrl-C into the keys that empty the line and end it.
type keyboard struct {
	from        io.Reader
	pending     []byte
	interrupted bool
}

const (
	keyEnd    = 5  // Ctrl-E, to the end of the line
	keyKill   = 21 // Ctrl-U, deletes to the beginning
	keyReturn = '\r'
	keyCtrlC  = 3
)

func (k *keyboard) Read(p []byte) (int, error) {
	if len(k.pending) == 0 {
		var key [1]byte
		if n, err := k.from.Read(key[:]); n == 0 {
			return 0, err
		}
		switch key[0] {
		case keyCtrlC:
			k.interrupted = true
			k.pending = []byte{keyEnd, keyKill, keyReturn}
		case '\n':
			k.pending = []byte{keyReturn}
		default:
			k.pending = key[:]
		}
	}
	n := copy(p, k.pending[:1])
	k.pending = k.pending[n:]
	return n, nil
}

func (k *keyboard) Write(p []byte) (int, error) { return os.Stdout.Write(p) }

// readCommand reads lines until they are whole statements.
func (s *shell) readCommand() ([]*syntax.Stmt, error) {
	t := s.terminal
	t.raw()
	defer func() { t.set(t.cooked) }()
	if width, height, err := term.GetSize(t.fd); err == nil && width > 0 {
		_ = t.editor.SetSize(width, height) // it only redraws
	}
	text, prompt := "", s.prompt()
	for {
		// Only the last line of the prompt is the editor's: it counts columns.
		if at := strings.LastIndexByte(prompt, '\n'); at >= 0 {
			fmt.Fprint(os.Stdout, prompt[:at+1])
			prompt = prompt[at+1:]
		}
		t.editor.SetPrompt(prompt)
		line, err := t.editor.ReadLine()
		if t.keys.interrupted {
			t.keys.interrupted = false
			return nil, errInterrupted
		}
		if err != nil {
			return nil, err
		}
		text += line + "\n"
		file, err := syntax.NewParser().Parse(strings.NewReader(text), "")
		if err == nil {
			return file.Stmts, nil
		}
		if !syntax.IsIncomplete(err) {
			return nil, err
		}
		prompt = "> "
	}
}

// prompt is PS1 with bash's most usual escapes, or `hostname:directory# `.
func (s *shell) prompt() string {
	s.chdir()
	host, _ := os.Hostname() // "" is a fine prompt, too
	dir := s.runner.Dir
	mark := "#"
	if os.Geteuid() != 0 {
		mark = "$"
	}
	ps1 := "\\h:\\w\\$ "
	if v, ok := s.runner.Vars["PS1"]; ok {
		ps1 = v.Str
	} else if env := os.Getenv("PS1"); env != "" {
		ps1 = env
	}
	short, _, _ := strings.Cut(host, ".")
	return strings.NewReplacer(`\h`, short, `\H`, host, `\w`, dir, `\W`, filepath.Base(dir), `\u`, userName(os.Geteuid()),
		`\$`, mark, `\n`, "\n", `\e`, "\x1b", `\033`, "\x1b", `\[`, "", `\]`, "", `\\`, `\`).Replace(ps1)
}

// interactiveStatement runs one statement as a foreground job. A negative code says that it was interrupted or
// stopped.
func (s *shell) interactiveStatement(st *syntax.Stmt) int {
	var text strings.Builder
	_ = syntax.NewPrinter(syntax.SingleLine(true)).Print(&text, st) // without it the job has no text
	ctx, cancel := context.WithCancel(context.Background())
	j := &job{text: strings.TrimSpace(text.String()), cancel: cancel}
	s.mu.Lock()
	s.foreground = j
	known := s.nextID
	s.mu.Unlock()

	code := s.statement(ctx, st)

	s.mu.Lock()
	defer s.mu.Unlock()
	s.announceJobs(known)
	j.complete, j.code = true, code
	if j.state() == "Stopped" {
		j.background = true
		j.modes = s.terminal.modes()
		s.number(j)
		fmt.Fprintf(s.err, "\n%s\n", s.line(j, ""))
	} else if ctx.Err() != nil || code == 130 {
		fmt.Fprintln(s.err)
	}
	if s.control {
		s.terminal.take()
	}
	if ctx.Err() != nil {
		return -code
	}
	if j.id == 0 && known == s.nextID {
		cancel() // nothing in the background depends on it
	}
	return code
}

// announceJobs says which jobs a statement sent to the background: `[1] 123`. The caller holds s.mu.
func (s *shell) announceJobs(known int) {
	for _, j := range slices.Clone(s.jobs) {
		if j.id > known && j.told == "" {
			s.waitUntil(startLimit, func() bool { return len(j.processes) > 0 || j.complete })
			fmt.Fprintf(s.err, "[%d] %d\n", j.number, j.leader())
			j.told = "Running"
		}
	}
}

// tellChanges prints the jobs that have stopped or ended since the last prompt.
func (s *shell) tellChanges() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, j := range s.jobs {
		if state := j.state(); state != j.told && state != "Running" {
			fmt.Fprintln(s.err, s.line(j, ""))
		}
	}
	s.forget()
}

// mayLeave holds the first Ctrl-D back when jobs are stopped.
func (s *shell) mayLeave() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	stopped := slices.ContainsFunc(s.jobs, func(j *job) bool { return j.state() == "Stopped" })
	if !stopped || s.terminal.announced {
		return true
	}
	s.terminal.announced = true
	fmt.Fprintln(s.err, "there are stopped jobs")
	return false
}

// hangUp ends what is stopped, which nobody could continue any more.
func (s *shell) hangUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, j := range s.jobs {
		if j.state() == "Stopped" && j.pgid != 0 {
			_ = unix.Kill(-j.pgid, unix.SIGHUP)
			_ = unix.Kill(-j.pgid, unix.SIGCONT)
		}
	}
}
