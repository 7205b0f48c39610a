//go:build linux

// Package kernel is the one door to the kernel for the parent side of a container.
//
// Whatever changes the machine goes through a [Door], and so do the looks that decide what will be changed.
// The door says each call before it is made, as the shell command that would do the same; it words all
// errors the same way; and it numbers the calls, so that a test can make the n-th one fail, or end the
// process there, and then see what is left behind.
//
// Beside the door are the probes: each tries one kernel feature, once, and leaves nothing behind.
package kernel

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync/atomic"
)

// A Door is a way to the kernel that tells what passes through it. The zero Door is ready for use, and silent.
// It may be used from several goroutines at once.
type Door struct {
	// Explain, if not nil, is told each call before it is made.
	Explain io.Writer

	// Trap, if not nil, is asked before each call; calls count from 1. Its error is returned in place of
	// making the call. It is there for tests: to fail the n-th call, or to end the process at it.
	Trap func(n int, call Call) error

	// Warn, if not nil, is told what was asked for and is not done, with the reason.
	Warn func(text string)

	calls atomic.Int64
}

// A Call is one request to the kernel in words: "write /proc/sys/net/ipv4/ip_forward "1"".
type Call struct {
	Op     string // the system call or the tool
	Object string // what it acts on
	Value  string // what it writes, or its flags; may be empty
	Shell  string // the command that would do the same; may be empty
}

func (c Call) String() string {
	return strings.TrimSpace(c.Op + " " + strings.TrimSpace(c.Object+" "+c.Value))
}

// Calls returns how many calls have been asked for so far.
func (d *Door) Calls() int { return int(d.calls.Load()) }

// Do makes a call: it says it, then does it, and words the error as "op object value: cause".
func (d *Door) Do(call Call, act func() error) error {
	n := int(d.calls.Add(1))
	d.say(call)
	err := error(nil)
	if d.Trap != nil {
		err = d.Trap(n, call)
	}
	if err == nil {
		err = act()
	}
	if err != nil {
		return fmt.Errorf("%s: %w", call, cause(err))
	}
	return nil
}

func (d *Door) say(call Call) {
	if d.Explain == nil {
		return
	}
	text := call.String() + "\n"
	if call.Shell != "" {
		text += "  $ " + call.Shell + "\n"
	}
	_, _ = io.WriteString(d.Explain, text) // narration must not stop the work
}

// cause strips what package os says about a call: Do says it in its own way.
func cause(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	if e, ok := errors.AsType[*os.SyscallError](err); ok {
		return e.Err
	}
	return err
}

// quote makes a word safe to paste into a shell.
func quote(word string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-+:=,@%", r)
	}
	if word != "" && strings.IndexFunc(word, func(r rune) bool { return !plain(r) }) < 0 {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
