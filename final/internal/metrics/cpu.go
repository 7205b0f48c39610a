//go:build linux

package metrics

import (
	"bytes"
	"strconv"

	"github.com/simple-container/simple-container/final/internal/cgroup"
)

const (
	micro = 1e6 // of a second; to divide by them gives the nearest number
	nano  = 1e9
	tick  = 100 // USER_HZ, the unit of cpuacct.stat, is the same for every program (times(2))
)

func (c *CPU) read(g *cgroup.Group, keep *cgroup.Keeper) {
	files := g.Files("cpu", keep)
	if files == nil || files.Version == 2 {
		c.readV2(files)
	} else {
		c.readV1(files)
	}
	if acct := g.Files("cpuacct", keep); acct != nil && acct.Version == 1 {
		c.readCpuacct(acct)
	} else if files == nil || files.Version == 1 {
		c.readUsage(g.Files("", keep)) // a cgroup2 tree without controllers measures it all the same
	}
}

func (c *CPU) readV2(f *cgroup.Files) {
	c.readUsage(f)
	// 50000 100000
	if text, ok := f.Read("cpu.max"); ok {
		quota, period, _ := bytes.Cut(bytes.TrimSpace(text), []byte(" "))
		c.Period, _ = strconv.ParseUint(string(period), 10, 64)
		if n, err := strconv.ParseUint(string(quota), 10, 64); err == nil { // not max
			c.Quota = &n
		}
	}
	c.Weight, _ = f.Number("cpu.weight")
}

// readUsage reads cpu.stat of v2, which is in microseconds.
func (c *CPU) readUsage(f *cgroup.Files) {
	f.Keyed("cpu.stat", func(key []byte, n uint64) {
		switch string(key) {
		case "usage_usec":
			c.Usage = float64(n) / micro
		case "user_usec":
			c.User = float64(n) / micro
		case "system_usec":
			c.System = float64(n) / micro
		case "nr_periods":
			c.Periods = n
		case "nr_throttled":
			c.ThrottledPeriods = n
		case "throttled_usec":
			c.Throttled = float64(n) / micro
		case "nr_bursts":
			c.Bursts = n
		case "burst_usec":
			c.Burst = float64(n) / micro
		}
	})
}

// readV1 reads cpu.stat of v1, which is in nanoseconds.
func (c *CPU) readV1(f *cgroup.Files) {
	f.Keyed("cpu.stat", func(key []byte, n uint64) {
		switch string(key) {
		case "nr_periods":
			c.Periods = n
		case "nr_throttled":
			c.ThrottledPeriods = n
		case "throttled_time":
			c.Throttled = float64(n) / nano
		case "nr_bursts":
			c.Bursts = n
		case "burst_time":
			c.Burst = float64(n) / nano
		}
	})
	if text, ok := f.Read("cpu.cfs_quota_us"); ok { // -1 is no limit
		if n, err := strconv.ParseUint(string(bytes.TrimSpace(text)), 10, 64); err == nil {
			c.Quota = &n
		}
	}
	c.Period, _ = f.Number("cpu.cfs_period_us")
	c.Shares, _ = f.Number("cpu.shares")
}

func (c *CPU) readCpuacct(f *cgroup.Files) {
	n, _ := f.Number("cpuacct.usage")
	c.Usage = float64(n) / nano
	f.Keyed("cpuacct.stat", func(key []byte, n uint64) {
		switch string(key) {
		case "user":
			c.User = float64(n) / tick
		case "system":
			c.System = float64(n) / tick
		}
	})
}
