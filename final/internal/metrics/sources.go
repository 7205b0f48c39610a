//go:build linux

package metrics

import (
	"fmt"

	"github.com/simple-container/simple-container/final/internal/cgroup"
)

// A Source says where a figure comes from.
type Source struct {
	Figure string   `json:"figure"` // as Figures has it in JSON: "memory.working_set"
	Files  []string `json:"files"`  // absolute
}

// source is a row of the table: the files by version, and the controllers whose trees they are in, "" for the
// cgroup2 tree whatever is bound to it.
type source struct {
	figure   string
	v2, v1   string // the controller
	on2, on1 []string
}

var sources = []source{
	{"cpu.usage", "v2", "cpuacct", []string{"cpu.stat"}, []string{"cpuacct.usage"}},
	{"cpu.user", "v2", "cpuacct", []string{"cpu.stat"}, []string{"cpuacct.stat"}},
	{"cpu.system", "v2", "cpuacct", []string{"cpu.stat"}, []string{"cpuacct.stat"}},
	{"cpu.quota_us", "cpu", "cpu", []string{"cpu.max"}, []string{"cpu.cfs_quota_us"}},
	{"cpu.period_us", "cpu", "cpu", []string{"cpu.max"}, []string{"cpu.cfs_period_us"}},
	{"cpu.weight", "cpu", "", []string{"cpu.weight"}, nil},
	{"cpu.shares", "", "cpu", nil, []string{"cpu.shares"}},
	{"cpu.throttled", "cpu", "cpu", []string{"cpu.stat"}, []string{"cpu.stat"}},
	{"memory.usage", "memory", "memory", []string{"memory.current"}, []string{"memory.usage_in_bytes"}},
	{"memory.working_set", "memory", "memory",
		[]string{"memory.current", "memory.stat"}, []string{"memory.usage_in_bytes", "memory.stat"}},
	{"memory.anon", "memory", "memory", []string{"memory.stat"}, []string{"memory.stat"}},
	{"memory.file", "memory", "memory", []string{"memory.stat"}, []string{"memory.stat"}},
	{"memory.kernel", "memory", "memory", []string{"memory.stat"}, []string{"memory.kmem.usage_in_bytes"}},
	{"memory.swap", "memory", "memory", []string{"memory.swap.current"}, []string{"memory.stat"}},
	{"memory.limit", "memory", "memory", []string{"memory.max"}, []string{"memory.limit_in_bytes"}},
	{"memory.high", "memory", "", []string{"memory.high"}, nil},
	{"memory.low", "memory", "", []string{"memory.low"}, nil},
	{"memory.swap_limit", "memory", "memory", []string{"memory.swap.max"}, []string{"memory.memsw.limit_in_bytes"}},
	{"memory.peak", "memory", "memory", []string{"memory.peak"}, []string{"memory.max_usage_in_bytes"}},
	{"memory.events", "memory", "memory", []string{"memory.events"},
		[]string{"memory.failcnt", "memory.memsw.failcnt", "memory.oom_control"}},
	{"pids.tasks", "pids", "pids", []string{"pids.current"}, []string{"pids.current"}},
	{"pids.limit", "pids", "pids", []string{"pids.max"}, []string{"pids.max"}},
	{"pids.peak", "pids", "pids", []string{"pids.peak"}, []string{"pids.peak"}},
	{"pids.refused", "pids", "pids", []string{"pids.events"}, []string{"pids.events"}},
	{"pids.processes", "book", "book", []string{"cgroup.procs"}, []string{"cgroup.procs"}},
	{"io", "io", "blkio", []string{"io.stat"},
		[]string{"blkio.throttle.io_service_bytes_recursive", "blkio.throttle.io_serviced_recursive"}},
	{"pressure.cpu", "v2", "", []string{"cpu.pressure"}, nil},
	{"pressure.memory", "v2", "", []string{"memory.pressure"}, nil},
	{"pressure.io", "v2", "", []string{"io.pressure"}, nil},
	{"paused", "v2", "freezer", []string{"cgroup.events"}, []string{"freezer.state"}},
}

// Sources returns the files behind each figure of a container. Not all have to exist: what a kernel does not
// tell has a source too.
func (t Target) Sources() (list []Source) {
	g := cgroup.Load(t.Cgroups, "")
	for _, row := range sources {
		s := Source{Figure: row.figure}
		f, names := row.in(g)
		for _, name := range names {
			s.Files = append(s.Files, f.Dir()+"/"+name)
		}
		if len(s.Files) > 0 {
			list = append(list, s)
		}
	}
	if t.Pid > 0 {
		list = append(list, Source{"network", []string{fmt.Sprintf("/proc/%d/net/dev", t.Pid)}})
		list = append(list, Source{"pids.open_files", []string{fmt.Sprintf("/proc/%d/fd", t.Pid)}})
	}
	return list
}

// in finds the tree: v1's where it has the controller, as everywhere in package cgroup.
func (s source) in(g *cgroup.Group) (f *cgroup.Files, names []string) {
	if s.v1 == "book" {
		return g.Book(nil), s.on2
	}
	if s.v1 != "" {
		if f := g.Files(s.v1, nil); f != nil && f.Version == 1 {
			return f, s.on1
		}
	}
	if f := g.Files("", nil); f != nil && (s.v2 == "v2" || g.Files(s.v2, nil) == f) {
		return f, s.on2
	}
	return nil, nil
}
