//go:build linux

package runtime

import (
	"fmt"
	"strconv"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/confine"
	"github.com/simple-container/simple-container/final/internal/kernel"
)

// prepare does what only the parent can do to a process: it may raise limits, and writes the id maps of a user
// namespace that it is not in itself.
func (r *Runtime) prepare(pid int, s *specs.Spec, p *specs.Process, newUser bool) error {
	if newUser {
		if err := r.mapIDs(pid, s.Linux); err != nil {
			return err
		}
	}
	if p.OOMScoreAdj != nil && !rootless() { // who is not root has the process do it (plan)
		path := fmt.Sprintf("/proc/%d/oom_score_adj", pid)
		if err := r.Door.Write(path, strconv.Itoa(*p.OOMScoreAdj)); err != nil {
			return fmt.Errorf("process.oomScoreAdj: %w", err)
		}
	}
	limits, err := confine.Rlimits(p)
	if err != nil {
		return err
	}
	for i, limit := range limits {
		if err := r.limit(pid, limit); err != nil {
			return fmt.Errorf("process.rlimits[%d]: %w", i, err)
		}
	}
	return nil
}

// limit sets a limit of a process, as it is to be until its command.
func (r *Runtime) limit(pid int, limit confine.Rlimit) error {
	var now *unix.Rlimit
	if r.inGo() {
		now = &unix.Rlimit{}
		if err := unix.Prlimit(pid, limit.Resource, nil, now); err != nil {
			return err
		}
	}
	first := limit.AtFirst(now)
	values := fmt.Sprintf("%d:%d", first.Cur, first.Max)
	what := kernel.Call{
		Op: "prlimit", Object: fmt.Sprintf("%d %s", pid, limit.Name), Value: values,
		Shell: fmt.Sprintf("prlimit --pid %d --%s=%s", pid, limit.Option(), values),
	}
	return r.Door.Do(what, func() error { return unix.Prlimit(pid, limit.Resource, &first, nil) })
}

// schedule says how a process competes for processors (sched_setattr(2)).
func (r *Runtime) schedule(pid int, s *specs.Scheduler) error {
	attr, text, err := confine.SchedulerAttr(s)
	if err != nil {
		return err
	}
	what := kernel.Call{Op: "sched_setattr", Object: strconv.Itoa(pid), Value: text, Shell: "chrt -p " + strconv.Itoa(pid)}
	if err := r.Door.Do(what, func() error { return unix.SchedSetAttr(pid, &attr, 0) }); err != nil {
		return fmt.Errorf("process.scheduler: %w", err)
	}
	return nil
}
