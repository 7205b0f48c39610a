//go:build linux

package confine

import (
	"fmt"
	"slices"

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

// AtFirst is the limit until the command: the parent sets it, who may raise limits.
func (r Rlimit) AtFirst() unix.Rlimit {
	if r.Resource != unix.RLIMIT_NOFILE {
		return r.Limit
	}
	return unix.Rlimit{Cur: max(r.Limit.Cur, room), Max: max(r.Limit.Max, room)}
}

// AtLast sets what was another limit at first. raised is the limit of descriptors that Go has raised, if the
// executor is in Go; else nil.
func AtLast(l *op.List, p *specs.Process, raised *unix.Rlimit) error {
	limits, err := Rlimits(p)
	if err != nil {
		return err
	}
	at := slices.IndexFunc(limits, func(r Rlimit) bool { return r.Resource == unix.RLIMIT_NOFILE })
	limit, why := raised, "Go has raised it"
	if at >= 0 && (raised != nil || limits[at].AtFirst() != limits[at].Limit) {
		limit, why = &limits[at].Limit, "until here, more descriptors were needed"
	}
	if limit == nil {
		return nil
	}
	l.Add(op.Op{Name: "prlimit64", Nr: unix.SYS_PRLIMIT64, Args: []op.Arg{
		op.Int(0), op.Int(unix.RLIMIT_NOFILE).As("RLIMIT_NOFILE"),
		op.Ref(op.Words(limit.Cur, limit.Max)).As(fmt.Sprintf("{%d, %d}", limit.Cur, limit.Max)), op.Null(),
	}, Shell: fmt.Sprintf("ulimit -Sn %d -Hn %d", limit.Cur, limit.Max), Why: why})
	return nil
}
