//go:build linux

package lab

import (
	"bufio"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"syscall"

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
		err = replaceProcess(path, args, environment(hc.Env), s.from(hc.Dir), stdio)
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

func (s *shell) failed(hc interp.HandlerContext, name string, err error) error {
	fmt.Fprintf(hc.Stderr, "%s: %v\n", name, err)
	return interp.ExitStatus(1)
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
