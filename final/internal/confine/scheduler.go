//go:build linux

package confine

import (
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/op"
)

// schedulerPolicies by the kernel's number (sched(7)). 4 was kept for SCHED_ISO, which never came.
var schedulerPolicies = [...]specs.LinuxSchedulerPolicy{
	unix.SCHED_NORMAL: specs.SchedOther, unix.SCHED_FIFO: specs.SchedFIFO, unix.SCHED_RR: specs.SchedRR,
	unix.SCHED_BATCH: specs.SchedBatch, unix.SCHED_IDLE: specs.SchedIdle, unix.SCHED_DEADLINE: specs.SchedDeadline,
}

var schedulerFlags = []op.Flag{
	{Value: unix.SCHED_FLAG_RESET_ON_FORK, Name: "SCHED_FLAG_RESET_ON_FORK"},
	{Value: unix.SCHED_FLAG_RECLAIM, Name: "SCHED_FLAG_RECLAIM"},
	{Value: unix.SCHED_FLAG_DL_OVERRUN, Name: "SCHED_FLAG_DL_OVERRUN"},
	{Value: unix.SCHED_FLAG_KEEP_POLICY, Name: "SCHED_FLAG_KEEP_POLICY"},
	{Value: unix.SCHED_FLAG_KEEP_PARAMS, Name: "SCHED_FLAG_KEEP_PARAMS"},
	{Value: unix.SCHED_FLAG_UTIL_CLAMP_MIN, Name: "SCHED_FLAG_UTIL_CLAMP_MIN"},
	{Value: unix.SCHED_FLAG_UTIL_CLAMP_MAX, Name: "SCHED_FLAG_UTIL_CLAMP_MAX"},
}

// OwnScheduler tells whether a process alone is scheduled so, and its children are not.
func OwnScheduler(s *specs.Scheduler) bool {
	return s != nil && (s.Policy == specs.SchedDeadline || slices.Contains(s.Flags, specs.SchedFlagResetOnFork))
}

// scheduler says how the process competes for processors (sched_setattr(2)).
func scheduler(l *op.List, s *specs.Scheduler) error {
	if s == nil {
		return nil
	}
	attr, text, err := SchedulerAttr(s)
	if err != nil {
		return err
	}
	short := strings.ToLower(strings.TrimPrefix(string(s.Policy), "SCHED_"))
	l.Add(op.Op{Name: "sched_setattr", Nr: unix.SYS_SCHED_SETATTR,
		Args:  []op.Arg{op.Int(0), op.Ref(op.Struct(attr)).As(text), op.Int(0)},
		Shell: fmt.Sprintf("chrt --%s -p %d $$", short, s.Priority),
		Means: "process.scheduler: " + text, Why: "while the capability for it is there"})
	return nil
}

// SchedulerAttr is what sched_setattr(2) takes, and what people read.
func SchedulerAttr(s *specs.Scheduler) (attr unix.SchedAttr, text string, err error) {
	policy := slices.Index(schedulerPolicies[:], s.Policy)
	if policy < 0 || s.Policy == "" {
		return attr, "", fmt.Errorf("process.scheduler.policy: %q: Linux has no such policy", s.Policy)
	}
	if err := checkScheduler(s); err != nil {
		return attr, "", err
	}
	attr = unix.SchedAttr{
		Size: unix.SizeofSchedAttr, Policy: uint32(policy), Nice: s.Nice, Priority: uint32(s.Priority),
		Runtime: s.Runtime, Deadline: s.Deadline, Period: s.Period,
	}
	for i, name := range s.Flags {
		at := slices.IndexFunc(schedulerFlags, func(f op.Flag) bool { return f.Name == string(name) })
		if at < 0 {
			return attr, "", fmt.Errorf("process.scheduler.flags[%d]: %q: unknown flag", i, name)
		}
		attr.Flags |= schedulerFlags[at].Value
	}
	text = fmt.Sprintf("{%s, nice %d, priority %d}", s.Policy, s.Nice, s.Priority)
	if s.Policy == specs.SchedDeadline {
		text = fmt.Sprintf("{%s, runtime %d, deadline %d, period %d}", s.Policy, s.Runtime, s.Deadline, s.Period)
	}
	return attr, text, nil
}

// checkScheduler refuses what the kernel would quietly do without; but for nice, which engines send along with any
// policy.
func checkScheduler(s *specs.Scheduler) error {
	realtime := s.Policy == specs.SchedFIFO || s.Policy == specs.SchedRR
	switch {
	case s.Nice < -20 || s.Nice > 19:
		return fmt.Errorf("process.scheduler.nice: %d: want -20 to 19", s.Nice)
	case s.Priority != 0 && !realtime:
		return fmt.Errorf("process.scheduler.priority: %d: not with %s", s.Priority, s.Policy)
	case s.Runtime|s.Deadline|s.Period != 0 && s.Policy != specs.SchedDeadline:
		return fmt.Errorf("process.scheduler: runtime %d, deadline %d, period %d: not with %s",
			s.Runtime, s.Deadline, s.Period, s.Policy)
	}
	return nil
}
