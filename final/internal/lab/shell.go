//go:build linux

package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"
)

var shellCommands = []command{
	{"sh", "the shell: sh [-eux] [-c COMMAND | FILE] [ARG...]", runShell},
	{"ash", "the same, by Alpine's name", runShell},
	{"bash", "the same, by Debian's name (most of bash's syntax works)", runShell},
}

// A shell interprets what mvdan.cc/sh parses, and adds what that package leaves to its user: real processes,
// jobs, signals and the terminal.
type shell struct {
	*call
	runner *interp.Runner
	argv0  string
	home   string // the directory that the process is in: cd is the interpreter's alone

	// terminal is set for an interactive shell, control when its commands get process groups of their own.
	terminal *terminal
	control  bool
	replace  bool // the next command is the last: it may take the shell's place

	mu         sync.Mutex
	changed    *sync.Cond // a process or a job changed its state
	processes  map[int]*process
	jobs       []*job // in order of their ids; a job leaves when its end has been told
	foreground *job
	lastJob    *job // what $! means
	sources    []string
	nextID     int

	traps traps
}

func runShell(c *call) error {
	s := &shell{call: c, argv0: c.name, processes: map[int]*process{}}
	s.changed = sync.NewCond(&s.mu)
	s.traps.actions = map[string]string{}
	o, err := s.parse()
	if err != nil {
		return err
	}
	if s.home, err = unix.Getwd(); err != nil {
		return fmt.Errorf("getcwd: %w", err)
	}
	s.runner, err = interp.New(
		interp.Dir(s.home),
		interp.Env(shellEnviron{s, expand.ListEnviron(defaultEnvironment()...)}),
		interp.StdIO(os.Stdin, os.Stdout, os.Stderr),
		interp.CallHandler(s.called),
		interp.ExecHandlers(func(interp.ExecHandlerFunc) interp.ExecHandlerFunc { return s.execute }),
		interp.OpenHandler(openFile),
		interp.Params(o.params...),
	)
	if err != nil {
		return err
	}
	s.foreground = &job{text: "sh"}
	go s.reap(s.childSignals())
	if c.login {
		s.source("/etc/profile")
	}
	switch {
	case o.command != nil:
		return s.exit(s.script(strings.NewReader(*o.command), true))
	case o.file != "":
		return s.runFile(o.file)
	case o.interactive || term.IsTerminal(int(os.Stdin.Fd())):
		return s.exit(s.interact())
	default:
		// One byte at a time: what the shell has not parsed yet belongs to the commands it starts.
		return s.exit(s.script(oneByte{os.Stdin}, false))
	}
}

// shellOptions is what the command line of sh says.
type shellOptions struct {
	command     *string
	file        string
	interactive bool
	params      []string // for interp.Params: set flags, "--", positional parameters
}

func (s *shell) parse() (o shellOptions, err error) {
	args := s.args
	for len(args) > 0 && len(args[0]) > 1 && (args[0][0] == '-' || args[0][0] == '+') {
		arg := args[0]
		args = args[1:]
		if arg == "--" {
			break
		}
		for _, letter := range arg[1:] {
			switch {
			case letter == 'c':
				o.command = new(string)
			case letter == 'i':
				o.interactive = true
			case letter == 'l':
				s.login = true
			case letter == 's':
			case strings.ContainsRune("eufnxa", letter):
				o.params = append(o.params, arg[:1]+string(letter))
			default:
				return o, usagef("unrecognized option '-%c'", letter)
			}
		}
	}
	o.params = append(o.params, "--")
	if o.command != nil {
		if len(args) == 0 {
			return o, usagef("option '-c' needs a command")
		}
		*o.command = args[0]
		args = args[1:]
	} else if len(args) > 0 {
		o.file = args[0]
	}
	if len(args) > 0 {
		s.argv0 = args[0]
		args = args[1:]
	}
	o.params = append(o.params, args...)
	return o, nil
}

// defaultEnvironment is the process's own, with a PATH if there is none.
func defaultEnvironment() []string {
	env := os.Environ()
	if os.Getenv("PATH") == "" {
		env = append(env, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
	}
	return env
}

func (s *shell) runFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		fmt.Fprintf(s.err, "sh: %v\n", plain(err))
		return exitCode(127)
	}
	defer f.Close()
	return s.exit(s.script(f, false))
}

// source runs a file in the shell itself, if it exists.
func (s *shell) source(path string) {
	f, err := os.Open(path)
	if err != nil {
		return // login shells do without a profile
	}
	defer f.Close()
	s.script(f, false)
}

// script runs one statement after the other, as it is read: a shell does not look ahead for errors.
func (s *shell) script(from io.Reader, whole bool) (code int) {
	parser := syntax.NewParser()
	var statements []*syntax.Stmt
	if whole {
		file, err := parser.Parse(from, s.argv0)
		if err != nil {
			return s.syntaxError(err)
		}
		statements = file.Stmts
		s.replace = len(statements) == 1 && replaceable(statements[0])
		return s.statements(statements)
	}
	for st, err := range parser.StmtsSeq(from) {
		if err != nil {
			return s.syntaxError(err)
		}
		code = s.statement(context.Background(), st)
		if s.runner.Exited() {
			return code
		}
	}
	return code
}

func (s *shell) statements(all []*syntax.Stmt) (code int) {
	for _, st := range all {
		code = s.statement(context.Background(), st)
		if s.runner.Exited() {
			return code
		}
	}
	return code
}

func (s *shell) syntaxError(err error) int {
	fmt.Fprintf(s.err, "sh: %v\n", err)
	return 2
}

// statement runs one statement and returns what $? is after it.
func (s *shell) statement(ctx context.Context, st *syntax.Stmt) int {
	s.rewrite(st)
	return s.codeOf(s.runner.Run(ctx, st))
}

func (s *shell) codeOf(err error) int {
	if err == nil {
		return 0
	}
	if status, ok := errors.AsType[interp.ExitStatus](err); ok {
		return int(status)
	}
	if errors.Is(err, context.Canceled) {
		return 130
	}
	fmt.Fprintf(s.err, "sh: %v\n", err)
	return 1
}

// exit runs the EXIT trap, which the interpreter does at the end of a file, and ends the shell.
func (s *shell) exit(code int) error {
	if !s.runner.Exited() { // `exit` has run it already
		if err := s.runner.Run(context.Background(), &syntax.File{}); s.runner.Exited() {
			code = s.codeOf(err)
		}
	}
	return exitCode(code)
}

// oneByte reads a byte at a time.
type oneByte struct{ from io.Reader }

func (r oneByte) Read(p []byte) (int, error) { return r.from.Read(p[:min(1, len(p))]) }

// openFile opens the target of a redirection, with an error in the shell's words.
func openFile(ctx context.Context, path string, flag int, perm os.FileMode) (io.ReadWriteCloser, error) {
	at := path
	if !strings.HasPrefix(path, "/") {
		at = interp.HandlerCtx(ctx).Dir + "/" + path
	}
	f, err := os.OpenFile(at, flag, perm)
	if err != nil {
		if pathError, ok := errors.AsType[*os.PathError](err); ok {
			return nil, &os.PathError{Op: "sh: can't open", Path: path, Err: pathError.Err}
		}
		return nil, err
	}
	return f, nil
}
