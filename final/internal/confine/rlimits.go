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

// An Rlimit is a resource limit of a process. The parent sets it from outside (prlimit(2)), where the
// CAP_SYS_RESOURCE is that raising one takes.
type Rlimit struct {
	Name     string // RLIMIT_NOFILE
	Resource int    // the kernel's number
	Limit    unix.Rlimit
}

var rlimitNames = [...]string{
	unix.RLIMIT_CPU: "RLIMIT_CPU", unix.RLIMIT_FSIZE: "RLIMIT_FSIZE", unix.RLIMIT_DATA: "RLIMIT_DATA",
	unix.RLIMIT_STACK: "RLIMIT_STACK", unix.RLIMIT_CORE: "RLIMIT_CORE", unix.RLIMIT_RSS: "RLIMIT_RSS",
	unix.RLIMIT_NPROC: "RLIMIT_NPROC", unix.RLIMIT_NOFILE: "RLIMIT_NOFILE", unix.RLIMIT_MEMLOCK: "RLIMIT_MEMLOCK",
	unix.RLIMIT_AS: "RLIMIT_AS", unix.RLIMIT_LOCKS: "RLIMIT_LOCKS", unix.RLIMIT_SIGPENDING: "RLIMIT_SIGPENDING",
	unix.RLIMIT_MSGQUEUE: "RLIMIT_MSGQUEUE", unix.RLIMIT_NICE: "RLIMIT_NICE", unix.RLIMIT_RTPRIO: "RLIMIT_RTPRIO",
	unix.RLIMIT_RTTIME: "RLIMIT_RTTIME",
}

// Option is what prlimit(1) calls it.
func (r Rlimit) Option() string { return strings.ToLower(strings.TrimPrefix(r.Name, "RLIMIT_")) }

// Rlimits reads process.rlimits.
func Rlimits(p *specs.Process) ([]Rlimit, error) {
	var list []Rlimit
	for i, r := range p.Rlimits {
		resource := slices.Index(rlimitNames[:], r.Type)
		switch {
		case resource < 0:
			return nil, fmt.Errorf("process.rlimits[%d].type: %q: unknown limit", i, r.Type)
		case slices.ContainsFunc(list, func(other Rlimit) bool { return other.Resource == resource }):
			return nil, fmt.Errorf("process.rlimits[%d].type: %q: limited twice", i, r.Type)
		case r.Soft > r.Hard:
			return nil, fmt.Errorf("process.rlimits[%d].soft: %d: above the hard limit, %d", i, r.Soft, r.Hard)
		}
		list = append(list, Rlimit{r.Type, resource, unix.Rlimit{Cur: r.Soft, Max: r.Hard}})
	}
	return list, nil
}

// room is how many descriptors a container side may open before its command, whatever the command may.
const room = 1024

// AtFirst is the limit until the command: the parent sets it, who may raise limits. now is what it is, for an executor in
// Go, which is not to run out of memory; else nil.
func (r Rlimit) AtFirst(now *unix.Rlimit) unix.Rlimit {
	switch {
	case r.Resource == unix.RLIMIT_NOFILE:
		return unix.Rlimit{Cur: max(r.Limit.Cur, room), Max: max(r.Limit.Max, room)}
	case now != nil && r.ofMemory():
		return unix.Rlimit{Cur: max(r.Limit.Cur, now.Cur), Max: max(r.Limit.Max, now.Max)}
	}
	return r.Limit
}

// ofMemory tells whether the limit is one of the memory of a program, of which Go wants more than many a command.
func (r Rlimit) ofMemory() bool {
	return r.Resource == unix.RLIMIT_AS || r.Resource == unix.RLIMIT_DATA || r.Resource == unix.RLIMIT_STACK
}

// AtLast sets what was another limit at first, or may be lost. raised is the limit of descriptors that Go has raised, if the
// executor is in Go; else nil.
func AtLast(l *op.List, p *specs.Process, raised *unix.Rlimit) error {
	limits, err := Rlimits(p)
	if err != nil {
		return err
	}
	inGo := raised != nil
	for _, r := range limits {
		switch {
		case r.Resource == unix.RLIMIT_NOFILE:
			if inGo || r.AtFirst(nil) != r.Limit {
				r.set(l, "until here, more descriptors were needed")
			}
			raised = nil
		case inGo && r.ofMemory():
			r.set(l, "until here, Go needed more")
		case r.Resource == unix.RLIMIT_STACK: // an execve ends by putting back what it was when it began
			r.set(l, "the parent has set it too, perhaps before this program's own execve was over")
		}
	}
	if raised != nil {
		Rlimit{"RLIMIT_NOFILE", unix.RLIMIT_NOFILE, *raised}.set(l, "Go has raised it")
	}
	return nil
}

// set has the process set its own limit.
func (r Rlimit) set(l *op.List, why string) {
	cur, most := r.Limit.Cur, r.Limit.Max
	l.Add(op.Op{Name: "prlimit64", Nr: unix.SYS_PRLIMIT64, Args: []op.Arg{
		op.Int(0), op.Int(r.Resource).As(r.Name), op.Ref(op.Words(cur, most)).As(fmt.Sprintf("{%d, %d}", cur, most)), op.Null(),
	}, Shell: fmt.Sprintf("prlimit --pid $$ --%s=%d:%d", r.Option(), cur, most), Why: why})
}
