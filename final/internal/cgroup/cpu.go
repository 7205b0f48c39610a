//go:build linux

package cgroup

import (
	"math"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// cpuV2 shares out processor time on cgroup2.
//
//	linux.resources.cpu    v2
//	shares                 cpu.weight, by weightOfShares
//	quota, period          cpu.max "QUOTA PERIOD", in microseconds
//	burst                  cpu.max.burst
//	idle                   cpu.idle
func cpuV2(r *specs.LinuxResources, now now) (settings []setting, err error) {
	c := r.CPU
	if c == nil {
		return nil, nil
	}
	if value(c.RealtimePeriod) != 0 {
		return nil, refuse("cpu.realtimePeriod", *c.RealtimePeriod, "cgroup v2 does not share out realtime")
	}
	if value(c.RealtimeRuntime) != 0 {
		return nil, refuse("cpu.realtimeRuntime", *c.RealtimeRuntime, "cgroup v2 does not share out realtime")
	}
	weight := []setting(nil)
	if shares := value(c.Shares); shares != 0 {
		n := strconv.FormatUint(weightOfShares(shares), 10)
		weight = []setting{{field: "cpu.shares", file: "cpu.weight", value: n}}
	}
	settings = append(settings, idle(c, weight)...)
	quota, period := value(c.Quota), value(c.Period)
	if err := checkQuota(quota); err != nil {
		return nil, err
	}
	if quota == 0 && period == 0 {
		return append(settings, burst(c, "cpu.max.burst", nil, now)...), nil
	}
	before := strings.Fields(now("cpu.max")) // 50000 100000
	text, field := number(quota, "max"), "cpu.quota"
	if quota == 0 {
		text, field = "max", "cpu.period"
		if len(before) == 2 {
			text = before[0]
		}
	}
	if period != 0 {
		text += " " + strconv.FormatUint(period, 10)
	}
	same := func(got string) bool { return got == text || period == 0 && strings.HasPrefix(got, text+" ") }
	max := []setting{{field: field, file: "cpu.max", value: text, same: same}}
	return append(settings, burst(c, "cpu.max.burst", max, now)...), nil
}

// weightOfShares turns the shares of v1 (2 to 262144, 1024 by default) into a weight of v2 (1 to 10000, 100 by
// default). Both ends and the defaults meet: the exponent of ten is a parabola through the three, over the
// exponent of two. It is the formula that today's runtimes agree on; an older one, a straight line, made 39 of
// the default.
func weightOfShares(shares uint64) uint64 {
	switch {
	case shares <= 2:
		return 1
	case shares >= 1<<18:
		return 10000
	}
	l := math.Log2(float64(shares))
	return uint64(math.Ceil(math.Pow(10, (l*l+125*l)/612-7.0/34)))
}

// idle makes a group one that runs only when nobody else wants to. The kernel refuses a weight for a group
// that is idle, so the weight is set while it is not.
func idle(c *specs.LinuxCPU, weight []setting) []setting {
	if c.Idle == nil {
		return weight
	}
	s := setting{field: "cpu.idle", file: "cpu.idle", value: strconv.FormatInt(*c.Idle, 10), needs: "Linux 5.15"}
	if *c.Idle == 0 {
		return append([]setting{s}, weight...)
	}
	return append(weight, s)
}

// burst lets a group save up unused quota. It may never exceed the quota, so the order depends on the way it
// goes.
func burst(c *specs.LinuxCPU, file string, quota []setting, now now) []setting {
	if c.Burst == nil {
		return quota
	}
	s := setting{field: "cpu.burst", file: file, value: strconv.FormatUint(*c.Burst, 10), needs: "Linux 5.14"}
	before, _ := strconv.ParseUint(now(file), 10, 64)
	if *c.Burst < before {
		return append([]setting{s}, quota...)
	}
	return append(quota, s)
}

func checkQuota(quota int64) error {
	if quota < -1 {
		return refuse("cpu.quota", quota, "want microseconds, or -1 for no limit")
	}
	return nil
}

// cpuV1 shares out processor time on v1.
func cpuV1(r *specs.LinuxResources, now now) (settings []setting, err error) {
	c := r.CPU
	if c == nil {
		return nil, nil
	}
	if err := checkQuota(value(c.Quota)); err != nil {
		return nil, err
	}
	shares := []setting(nil)
	if n := value(c.Shares); n != 0 {
		shares = []setting{{field: "cpu.shares", file: "cpu.shares", value: strconv.FormatUint(n, 10)}}
	}
	settings = append(settings, idle(c, shares)...)
	settings = append(settings, burst(c, "cpu.cfs_burst_us", quotaV1(c, now), now)...)
	const realtime = "CONFIG_RT_GROUP_SCHED"
	if n := value(c.RealtimePeriod); n != 0 {
		settings = append(settings, setting{
			field: "cpu.realtimePeriod", file: "cpu.rt_period_us", value: strconv.FormatUint(n, 10), needs: realtime,
		})
	}
	if n := value(c.RealtimeRuntime); n != 0 {
		settings = append(settings, setting{
			field: "cpu.realtimeRuntime", file: "cpu.rt_runtime_us", value: strconv.FormatInt(n, 10), needs: realtime,
		})
	}
	return settings, nil
}

// quotaV1 sets two files where v2 has one. In between, the share must not exceed what the parent allows: a
// period that grows goes first, one that shrinks goes last.
func quotaV1(c *specs.LinuxCPU, now now) (settings []setting) {
	if quota := value(c.Quota); quota != 0 {
		text := strconv.FormatInt(quota, 10)
		settings = append(settings, setting{field: "cpu.quota", file: "cpu.cfs_quota_us", value: text})
	}
	period := value(c.Period)
	if period == 0 {
		return settings
	}
	s := setting{field: "cpu.period", file: "cpu.cfs_period_us", value: strconv.FormatUint(period, 10)}
	before, err := strconv.ParseUint(now(s.file), 10, 64)
	if err == nil && period < before {
		return append(settings, s)
	}
	return append([]setting{s}, settings...)
}

// CPU is what events --stats says of it, in nanoseconds.
type CPU struct {
	Usage      CPUUsage   `json:"usage,omitzero"`
	Throttling Throttling `json:"throttling,omitzero"`
	PSI        *PSI       `json:"psi,omitempty"`
}

// CPUUsage is the time that was used.
type CPUUsage struct {
	Total        uint64   `json:"total,omitempty"`
	Percpu       []uint64 `json:"percpu,omitempty"` // v1 only, like the next two
	PercpuKernel []uint64 `json:"percpu_kernel,omitempty"`
	PercpuUser   []uint64 `json:"percpu_user,omitempty"`
	Kernel       uint64   `json:"kernel"`
	User         uint64   `json:"user"`
}

// Throttling is how often the quota was used up.
type Throttling struct {
	Periods          uint64 `json:"periods,omitempty"`
	ThrottledPeriods uint64 `json:"throttledPeriods,omitempty"`
	ThrottledTime    uint64 `json:"throttledTime,omitempty"`
}

// readV2 reads cpu.stat, which every v2 group has, with or without the controller. It is in microseconds.
func (c *CPU) readV2(f *Files) {
	stat := f.table("cpu.stat")
	c.Usage.Total = stat["usage_usec"] * 1000
	c.Usage.User = stat["user_usec"] * 1000
	c.Usage.Kernel = stat["system_usec"] * 1000
	c.Throttling = Throttling{stat["nr_periods"], stat["nr_throttled"], stat["throttled_usec"] * 1000}
}

func (c *CPU) readV1(f *Files) {
	stat := f.table("cpu.stat")
	c.Throttling = Throttling{stat["nr_periods"], stat["nr_throttled"], stat["throttled_time"]}
}

// tick is USER_HZ, the unit of cpuacct.stat: a hundredth of a second for every program, whatever the kernel's
// own clock is (times(2)).
const tick = 10_000_000

func (c *CPU) readCpuacct(f *Files) {
	c.Usage.Total = f.number("cpuacct.usage")
	stat := f.table("cpuacct.stat")
	c.Usage.User, c.Usage.Kernel = stat["user"]*tick, stat["system"]*tick
	c.Usage.Percpu = f.numbers("cpuacct.usage_percpu")
	// cpu user system
	// 0 812 1034
	for i, line := range strings.Split(f.text("cpuacct.usage_all"), "\n") {
		fields := strings.Fields(line)
		if i == 0 || len(fields) != 3 {
			continue
		}
		c.Usage.PercpuUser = append(c.Usage.PercpuUser, f.parse("cpuacct.usage_all", fields[1]))
		c.Usage.PercpuKernel = append(c.Usage.PercpuKernel, f.parse("cpuacct.usage_all", fields[2]))
	}
}
