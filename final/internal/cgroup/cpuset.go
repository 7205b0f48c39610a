//go:build linux

package cgroup

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/simple-container/simple-container/final/internal/kernel"
)

// cpusetAny binds a container to processors and memory nodes: lists as 0-3,8. The files are the same in both
// versions; in v2 one more, cpuset.cpus.effective, says what of it the machine has.
func cpusetAny(r *specs.LinuxResources, _ now) (settings []setting, err error) {
	if r.CPU == nil {
		return nil, nil
	}
	for _, row := range []struct{ field, file, value string }{
		{"cpu.cpus", "cpuset.cpus", r.CPU.Cpus},
		{"cpu.mems", "cpuset.mems", r.CPU.Mems},
	} {
		if row.value == "" {
			continue
		}
		want, err := parseList(row.value)
		if err != nil {
			return nil, refuse(row.field, fmt.Sprintf("%q", row.value), err.Error())
		}
		same := func(got string) bool { // the kernel writes 0,1,2 as 0-2
			list, err := parseList(got)
			return err == nil && slices.Equal(list, want)
		}
		settings = append(settings, setting{field: row.field, file: row.file, value: row.value, same: same})
	}
	return settings, nil
}

// parseList reads a list of processors or nodes: 0-2,7 is 0 1 2 7.
func parseList(text string) (list []uint16, err error) {
	for word := range strings.SplitSeq(strings.TrimSpace(text), ",") {
		if word = strings.TrimSpace(word); word == "" {
			continue
		}
		from, to, isRange := strings.Cut(word, "-")
		if !isRange {
			to = from
		}
		first, err1 := strconv.ParseUint(from, 10, 16)
		last, err2 := strconv.ParseUint(to, 10, 16)
		if err1 != nil || err2 != nil || first > last {
			return nil, fmt.Errorf("%q is no list such as 0-2,7", text)
		}
		for n := first; n <= last; n++ {
			list = append(list, uint16(n))
		}
	}
	slices.Sort(list)
	return slices.Compact(list), nil
}

// inheritCpuset gives a v1 group the processors and nodes of its parent. A new v1 group has none of either,
// and would take no process. What resources sets anyway is left out.
func inheritCpuset(door *kernel.Door, root, dir string, resources *specs.LinuxResources) error {
	cpu := &specs.LinuxCPU{}
	if resources != nil && resources.CPU != nil {
		cpu = resources.CPU
	}
	for _, row := range []struct{ file, asked string }{{"cpuset.cpus", cpu.Cpus}, {"cpuset.mems", cpu.Mems}} {
		if row.asked == "" {
			if _, err := inherit(door, root, dir, row.file); err != nil {
				return err
			}
		}
	}
	return nil
}

// inherit returns what a file says, after it has made it say what the parent's says if it said nothing.
func inherit(door *kernel.Door, root, dir, file string) (string, error) {
	have, err := kernel.ReadFile(dir + "/" + file)
	if err != nil || have != "" || dir == root {
		return have, err
	}
	have, err = inherit(door, root, filepath.Dir(dir), file)
	if err != nil {
		return "", err
	}
	return have, door.Set(dir+"/"+file, have)
}

// CPUSet is what events --stats says of it.
type CPUSet struct {
	CPUs                  []uint16 `json:"cpus,omitempty"`
	CPUExclusive          uint64   `json:"cpu_exclusive"`
	Mems                  []uint16 `json:"mems,omitempty"`
	MemHardwall           uint64   `json:"mem_hardwall"`
	MemExclusive          uint64   `json:"mem_exclusive"`
	MemoryMigrate         uint64   `json:"memory_migrate"`
	MemorySpreadPage      uint64   `json:"memory_spread_page"`
	MemorySpreadSlab      uint64   `json:"memory_spread_slab"`
	MemoryPressure        uint64   `json:"memory_pressure"`
	SchedLoadBalance      uint64   `json:"sched_load_balance"`
	SchedRelaxDomainLevel int64    `json:"sched_relax_domain_level"`
}

func (c *CPUSet) readV2(f *Files) {
	c.CPUs, c.Mems = f.list("cpuset.cpus.effective"), f.list("cpuset.mems.effective")
}

func (c *CPUSet) readV1(f *Files) {
	c.CPUs, c.Mems = f.list("cpuset.cpus"), f.list("cpuset.mems")
	for name, to := range map[string]*uint64{
		"cpu_exclusive": &c.CPUExclusive, "mem_hardwall": &c.MemHardwall, "mem_exclusive": &c.MemExclusive,
		"memory_migrate": &c.MemoryMigrate, "memory_spread_page": &c.MemorySpreadPage,
		"memory_spread_slab": &c.MemorySpreadSlab, "memory_pressure": &c.MemoryPressure,
		"sched_load_balance": &c.SchedLoadBalance,
	} {
		*to = f.number("cpuset." + name)
	}
	level := f.text("cpuset.sched_relax_domain_level") // -1 is the default
	c.SchedRelaxDomainLevel, _ = strconv.ParseInt(level, 10, 64)
}

func (f *Files) list(name string) []uint16 {
	list, err := parseList(f.text(name))
	if err != nil && f.err == nil {
		f.err = fmt.Errorf("read %s/%s: %w", f.dir, name, err)
	}
	return list
}
