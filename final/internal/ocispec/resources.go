//go:build linux

package ocispec

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"

	"github.com/docker/go-units"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// Resources are the limits of a container as a whole. Zero is none.
type Resources struct {
	Memory      int64 // bytes
	MemorySwap  int64 // bytes of memory and swap together; -1 is no limit; 0 is twice Memory
	Reservation int64 // bytes that it keeps when memory is short
	Swappiness  *uint64
	NoOOMKill   bool // who runs out of memory waits instead (cgroup v1)

	NanoCPUs   int64 // billionths of a processor
	CPUShares  uint64
	CPUPeriod  uint64 // microseconds
	CPUQuota   int64
	CpusetCPUs string // 0-2,5
	CpusetMems string

	Pids        int64 // processes and threads; -1 is no limit
	BlkioWeight uint16
}

// ParseMemory reads an amount of memory, as 64m or 1.5g, for the flag.
func ParseMemory(flag, text string) (int64, error) {
	size, err := units.RAMInBytes(text)
	if err != nil || size < 0 {
		return 0, refuse(flag, text, "want an amount of memory, as 64m or 1.5g")
	}
	return size, nil
}

// ParseMemorySwap reads --memory-swap, for which -1 is no limit.
func ParseMemorySwap(text string) (int64, error) {
	if text == "-1" {
		return -1, nil
	}
	size, err := ParseMemory("memory-swap", text)
	if err != nil {
		return 0, refuse("memory-swap", text, "want an amount of memory and swap together, as 1g, or -1 for no limit")
	}
	return size, nil
}

// ParseCPUs reads --cpus, a number of processors, as billionths of one.
func ParseCPUs(text string) (int64, error) {
	// No exponent: that of 1e999999999 would keep us busy.
	cpus, ok := new(big.Rat), strings.Trim(text, "0123456789.") == ""
	if ok {
		_, ok = cpus.SetString(text)
	}
	if !ok {
		return 0, refuse("cpus", text, "want a number of processors, as 1.5")
	}
	nano := cpus.Mul(cpus, big.NewRat(1e9, 1))
	if !nano.IsInt() || !nano.Num().IsInt64() {
		return 0, refuse("cpus", text, "want at most nine digits after the point")
	}
	return nano.Num().Int64(), nil
}

// leastMemory is what a container's processes need to begin at all.
const leastMemory = 6 << 20

// Spec returns the limits as config.json has them, without those that are not set. cpus is how many processors the
// host has; 0 is not known.
func (r Resources) Spec(cpus int) (*specs.LinuxResources, error) {
	s := &specs.LinuxResources{}
	for _, part := range []func(*specs.LinuxResources) error{r.memory, func(s *specs.LinuxResources) error {
		return r.cpu(s, cpus)
	}, r.others} {
		if err := part(s); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// memory follows Docker: a limit of memory alone allows as much swap again.
func (r Resources) memory(s *specs.LinuxResources) error {
	swap := r.MemorySwap
	amount := func(flag string, size int64, want string) error {
		return refuse(flag, units.BytesSize(float64(size)), want)
	}
	switch {
	case r.Memory < 0 || r.Memory > 0 && r.Memory < leastMemory:
		return amount("memory", r.Memory, "a container needs 6m at least")
	case swap > 0 && r.Memory == 0:
		return amount("memory-swap", swap, "is for memory and swap together, so --memory must be set too")
	case swap > 0 && swap < r.Memory:
		return amount("memory-swap", swap, "is for memory and swap together: want no less than --memory")
	case r.Reservation > 0 && r.Reservation < leastMemory:
		return amount("memory-reservation", r.Reservation, "a container needs 6m at least")
	case r.Reservation > 0 && r.Memory > 0 && r.Reservation > r.Memory:
		return amount("memory-reservation", r.Reservation, "want no more than --memory")
	case r.Swappiness != nil && *r.Swappiness > 100:
		return refuse("memory-swappiness", fmt.Sprint(*r.Swappiness), "want 0 to 100")
	case swap == 0 && r.Memory > math.MaxInt64/2:
		swap = -1
	case swap == 0:
		swap = 2 * r.Memory
	}
	memory := specs.LinuxMemory{
		Limit: set(r.Memory), Swap: set(swap), Reservation: set(r.Reservation), Swappiness: r.Swappiness,
		DisableOOMKiller: set(r.NoOOMKill),
	}
	if memory != (specs.LinuxMemory{}) {
		s.Memory = &memory
	}
	return nil
}

func (r Resources) cpu(s *specs.LinuxResources, cpus int) error {
	period, quota := r.CPUPeriod, r.CPUQuota
	switch {
	case r.NanoCPUs != 0 && (period != 0 || quota != 0):
		return errors.New("--cpus: not together with --cpu-period or --cpu-quota, which it stands for")
	case r.NanoCPUs < 0 || r.NanoCPUs > 0 && r.NanoCPUs < 1e7:
		return refuse("cpus", strconv.FormatFloat(float64(r.NanoCPUs)/1e9, 'f', -1, 64), "want 0.01 at least")
	case cpus > 0 && r.NanoCPUs > int64(cpus)*1e9:
		return refuse("cpus", strconv.FormatFloat(float64(r.NanoCPUs)/1e9, 'f', -1, 64),
			fmt.Sprintf("want 0.01 to %d.00, as there are %d processors", cpus, cpus))
	case period != 0 && (period < 1000 || period > 1000000):
		return refuse("cpu-period", fmt.Sprint(period), "want 1000 to 1000000 microseconds")
	case quota != 0 && quota < 1000 && quota != -1:
		return refuse("cpu-quota", fmt.Sprint(quota), "want 1000 microseconds at least")
	case r.NanoCPUs != 0:
		period = 100000
		quota = r.NanoCPUs / 10000
	}
	for _, list := range []struct{ flag, value string }{
		{"cpuset-cpus", r.CpusetCPUs}, {"cpuset-mems", r.CpusetMems},
	} {
		if list.value != "" && !isList(list.value) {
			return refuse(list.flag, list.value, "want numbers and ranges, as 0-2,5")
		}
	}
	cpu := specs.LinuxCPU{
		Shares: set(r.CPUShares), Period: set(period), Quota: set(quota), Cpus: r.CpusetCPUs, Mems: r.CpusetMems,
	}
	if cpu != (specs.LinuxCPU{}) {
		s.CPU = &cpu
	}
	return nil
}

func (r Resources) others(s *specs.LinuxResources) error {
	if r.Pids < -1 {
		return refuse("pids-limit", fmt.Sprint(r.Pids), "want a number of processes, or -1 for no limit")
	}
	if r.Pids != 0 {
		s.Pids = &specs.LinuxPids{Limit: &r.Pids}
	}
	if r.BlkioWeight != 0 {
		if r.BlkioWeight < 10 || r.BlkioWeight > 1000 {
			return refuse("blkio-weight", fmt.Sprint(r.BlkioWeight), "want 10 to 1000")
		}
		s.BlockIO = &specs.LinuxBlockIO{Weight: &r.BlkioWeight}
	}
	return nil
}

// set is where a value is, or nil for the zero value, which config.json leaves out.
func set[T comparable](value T) *T {
	if value == *new(T) {
		return nil
	}
	return &value
}

// isList tells whether a text is a list of numbers as cpuset(7) has it: 0-2,5.
func isList(text string) bool {
	for part := range strings.SplitSeq(text, ",") {
		from, to, isRange := strings.Cut(part, "-")
		if !isRange {
			to = from
		}
		first, err1 := strconv.ParseUint(from, 10, 16)
		last, err2 := strconv.ParseUint(to, 10, 16)
		if err1 != nil || err2 != nil || first > last {
			return false
		}
	}
	return true
}

// resources are the container's: limits, and devices.
func (m *maker) resources() (err error) {
	m.spec.Linux.Resources, err = m.o.Resources.Spec(m.h.CPUs)
	if err != nil {
		return err
	}
	m.spec.Linux.Resources.Devices = m.deviceRules()
	m.spec.Linux.CgroupsPath = m.c.CgroupPath
	return nil
}
