//go:build linux

package web

import (
	"path/filepath"

	"github.com/simple-container/simple-container/final/internal/kernel"
)

// cgroupFiles are those that the figures are read from, on v2 and on v1.
var cgroupFiles = []struct {
	figure     string
	controller string // of v1; "" is v2
	name       string
	keys       []string
	means      string
}{
	{"cpu", "", "cpu.stat", []string{"usage_usec", "nr_periods", "nr_throttled", "throttled_usec"},
		"time; periods, and those in which the quota ran out"},
	{"cpu", "", "cpu.max", nil, "the quota in each period, microseconds"},
	{"cpu", "cpuacct", "cpuacct.usage", nil, "time used, in nanoseconds"},
	{"cpu", "cpu", "cpu.cfs_quota_us", nil, "the quota, microseconds"},
	{"cpu", "cpu", "cpu.cfs_period_us", nil, "of which period"},
	{"cpu", "cpu", "cpu.stat", []string{"nr_periods", "nr_throttled", "throttled_time"},
		"periods, and those in which the quota ran out"},
	{"memory", "", "memory.current", nil, "bytes in use"},
	{"memory", "", "memory.max", nil, "the limit"},
	{"memory", "", "memory.stat", []string{"anon", "inactive_file"},
		"inactive_file can be taken back at will"},
	{"memory", "", "memory.events", []string{"max", "oom_kill"},
		"the limit was met, and killed"},
	{"memory", "memory", "memory.usage_in_bytes", nil, "bytes in use"},
	{"memory", "memory", "memory.limit_in_bytes", nil, "the limit"},
	{"memory", "memory", "memory.stat", []string{"total_rss", "total_inactive_file"},
		"inactive_file can be taken back at will"},
	{"memory", "memory", "memory.oom_control", []string{"oom_kill"},
		"kills at the limit"},
	{"pids", "", "pids.current", nil, "processes and threads"},
	{"pids", "", "pids.max", nil, "the limit"},
	{"pids", "", "pids.events", nil, "how often fork was refused"},
	{"pids", "pids", "pids.current", nil, "processes and threads"},
	{"pids", "pids", "pids.max", nil, "the limit"},
	{"pids", "pids", "pids.events", nil, "how often fork was refused"},
}

// mostText is what is shown of a file.
const mostText = 4096

// files are those of a container that are there, with what they say now.
func (m *machine) files(id string) (list []File, err error) {
	c, pid, err := m.find(id)
	if err != nil {
		return nil, err
	}
	for _, row := range cgroupFiles {
		dir, ok := c.Cgroups[row.controller]
		if _, elsewhere := c.Cgroups[row.figure]; !ok || row.controller == "" && elsewhere {
			continue // where a controller is on v1, v2 has at most a part of it
		}
		path := filepath.Join(dir, row.name)
		if text, err := kernel.ReadFile(path); err == nil {
			list = append(list, File{row.figure, path, cut(text), row.keys, row.means})
		}
	}
	path := proc(pid, "net/dev")
	if text, err := kernel.ReadFile(path); err == nil {
		list = append(list, File{"network", path, cut(text), nil, "what each link has carried"})
	}
	return list, nil
}

func cut(text string) string {
	if len(text) > mostText {
		return text[:mostText] + "\n..."
	}
	return text
}
