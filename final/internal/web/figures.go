//go:build linux

package web

import (
	"time"

	"github.com/simple-container/simple-container/final/internal/metrics"
)

// plotted takes out of a container's figures those that are plotted.
func plotted(all metrics.Figures) *Figures {
	processors, _ := all.CPU.Processors()
	f := &Figures{
		CPU: time.Duration(all.CPU.Usage * float64(time.Second)), CPULimit: processors,
		Periods: all.CPU.Periods, Throttled: all.CPU.ThrottledPeriods,
		Memory: all.Memory.WorkingSet, MemoryLimit: limit(all.Memory.Limit), OOMKills: all.Memory.Events.OOMKill,
		Pids: all.Pids.Tasks, PidsLimit: limit(all.Pids.Limit),
	}
	for _, link := range all.Network {
		f.Received += link.Received.Bytes
		f.Sent += link.Sent.Bytes
	}
	return f
}

// limit is 0 for none.
func limit(n *uint64) uint64 {
	if n == nil {
		return 0
	}
	return *n
}
