//go:build linux

package lab

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"
)

// traps are the actions for signals. A signal only marks its trap as due; the action runs when the command
// that is running has ended, as POSIX has it, because only then the interpreter can run it.
type traps struct {
	mu      sync.Mutex
	actions map[string]string // by the signal's name without SIG
	pending []unix.Signal
	arrived chan os.Signal
	running bool
	exit    bool // the running action called exit
}

func (t *traps) none() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.actions) == 0
}

// catches tells whether a signal has a trap, or is one that an interactive shell survives.
func (s *shell) catches(sig unix.Signal) bool {
	s.traps.mu.Lock()
	defer s.traps.mu.Unlock()
	_, trapped := s.traps.actions[signalName(sig)]
	return trapped || sig == unix.SIGQUIT && s.terminal != nil
}

func (t *traps) due() bool { return t.first() != 0 }

func (t *traps) first() unix.Signal {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.pending) == 0 || t.running {
		return 0
	}
	return t.pending[0]
}

// next takes the oldest signal that has arrived, and marks its action as running: actions do not nest.
func (t *traps) next() (action string, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.pending) == 0 || t.running {
		return "", false
	}
	action = t.actions[signalName(t.pending[0])]
	t.pending = t.pending[1:]
	t.running = true
	return action, true
}

// finished ends an action and reports whether it called exit.
func (t *traps) finished() (exit bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.running = false
	return t.exit
}

// exits notes a call of exit. If an action made it, the shell must end; from outside of the interpreter its
// result cannot be told from that of any other command.
func (t *traps) exits() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.exit = t.exit || t.running
}

// trapBuiltin keeps the signals' actions; those for EXIT and ERR are the interpreter's.
func (s *shell) trapBuiltin(ctx context.Context, hc interp.HandlerContext, args []string) error {
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if len(args) == 0 {
		s.printTraps(hc)
		return hc.Builtin(ctx, []string{"trap"})
	}
	action := args[0]
	names := args[1:]
	if len(names) == 0 {
		action, names = "-", args
	}
	for _, name := range names {
		if slices.Contains([]string{"EXIT", "ERR", "0"}, name) {
			if name == "0" {
				name = "EXIT"
			}
			if action == "-" {
				action = ""
			}
			if err := hc.Builtin(ctx, []string{"trap", "--", s.rewriteText(action), name}); err != nil {
				return err
			}
			continue
		}
		sig, err := parseSignal(name)
		if err != nil || sig == 0 {
			return s.failed(hc, "trap", fmt.Errorf("%s: invalid signal specification", name))
		}
		if err := s.trap(sig, action); err != nil {
			return s.failed(hc, "trap", err)
		}
	}
	return nil
}

func (s *shell) trap(sig unix.Signal, action string) error {
	s.traps.mu.Lock()
	defer s.traps.mu.Unlock()
	if s.traps.arrived == nil {
		s.traps.arrived = make(chan os.Signal, 16)
		go s.collect(s.traps.arrived)
	}
	name := signalName(sig)
	switch {
	case sig == unix.SIGKILL || sig == unix.SIGSTOP:
		return fmt.Errorf("%s cannot be caught or ignored, by any process", name)
	case sig == unix.SIGCHLD:
		return fmt.Errorf("%s is not supported by the lab's shell, which needs it", name)
	case action == "-":
		delete(s.traps.actions, name)
		signal.Reset(sig)
		if s.terminal != nil {
			s.catchSignals()
		}
	case action == "":
		s.traps.actions[name] = ""
		signal.Ignore(sig) // children inherit this
	default:
		s.traps.actions[name] = action
		signal.Notify(s.traps.arrived, sig)
	}
	return nil
}

func (s *shell) collect(arrived <-chan os.Signal) {
	for sig := range arrived {
		s.traps.mu.Lock()
		s.traps.pending = append(s.traps.pending, sig.(unix.Signal))
		s.traps.mu.Unlock()
		s.mu.Lock()
		s.changed.Broadcast() // for `wait`, which a signal ends
		s.mu.Unlock()
	}
}

// expect waits for a trapped signal that the shell has sent to itself. The Go runtime passes it on in its own time;
// in other shells it has arrived when kill(2) returns.
func (s *shell) expect(sig unix.Signal, targets []string) {
	s.traps.mu.Lock()
	trapped := s.traps.actions[signalName(sig)] != ""
	s.traps.mu.Unlock()
	if !trapped || !slices.Contains(targets, strconv.Itoa(os.Getpid())) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waitUntil(100*time.Millisecond, func() bool { return s.traps.due() })
}

func (s *shell) printTraps(hc interp.HandlerContext) {
	s.traps.mu.Lock()
	defer s.traps.mu.Unlock()
	for name, action := range s.traps.actions {
		fmt.Fprintf(hc.Stdout, "trap -- '%s' %s\n", strings.ReplaceAll(action, "'", `'\''`), name)
	}
}

// afterTraps runs what is due after a command that ended with err, and returns err, or the end of the shell if
// the action was `exit`. A job in the background leaves them to the shell: an exit would end nothing but the job.
func (s *shell) afterTraps(ctx context.Context, hc interp.HandlerContext, err error) error {
	if inBackground(hc) {
		return err
	}
	ran := false
	for {
		action, ok := s.traps.next()
		if !ok {
			break
		}
		ran = true
		ended := hc.Builtin(ctx, []string{"eval", s.rewriteText(action)})
		if s.traps.finished() {
			return ended
		}
	}
	if ran && err == nil {
		return hc.Builtin(ctx, []string{"eval", "true"}) // $? is the command's, not the action's
	}
	return err
}

func inBackground(hc interp.HandlerContext) bool { return hc.Env.Get(varJob).IsSet() }

// runWithTraps runs due traps before a builtin: `while :; do :; done` has no other command to run them after.
func (s *shell) runWithTraps(ctx context.Context, hc interp.HandlerContext, args []string) error {
	if err := s.afterTraps(ctx, hc, nil); err != nil {
		return err
	}
	quoted := make([]string, len(args))
	for i, arg := range args {
		q, err := syntax.Quote(arg, syntax.LangBash)
		if err != nil {
			return s.failed(hc, "sh", err)
		}
		quoted[i] = q
	}
	return hc.Builtin(ctx, append([]string{"eval"}, quoted...))
}
