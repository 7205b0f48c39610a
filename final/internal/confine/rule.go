//go:build linux

package confine

import (
	"fmt"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// A rule is an outcome, and the conditions that must all hold for it.
type rule struct {
	conditions []condition
	ret        uint32 // what the filter returns
}

// A condition compares an argument of the call.
type condition struct {
	index uint // of the argument, from 0
	mask  uint64
	value uint64
	op    operator
}

type operator int

const (
	equal operator = iota
	notEqual
	less
	lessEqual
	greater
	greaterEqual
)

// operatorNames are the operators of profiles; SCMP_CMP_MASKED_EQ is equal, behind a mask.
var operatorNames = [...]specs.LinuxSeccompOperator{
	equal: specs.OpEqualTo, notEqual: specs.OpNotEqual, less: specs.OpLessThan, lessEqual: specs.OpLessEqual,
	greater: specs.OpGreaterThan, greaterEqual: specs.OpGreaterEqual,
}

// An action is what can be done about a call.
type action struct {
	name  specs.LinuxSeccompAction
	ret   uint32
	errno uint // the largest number that goes with it; 0 if none does
}

// actions are the hardest first: of two filters, the kernel follows the one whose answer is higher in this
// list (seccomp(2)).
var actions = [...]action{
	{specs.ActKillProcess, unix.SECCOMP_RET_KILL_PROCESS, 0},
	{specs.ActKillThread, unix.SECCOMP_RET_KILL_THREAD, 0},
	{specs.ActKill, unix.SECCOMP_RET_KILL_THREAD, 0},
	{specs.ActTrap, unix.SECCOMP_RET_TRAP, 0},
	{specs.ActErrno, unix.SECCOMP_RET_ERRNO, 4095}, // an error number is at most this
	{specs.ActNotify, unix.SECCOMP_RET_USER_NOTIF, 0},
	{specs.ActTrace, unix.SECCOMP_RET_TRACE, unix.SECCOMP_RET_DATA}, // the tracer is told this number
	{specs.ActLog, unix.SECCOMP_RET_LOG, 0},
	{specs.ActAllow, unix.SECCOMP_RET_ALLOW, 0},
}

// outcome is what a filter returns for an action. where and field are the JSON path of the two.
func outcome(action specs.LinuxSeccompAction, errno *uint, where, field string) (uint32, error) {
	for _, a := range actions {
		if a.name != action {
			continue
		}
		switch {
		case a.errno == 0 && errno != nil:
			return 0, fmt.Errorf("%s: %d: no number goes with %s", field, *errno, action)
		case a.errno == 0:
			return a.ret, nil
		case errno == nil:
			return a.ret | uint32(unix.EPERM), nil
		case *errno > a.errno:
			return 0, fmt.Errorf("%s: %d: want at most %d", field, *errno, a.errno)
		}
		return a.ret | uint32(*errno), nil
	}
	return 0, fmt.Errorf("%s: %q: unknown action", where, action)
}

// harder tells which of two outcomes leaves a process less.
func harder(ret, than uint32) bool {
	rank := func(ret uint32) int {
		return slices.IndexFunc(actions[:], func(a action) bool { return a.ret == ret&unix.SECCOMP_RET_ACTION_FULL })
	}
	return rank(ret) < rank(than)
}

// alternatives are the conditions of an entry of a profile, any of which lets it match. All of an entry's
// conditions must hold; but if two are about one argument, then any one of all is enough: so it was in the
// first container runtimes, and profiles count on it.
func alternatives(args []specs.LinuxSeccompArg, where string) ([][]condition, error) {
	all := make([]condition, len(args))
	seen, again := [6]bool{}, false
	for i, arg := range args {
		c, err := conditionOf(arg, where, i)
		if err != nil {
			return nil, err
		}
		again, seen[c.index] = again || seen[c.index], true
		all[i] = c
	}
	if !again {
		return [][]condition{all}, nil
	}
	return slices.Collect(slices.Chunk(all, 1)), nil
}

// conditionOf reads the i-th condition of an entry.
func conditionOf(arg specs.LinuxSeccompArg, where string, i int) (condition, error) {
	if arg.Index > 5 {
		return condition{}, fmt.Errorf("%s.args[%d].index: %d: want 0 to 5", where, i, arg.Index)
	}
	c := condition{arg.Index, ^uint64(0), arg.Value, operator(slices.Index(operatorNames[:], arg.Op))}
	if arg.Op == specs.OpMaskedEqual {
		c.mask, c.value, c.op = arg.Value, arg.ValueTwo&arg.Value, equal
	}
	if c.op < 0 {
		return condition{}, fmt.Errorf("%s.args[%d].op: %q: unknown operator", where, i, arg.Op)
	}
	return c, nil
}
