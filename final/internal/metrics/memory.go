//go:build linux

package metrics

import (
	"math"

	"github.com/simple-container/simple-container/final/internal/cgroup"
)

func (m *Memory) read(g *cgroup.Group, keep *cgroup.Keeper) {
	f := g.Files("memory", keep)
	switch {
	case f == nil:
		return
	case f.Version == 2:
		m.readV2(f)
	default:
		m.readV1(f)
	}
	m.WorkingSet = m.Usage - min(m.Usage, m.Inactive) // the two are not read at once
}

// limit is a number of bytes, or nil where there is none: the word is max on v2; v1 says the largest number
// of whole pages, whatever their size.
func limit(f *cgroup.Files, name string) *uint64 {
	const unlimited = math.MaxInt64 / 2
	n, ok := f.Number(name)
	if !ok || n > unlimited {
		return nil
	}
	return &n
}

func (m *Memory) readV2(f *cgroup.Files) {
	m.Usage, _ = f.Number("memory.current")
	m.Swap, _ = f.Number("memory.swap.current")
	m.Limit, m.High, m.Low = limit(f, "memory.max"), limit(f, "memory.high"), limit(f, "memory.low")
	m.SwapLimit, m.Peak = limit(f, "memory.swap.max"), limit(f, "memory.peak")
	var parts uint64 // what kernel is the sum of: it has a line of its own since Linux 5.18
	f.Keyed("memory.stat", func(key []byte, n uint64) {
		switch string(key) {
		case "anon":
			m.Anon = n
		case "file":
			m.File = n
		case "kernel":
			m.Kernel = n
		case "kernel_stack", "pagetables", "sec_pagetables", "percpu", "vmalloc", "slab":
			parts += n
		case "shmem":
			m.Shmem = n
		case "file_mapped":
			m.Mapped = n
		case "active_file":
			m.ActiveFile = n
		case "inactive_file":
			m.Inactive = n
		case "pgfault":
			m.Faults = n
		case "pgmajfault":
			m.MajorFaults = n
		}
	})
	if m.Kernel == 0 {
		m.Kernel = parts
	}
	f.Keyed("memory.events", func(key []byte, n uint64) {
		switch string(key) {
		case "low":
			m.Events.Low = n
		case "high":
			m.Events.High = n
		case "max":
			m.Events.Max = n
		case "oom":
			m.Events.OOM = n
		case "oom_kill":
			m.Events.OOMKill = n
		}
	})
}

// readV1 reads of memory.stat what begins with total_: groups below count too, as in v2.
func (m *Memory) readV1(f *cgroup.Files) {
	m.Usage, _ = f.Number("memory.usage_in_bytes")
	m.Kernel, _ = f.Number("memory.kmem.usage_in_bytes")
	m.Limit, m.Peak = limit(f, "memory.limit_in_bytes"), limit(f, "memory.max_usage_in_bytes")
	if both := limit(f, "memory.memsw.limit_in_bytes"); both != nil && m.Limit != nil { // memory and swap together
		only := *both - min(*both, *m.Limit)
		m.SwapLimit = &only
	}
	f.Keyed("memory.stat", func(key []byte, n uint64) {
		switch string(key) {
		case "total_rss":
			m.Anon = n
		case "total_cache":
			m.File = n
		case "total_shmem":
			m.Shmem = n
		case "total_mapped_file":
			m.Mapped = n
		case "total_active_file":
			m.ActiveFile = n
		case "total_inactive_file":
			m.Inactive = n
		case "total_swap":
			m.Swap = n
		case "total_pgfault":
			m.Faults = n
		case "total_pgmajfault":
			m.MajorFaults = n
		}
	})
	m.Events.Max, _ = f.Number("memory.failcnt")
	swap, _ := f.Number("memory.memsw.failcnt") // a limit of memory and swap is met first if it is the same
	m.Events.Max += swap
	f.Keyed("memory.oom_control", func(key []byte, n uint64) {
		if string(key) == "oom_kill" {
			m.Events.OOMKill = n
		}
	})
}
