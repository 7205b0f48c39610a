//go:build linux

package main

import (
	"path/filepath"
	"strings"
)

// The same figures from the files of cgroup v1.

// userHZ is the unit of the times that Linux tells programs in "ticks": 1/100 s on every architecture.
const userHZ = 100

// readCPUv1 reads cpu.stat of the cpu controller, whose throttled_time is in nanoseconds, and the cpuacct
// controller's cpuacct.usage, in nanoseconds, and cpuacct.stat, in ticks.
func readCPUv1(cpu, cpuacct string, s *sample) {
	stat, _ := keyed(filepath.Join(cpu, "cpu.stat"))
	s.CPU.Periods = scaled(stat, "nr_periods", 1)
	s.CPU.ThrottledPeriods = scaled(stat, "nr_throttled", 1)
	s.CPU.Throttled = scaled(stat, "throttled_time", 1e-9)
	s.CPU.PeriodMicroseconds = number(text(filepath.Join(cpu, "cpu.cfs_period_us")))
	if s.CPU.QuotaMicroseconds = number(text(filepath.Join(cpu, "cpu.cfs_quota_us"))); s.CPU.QuotaMicroseconds < 0 {
		s.CPU.QuotaMicroseconds = absent // -1 is no limit
	}

	s.CPU.Usage = number(text(filepath.Join(cpuacct, "cpuacct.usage"))) * 1e-9
	ticks, _ := keyed(filepath.Join(cpuacct, "cpuacct.stat"))
	s.CPU.User = scaled(ticks, "user", 1.0/userHZ)
	s.CPU.System = scaled(ticks, "system", 1.0/userHZ)
}

func readMemoryV1(dir string, s *sample) {
	s.Memory.Usage = number(text(filepath.Join(dir, "memory.usage_in_bytes")))
	const unlimited = 1 << 60 // v1 has no word for it: it tells the largest number of whole pages
	if s.Memory.Limit = number(text(filepath.Join(dir, "memory.limit_in_bytes"))); s.Memory.Limit > unlimited {
		s.Memory.Limit = absent
	}
	control, _ := keyed(filepath.Join(dir, "memory.oom_control"))
	s.Memory.Events = map[string]float64{
		"max":      number(text(filepath.Join(dir, "memory.failcnt"))),
		"oom_kill": scaled(control, "oom_kill", 1),
	}
}

// readBlkio reads the block devices' counts, in lines such as: 8:0 Read 90112
func readBlkio(dir string, s *sample) {
	s.IO = map[string]transfer{}
	read := func(file string, set func(t *transfer, direction string, n float64)) {
		for line := range strings.Lines(text(filepath.Join(dir, file))) {
			if words := strings.Fields(line); len(words) == 3 { // not the total
				t := s.IO[words[0]]
				set(&t, words[1], number(words[2]))
				s.IO[words[0]] = t
			}
		}
	}
	read("blkio.throttle.io_service_bytes", func(t *transfer, direction string, n float64) {
		switch direction {
		case "Read":
			t.InBytes = n
		case "Write":
			t.OutBytes = n
		}
	})
	read("blkio.throttle.io_serviced", func(t *transfer, direction string, n float64) {
		switch direction {
		case "Read":
			t.InUnits = n
		case "Write":
			t.OutUnits = n
		}
	})
}
