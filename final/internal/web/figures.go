//go:build linux

package web

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/simple-container/simple-container/final/internal/cgroup"
	"github.com/simple-container/simple-container/final/internal/kernel"
)

// figures reads what a container has used.
func (m *machine) figures(id string) (f Figures, err error) {
	c, pid, err := m.find(id)
	if err != nil {
		return f, err
	}
	stats, err := cgroup.Load(c.Cgroups, c.Systemd).Stats()
	if err != nil {
		return f, err
	}
	text := texts(c.Cgroups)
	f = Figures{
		CPU:    time.Duration(min(stats.CPU.Usage.Total, math.MaxInt64)),
		Memory: workingSet(stats.Memory), MemoryLimit: limit(stats.Memory.Usage.Limit),
		Pids: stats.Pids.Current, PidsLimit: limit(stats.Pids.Limit),
		Periods: stats.CPU.Throttling.Periods, Throttled: stats.CPU.Throttling.ThrottledPeriods,
	}
	f.CPULimit = quota(text("cpu.max"), text("cpu.cfs_quota_us"), text("cpu.cfs_period_us"))
	f.OOMKills = count(text("memory.events"), "oom_kill") + count(text("memory.oom_control"), "oom_kill")
	traffic, err := kernel.ReadFile(proc(pid, "net/dev"))
	if err == nil { // it may have ended just now
		f.Received, f.Sent = carried(traffic)
	}
	return f, nil
}

// texts reads a file of the group, in whichever tree it is; one that is not there has no text.
func texts(paths map[string]string) func(name string) string {
	return func(name string) string {
		controller, _, _ := strings.Cut(name, ".")
		for _, key := range []string{controller, ""} {
			if dir, ok := paths[key]; ok {
				text, _ := kernel.ReadFile(dir + "/" + name) // other versions have other files
				if text != "" {
					return text
				}
			}
		}
		return ""
	}
}

// workingSet is the memory in use, but for the pages of files that have not been used for a while, which the
// kernel would drop first. It is what Kubernetes evicts by.
func workingSet(m cgroup.Memory) uint64 {
	idle, ok := m.Raw["total_inactive_file"] // v1, with the groups below
	if !ok {
		idle = m.Raw["inactive_file"]
	}
	return m.Usage.Usage - min(idle, m.Usage.Usage)
}

// limit turns the words of both versions for no limit into 0: v1's is the largest number of whole pages.
func limit(n uint64) uint64 {
	if n >= math.MaxInt64-1<<20 {
		return 0
	}
	return n
}

// quota is how many processors may be used: "50000 100000" of v2's cpu.max, or v1's two files. 0 is no limit.
func quota(v2, quotaV1, periodV1 string) float64 {
	words := strings.Fields(v2)
	if v2 == "" {
		words = []string{quotaV1, periodV1}
	}
	if len(words) != 2 {
		return 0
	}
	quota, err := strconv.ParseFloat(words[0], 64) // "max" is none
	period, err2 := strconv.ParseFloat(words[1], 64)
	if err != nil || err2 != nil || quota <= 0 || period <= 0 {
		return 0
	}
	return quota / period
}

// count finds a line as "oom_kill 3".
func count(text, key string) uint64 {
	for line := range strings.Lines(text) {
		if word, ok := strings.CutPrefix(line, key+" "); ok {
			n, _ := strconv.ParseUint(strings.TrimSpace(word), 10, 64) // the kernel writes numbers
			return n
		}
	}
	return 0
}

// carried adds up what the links of /proc/PID/net/dev have carried, the loopback left out:
//
//	Inter-|   Receive                                                |  Transmit
//	 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs ...
//	    lo:     840      10    0    0    0     0          0         0      840      10    0 ...
//	  eth0: 1296052     931    0    0    0     0          0         0    66212     904    0 ...
func carried(text string) (received, sent uint64) {
	for line := range strings.Lines(text) {
		name, rest, ok := strings.Cut(line, ":")
		fields := strings.Fields(rest)
		if !ok || strings.TrimSpace(name) == "lo" || len(fields) < 9 {
			continue
		}
		in, _ := strconv.ParseUint(fields[0], 10, 64) // the kernel writes numbers
		out, _ := strconv.ParseUint(fields[8], 10, 64)
		received, sent = received+in, sent+out
	}
	return received, sent
}
