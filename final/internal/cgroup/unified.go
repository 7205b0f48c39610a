//go:build linux

package cgroup

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// unified takes files of cgroup2 as they are: "memory.high": "1000000". They come last, and so override. What
// a file says back is its own matter; the kernel's word on the write must do.
func (g *Group) unified(r *specs.LinuxResources) (changes []change, err error) {
	for _, file := range slices.Sorted(maps.Keys(r.Unified)) {
		field := fmt.Sprintf("unified[%q]", file)
		controller, _, ok := strings.Cut(file, ".")
		if !ok || controller == "" || strings.Contains(file, "/") {
			return nil, refuse(field, r.Unified[file], "want the name of a file in a cgroup2 directory")
		}
		p := g.v2()
		if p == nil {
			return nil, refuse(field, r.Unified[file], "no cgroup2 tree is mounted")
		}
		// A line at a time: io.max takes one device.
		for line := range strings.SplitSeq(strings.TrimSpace(r.Unified[file]), "\n") {
			changes = append(changes, change{
				setting:    setting{field: field, file: file, value: line, blind: true},
				controller: controller, part: p,
			})
		}
	}
	return changes, nil
}

// unifiedProperties are those of cgroup2's files that systemd has a word for: it would write its own value otherwise.
var unifiedProperties = [...]struct{ file, name string }{
	{"memory.min", "MemoryMin"}, {"memory.low", "MemoryLow"}, {"memory.high", "MemoryHigh"},
	{"memory.max", "MemoryMax"}, {"memory.swap.max", "MemorySwapMax"}, {"pids.max", "TasksMax"},
	{"cpu.weight", "CPUWeight"},
}

// unifiedLimits are the properties of the files. What is no number the kernel refuses, when it is written.
func (g *Group) unifiedLimits(files map[string]string) (list []property) {
	for _, p := range unifiedProperties {
		if n, err := parseLimit(strings.TrimSpace(files[p.file])); err == nil {
			list = append(list, prop(p.name, unlimited(n)))
		}
	}
	c := &specs.LinuxCPU{Cpus: strings.TrimSpace(files["cpuset.cpus"]), Mems: strings.TrimSpace(files["cpuset.mems"])}
	if fields := strings.Fields(files["cpu.max"]); len(fields) > 0 { // "25000 100000", or one of them
		if n, err := parseLimit(fields[0]); err == nil {
			c.Quota = &n
		}
		if n, err := strconv.ParseUint(fields[len(fields)-1], 10, 64); err == nil && len(fields) > 1 {
			c.Period = &n
		}
	}
	return append(list, g.cpuLimits(c)...)
}

// parseLimit reads a number, or max, which is -1.
func parseLimit(text string) (int64, error) {
	if text == "max" {
		return -1, nil
	}
	return strconv.ParseInt(text, 10, 64)
}
