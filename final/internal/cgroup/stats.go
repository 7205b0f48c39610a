//go:build linux

package cgroup

import (
	"errors"
	"math"
)

// Stats is what a container has used, in the words of `runc events --stats`: engines parse it. What the
// kernel does not measure stays zero, or is left out.
type Stats struct {
	CPU               CPU                `json:"cpu"`
	CPUSet            CPUSet             `json:"cpuset"`
	Memory            Memory             `json:"memory"`
	Pids              Pids               `json:"pids"`
	Blkio             Blkio              `json:"blkio"`
	Hugetlb           map[string]Hugetlb `json:"hugetlb"`
	IntelRdt          struct{}           `json:"intel_rdt"`
	NetworkInterfaces []struct{}         `json:"network_interfaces"`
}

// Pids is how many tasks there are and may be; 0 is no limit.
type Pids struct {
	Current uint64 `json:"current,omitempty"`
	Limit   uint64 `json:"limit,omitempty"`
}

// noLimit is the word max as a number.
const noLimit = math.MaxUint64

// Stats measures the group.
func (g *Group) Stats() (*Stats, error) {
	if g.None() {
		return nil, errNone
	}
	s := &Stats{Hugetlb: map[string]Hugetlb{}}
	var errs []error
	for _, row := range []struct {
		controller string
		v2, v1     func(*Files)
	}{
		{"cpu", s.CPU.readV2, s.CPU.readV1},
		{"cpuacct", nil, s.CPU.readCpuacct},
		{"cpuset", s.CPUSet.readV2, s.CPUSet.readV1},
		{"memory", s.Memory.readV2, s.Memory.readV1},
		{"pids", s.Pids.read, s.Pids.read},
		{"io", s.Blkio.readV2, nil},
		{"blkio", nil, s.Blkio.readV1},
		{"hugetlb", s.readHugetlb, s.readHugetlb},
	} {
		p := g.part(row.controller)
		read := row.v2
		if p != nil && p.Version == 1 {
			read = row.v1
		}
		if p == nil || read == nil {
			continue
		}
		f := &Files{dir: p.dir}
		read(f)
		errs = append(errs, f.err)
	}
	if p := g.v2(); p != nil { // a tree without controllers, on a hybrid machine, has these all the same
		f := &Files{dir: p.dir}
		if s.CPU.Usage.Total == 0 {
			s.CPU.readV2(f)
		}
		s.CPU.PSI = f.Pressure("cpu.pressure")
		s.Memory.PSI = f.Pressure("memory.pressure")
		s.Blkio.PSI = f.Pressure("io.pressure")
		errs = append(errs, f.err)
	}
	return s, errors.Join(errs...)
}

func (p *Pids) read(f *Files) {
	p.Current, p.Limit = f.number("pids.current"), f.number("pids.max")
	if p.Limit == noLimit {
		p.Limit = 0
	}
}
