//go:build linux

package cgroup

import (
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/simple-container/simple-container/final/internal/kernel"
)

const swapAccounting = "a kernel that accounts for swap (CONFIG_MEMCG_SWAP, swapaccount=1 before Linux 6.1)"

// memoryV2 limits memory on cgroup2. config.json has the terms of v1, where the limit of swap is that of
// memory and swap together.
//
//	linux.resources.memory    v2
//	limit                     memory.max
//	swap                      memory.swap.max = swap - limit
//	reservation               memory.low
//	checkBeforeUpdate         compared with memory.current
func memoryV2(r *specs.LinuxResources, now now) (settings []setting, err error) {
	m := r.Memory
	if m == nil {
		return nil, nil
	}
	if err := refuseOnV2(m); err != nil {
		return nil, err
	}
	limit, swap, low := value(m.Limit), value(m.Swap), value(m.Reservation)
	if err := checkMemory(limit, swap, low); err != nil {
		return nil, err
	}
	if m.CheckBeforeUpdate != nil && *m.CheckBeforeUpdate && limit > 0 {
		// Written as it is, the limit would be met by killing.
		if used, _ := strconv.ParseInt(now("memory.current"), 10, 64); used > limit {
			return nil, refuse("memory.limit", limit, fmt.Sprintf("%d bytes are in use (checkBeforeUpdate)", used))
		}
	}
	settings, err = swapV2(limit, swap, now)
	if err != nil {
		return nil, err
	}
	settings = append(settings, kernelMemory(m)...)
	if limit != 0 {
		settings = append(settings, sized("memory.limit", "memory.max", limit, "max"))
	}
	if low != 0 {
		settings = append(settings, sized("memory.reservation", "memory.low", low, "max"))
	}
	return settings, nil
}

// swapV2 takes the memory out of the limit of memory and swap together. It goes before memory.max, since what
// is over that is swapped out at once.
func swapV2(limit, swap int64, now now) ([]setting, error) {
	if limit == -1 && swap == 0 {
		swap = -1 // "no limit" would not be true with one for swap
	}
	only := swap
	switch {
	case swap == 0:
		return nil, nil
	case swap > 0:
		if limit == 0 {
			limit, _ = strconv.ParseInt(now("memory.max"), 10, 64) // "max" and "" are 0
		}
		if limit <= 0 {
			return nil, refuse("memory.swap", swap, "is for memory and swap together, so memory.limit must be set too")
		}
		if only = swap - limit; only < 0 {
			why := fmt.Sprintf("is for memory and swap together: want no less than memory.limit, %d", limit)
			return nil, refuse("memory.swap", swap, why)
		}
	}
	return []setting{{
		field: "memory.swap", file: "memory.swap.max", value: number(only, "max"), same: pages(only),
		needs: swapAccounting, spare: spareSwap(only),
	}}, nil
}

// refuseOnV2 refuses what only v1 has. The kernel's default is no request.
func refuseOnV2(m *specs.LinuxMemory) error {
	if m.DisableOOMKiller != nil && *m.DisableOOMKiller {
		return refuse("memory.disableOOMKiller", true, "cgroup v2 always has its OOM killer")
	}
	if m.Swappiness != nil {
		return refuse("memory.swappiness", *m.Swappiness, "cgroup v2 has none per group; use memory.swap")
	}
	if m.KernelTCP != nil && *m.KernelTCP > 0 {
		return refuse("memory.kernelTCP", *m.KernelTCP, "cgroup v2 counts socket buffers as memory; use memory.limit")
	}
	if m.UseHierarchy != nil && !*m.UseHierarchy {
		return refuse("memory.useHierarchy", false, "in cgroup v2 a limit holds for the groups below, always")
	}
	return nil
}

// checkMemory refuses what is no size. 0 is as good as not given: engines send it for that.
func checkMemory(limit, swap, reservation int64) error {
	for _, row := range []struct {
		field string
		value int64
	}{{"memory.limit", limit}, {"memory.swap", swap}, {"memory.reservation", reservation}} {
		if row.value < -1 {
			return refuse(row.field, row.value, "want bytes, or -1 for no limit")
		}
	}
	return nil
}

// kernelMemory is not limited by itself: the kernel gave that limit up (deprecated in Linux 5.4, refused since
// 5.16), and what it takes for a group counts for memory.limit. The specification lets runtimes ignore the
// field, and old engines send it.
func kernelMemory(m *specs.LinuxMemory) []setting {
	n := value(m.Kernel)
	if n == 0 {
		return nil
	}
	return []setting{{
		field: "memory.kernel", value: strconv.FormatInt(n, 10),
		skip: "kernel memory has no limit of its own any more; memory.limit counts it",
	}}
}

// memoryV1 limits memory on v1.
func memoryV1(r *specs.LinuxResources, now now) (settings []setting, err error) {
	m := r.Memory
	if m == nil {
		return nil, nil
	}
	limit, swap, soft := value(m.Limit), value(m.Swap), value(m.Reservation)
	if err := checkMemory(limit, swap, soft); err != nil {
		return nil, err
	}
	if m.UseHierarchy != nil { // first: it can only be changed while there are no groups below
		on := flag(*m.UseHierarchy)
		settings = append(settings, setting{field: "memory.useHierarchy", file: "memory.use_hierarchy", value: on})
	}
	settings = append(settings, kernelMemory(m)...)
	settings = append(settings, limitsV1(limit, swap, now)...)
	if soft != 0 {
		settings = append(settings, sized("memory.reservation", "memory.soft_limit_in_bytes", soft, "-1"))
	}
	if tcp := value(m.KernelTCP); tcp != 0 {
		settings = append(settings, sized("memory.kernelTCP", "memory.kmem.tcp.limit_in_bytes", tcp, "-1"))
	}
	if m.Swappiness != nil {
		settings = append(settings, setting{
			field: "memory.swappiness", file: "memory.swappiness", value: strconv.FormatUint(*m.Swappiness, 10),
		})
	}
	if off := m.DisableOOMKiller; off != nil && (*off || now("memory.oom_control") != "") {
		settings = append(settings, setting{
			field: "memory.disableOOMKiller", file: "memory.oom_control", value: flag(*off),
			same: hasLine("oom_kill_disable", flag(*off)),
		})
	}
	return settings, nil
}

// limitsV1 puts the limit of memory and that of memory and swap in an order in which the first never exceeds
// the second.
func limitsV1(limit, swap int64, now now) []setting {
	memory := sized("memory.limit", "memory.limit_in_bytes", limit, "-1")
	both := setting{
		field: "memory.swap", file: "memory.memsw.limit_in_bytes", value: number(swap, "-1"), same: pages(swap),
		needs: swapAccounting, spare: spareSwap(swap - limit),
	}
	if swap == -1 {
		both.spare = spareSwap(-1)
	}
	if limit == -1 && swap == 0 { // "no limit" would not be true with one for swap
		both.value, both.same, both.spare, swap = "-1", pages(-1), spareSwap(-1), -1
	}
	before, err := strconv.ParseInt(now(both.file), 10, 64)
	rises := err == nil && (limit == -1 || limit > before)
	switch {
	case limit == 0 && swap == 0:
		return nil
	case limit == 0:
		return []setting{both}
	case swap == 0:
		return []setting{memory}
	case rises:
		return []setting{both, memory}
	}
	return []setting{memory, both}
}

// sized is the setting of a size; none is the file's word for no limit.
func sized(field, file string, n int64, none string) setting {
	return setting{field: field, file: file, value: number(n, none), same: pages(n)}
}

// pages accepts what the kernel makes of a number of bytes: it rounds down to whole pages, and has the words
// max (v2) and 9223372036854771712 (v1) for no limit.
func pages(want int64) func(got string) bool {
	page := int64(os.Getpagesize())
	return func(got string) bool {
		if got == "max" {
			return want == -1 || want/page == math.MaxInt64/page
		}
		n, err := strconv.ParseInt(got, 10, 64)
		if want == -1 {
			return err == nil && n >= math.MaxInt64-page
		}
		return err == nil && n == want/page*page
	}
}

// spareSwap says whether a limit of swap can go unset on a kernel that has none: if it is no limit, or if
// there is no swap.
func spareSwap(only int64) func() string {
	return func() string {
		if only == -1 {
			return "this kernel has no limit of swap anyway"
		}
		// Filename  Type  Size  Used  Priority, and a line for each
		swaps, err := kernel.ReadFile("/proc/swaps")
		if err != nil || strings.Count(swaps, "\n") == 0 {
			return "this kernel has no limit of swap, and the machine no swap"
		}
		return ""
	}
}

// value is a number, or 0 where there is none.
func value[T int64 | uint64](n *T) T {
	if n == nil {
		return 0
	}
	return *n
}

// flag is a yes or no as v1 writes it.
func flag(on bool) string {
	if on {
		return "1"
	}
	return "0"
}

// Memory is what events --stats says of it, in bytes.
type Memory struct {
	Cache     uint64            `json:"cache,omitempty"`
	Usage     MemoryEntry       `json:"usage,omitzero"`
	Swap      MemoryEntry       `json:"swap,omitzero"` // memory and swap together, on v2 too
	Kernel    MemoryEntry       `json:"kernel,omitzero"`
	KernelTCP MemoryEntry       `json:"kernelTCP,omitzero"`
	Raw       map[string]uint64 `json:"raw,omitempty"` // memory.stat
	PSI       *PSI              `json:"psi,omitempty"`
}

// A MemoryEntry is one use of memory and its limit; no limit is the largest number.
type MemoryEntry struct {
	Limit   uint64 `json:"limit"`
	Usage   uint64 `json:"usage,omitempty"`
	Max     uint64 `json:"max,omitempty"` // the most there has been
	Failcnt uint64 `json:"failcnt"`       // how often the limit was met
}

func (m *Memory) readV2(f *Files) {
	m.Raw = f.table("memory.stat")
	m.Cache = m.Raw["file"]
	m.Kernel.Usage = m.Raw["kernel"]
	m.Usage = MemoryEntry{
		Usage: f.number("memory.current"), Limit: f.number("memory.max"), Max: f.number("memory.peak"),
		Failcnt: f.table("memory.events")["max"],
	}
	m.Swap = MemoryEntry{
		Usage: f.number("memory.swap.current"), Limit: f.number("memory.swap.max"), Max: f.number("memory.swap.peak"),
		Failcnt: f.table("memory.swap.events")["max"],
	}
	m.Swap.Usage += m.Usage.Usage
	m.Swap.Limit = add(m.Swap.Limit, m.Usage.Limit)
}

func (m *Memory) readV1(f *Files) {
	m.Raw = f.table("memory.stat")
	m.Cache = m.Raw["cache"]
	for name, entry := range map[string]*MemoryEntry{
		"memory": &m.Usage, "memory.memsw": &m.Swap, "memory.kmem": &m.Kernel, "memory.kmem.tcp": &m.KernelTCP,
	} {
		*entry = MemoryEntry{
			Usage: f.number(name + ".usage_in_bytes"), Limit: f.number(name + ".limit_in_bytes"),
			Max: f.number(name + ".max_usage_in_bytes"), Failcnt: f.number(name + ".failcnt"),
		}
	}
}

// add adds limits, of which the largest number is none.
func add(a, b uint64) uint64 {
	if a > noLimit-b {
		return noLimit
	}
	return a + b
}
