//go:build linux

package runtime

import (
	"fmt"
	"strconv"
	"strings"

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
	if p.OOMScoreAdj != nil {
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
		first := limit.AtFirst()
		values := fmt.Sprintf("%d:%d", first.Cur, first.Max)
		what := kernel.Call{
			Op: "prlimit", Object: fmt.Sprintf("%d %s", pid, limit.Name), Value: values,
			Shell: "prlimit --pid " + strconv.Itoa(pid) +
				" --" + strings.ToLower(strings.TrimPrefix(limit.Name, "RLIMIT_")) + "=" + values,
		}
		err := r.Door.Do(what, func() error { return unix.Prlimit(pid, limit.Resource, &first, nil) })
		if err != nil {
			return fmt.Errorf("process.rlimits[%d]: %w", i, err)
		}
	}
	return nil
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
