//go:build linux

package trace

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/confine"
)

// A Call is a system call in the kernel's terms: a number means something only with the kind of program.
type Call struct {
	Audit  uint32 // AUDIT_ARCH_* of the program that makes it
	Number uint32
}

// unknown stands for all numbers that no call has, where only they are counted together.
const unknown = 0xffffffff

// Name is the call's name; syscall_ and the number if it has none here.
func (c Call) Name() string {
	if name, _ := confine.CallName(c.Audit, c.Number); name != "" {
		return name
	}
	if c.Number == unknown {
		return "unknown"
	}
	return fmt.Sprintf("syscall_%d", c.Number)
}

// nameless tells whether no call is known by this number.
func (c Call) nameless() bool {
	name, _ := confine.CallName(c.Audit, c.Number)
	return name == ""
}

// Arch is the kind of program that makes it.
func (c Call) Arch() specs.Arch {
	_, arch := confine.CallName(c.Audit, c.Number)
	return arch
}

// foreign is the mark of a call by a program of another kind than this one, such as a 32-bit one; "" for most.
func (c Call) foreign() string {
	if arch := c.Arch(); arch != native.arch {
		return strings.ToLower(strings.TrimPrefix(string(arch), "SCMP_ARCH_"))
	}
	return ""
}

// An Event is a system call that has been made.
type Event struct {
	Time     time.Time     // of the way in
	Duration time.Duration // until the way out
	Pid, Tid int           // in our numbers; 0 if they are not known
	In       int           // the thread, in the container's numbers; 0 if they are not known
	Call     Call
	Args     [6]uint64
	Texts    [2]Text // what arguments point to; at most two are looked at
	Result   int64   // -1 to -4095 are errors
	Endless  bool    // it did not come back: exit, or the thread or the trace ended before
}

// A Text is memory that an argument points to.
type Text struct {
	Arg   int // which; the zero Text, without bytes, is none
	Bytes []byte
	Cut   bool // there was more
}

// Errno is the call's error, 0 for none. (512 to 531 are the kernel's own words for "again after the signal".)
func (e *Event) Errno() unix.Errno {
	if e.Result < 0 && e.Result >= -4095 && !e.Endless {
		return unix.Errno(-e.Result)
	}
	return 0
}

// outcome is what stands behind the = of a line.
func (e *Event) outcome() string {
	errno := e.Errno()
	switch {
	case e.Endless:
		return "?"
	case errno >= 512 && errno < 532:
		return "? " + restarts[errno]
	case errno != 0:
		return fmt.Sprintf("-1 %s (%s)", errnoName(errno), errno.Error())
	case returnsAddress(e.Call.Name()):
		return fmt.Sprintf("%#x", uint64(e.Result))
	}
	return fmt.Sprint(e.Result)
}

// restarts are the answers that a program never sees: after the signal the call goes on, or fails with EINTR
// (linux/errno.h).
var restarts = map[unix.Errno]string{
	512: "ERESTARTSYS", 513: "ERESTARTNOINTR", 514: "ERESTARTNOHAND", 516: "ERESTART_RESTARTBLOCK",
}

func errnoName(errno unix.Errno) string {
	if name := unix.ErrnoName(errno); name != "" {
		return name
	}
	if name, ok := restarts[errno]; ok {
		return name
	}
	return fmt.Sprintf("E%d", int(errno))
}

// String is the event as strace(1) has it, without the time.
func (e *Event) String() string {
	mark := ""
	if kind := e.Call.foreign(); kind != "" {
		mark = "[" + kind + "] "
	}
	return fmt.Sprintf("%s%s(%s) = %s", mark, e.Call.Name(), strings.Join(e.Arguments(), ", "), e.outcome())
}

// MarshalJSON is the event for programs.
func (e Event) MarshalJSON() ([]byte, error) {
	line := struct {
		Time     time.Time `json:"time"`
		Pid      int       `json:"pid,omitempty"`
		Tid      int       `json:"tid,omitempty"`
		In       int       `json:"containerTid,omitempty"`
		Call     string    `json:"call"`
		Arch     string    `json:"arch,omitempty"` // if it is not the machine's own
		Args     []string  `json:"args"`
		Result   *int64    `json:"result,omitempty"` // none if it did not come back
		Error    string    `json:"error,omitempty"`
		Duration int64     `json:"nanoseconds"`
	}{e.Time, e.Pid, e.Tid, e.In, e.Call.Name(), e.Call.foreign(), e.Arguments(), &e.Result, "", e.Duration.Nanoseconds()}
	if errno := e.Errno(); errno != 0 {
		line.Error = errnoName(errno)
	}
	if e.Endless {
		line.Result = nil
	}
	return json.Marshal(line)
}
