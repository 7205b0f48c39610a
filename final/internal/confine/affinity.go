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

// mostProcessors is how many the largest kernels are built for.
const mostProcessors = 8192

// InitialAffinity is for a process that joins a container: the processors it runs on before it is in the
// container's cgroup. It must come first.
func InitialAffinity(l *op.List, a *specs.CPUAffinity) error {
	if a == nil || a.Initial == "" {
		return nil
	}
	return affinity(l, "initial", a.Initial)
}

// FinalAffinity is for when the process is in its cgroup. Without execCPUAffinity, the processors that the
// runtime was bound to are not to bind the container: all are allowed, which to the kernel means all of the
// cpuset. For a container's first process, a is nil.
func FinalAffinity(l *op.List, a *specs.CPUAffinity) error {
	switch {
	case a == nil || a.Initial == "" && a.Final == "":
		all := slices.Repeat([]uint64{^uint64(0)}, mostProcessors/64)
		set := setaffinity(all, "all", "the processors of its cgroup, not those of whoever started the runtime")
		set.Accept = []unix.Errno{unix.EINVAL, unix.EPERM} // then it stays where it is
		l.Add(set)
		return nil
	case a.Final == "":
		return nil // the kernel has moved it to where the cgroup allows
	}
	return affinity(l, "final", a.Final)
}

func affinity(l *op.List, field, list string) error {
	words, err := numbers(list, mostProcessors)
	if err != nil {
		return fmt.Errorf("process.execCPUAffinity.%s: %w", field, err)
	}
	set := setaffinity(words, strings.ReplaceAll(list, " ", ""), "the processors it runs on before it is in the cgroup")
	if field == "final" {
		set.Why = "the processors it runs on from now on"
	}
	set.Means = fmt.Sprintf("process.execCPUAffinity.%s: %s", field, list)
	l.Add(set)
	return nil
}

func setaffinity(words []uint64, list, why string) op.Op {
	o := op.Op{Name: "sched_setaffinity", Nr: unix.SYS_SCHED_SETAFFINITY, Why: why,
		Args: []op.Arg{op.Int(0), op.Int(8 * len(words)), op.Ref(op.Words(words...)).As("{" + list + "}")}}
	if list != "all" {
		o.Shell = "taskset -pc " + list + " $$"
	}
	return o
}
