//go:build linux

package main

import (
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
)

// limits are what the container may use. Zero is no limit.
type limits struct {
	Memory byteSize
	CPUs   cpus
	PIDs   pids
}

// defaultLimits are small, so that one can see them work.
var defaultLimits = limits{Memory: 64 << 20, CPUs: 0.5, PIDs: 32}

type (
	byteSize uint64
	cpus     float64
	pids     uint
)

func (b byteSize) String() string { return strconv.FormatUint(uint64(b), 10) }
func (c cpus) String() string     { return strconv.FormatFloat(float64(c), 'g', -1, 64) }
func (p pids) String() string     { return strconv.FormatUint(uint64(p), 10) }

// Set reads a number of bytes with an optional unit: 1048576, 1024k, 1m. The kernel counts in pages.
func (b *byteSize) Set(text string) error {
	number, unit := strings.TrimRight(strings.ToLower(text), "b"), uint64(1)
	if i := strings.IndexAny(number, "kmgt"); i >= 0 && i == len(number)-1 {
		unit = 1 << (10 * (1 + strings.IndexByte("kmgt", number[i])))
		number = number[:i]
	}
	n, err := strconv.ParseUint(number, 10, 64)
	if err != nil || n > math.MaxInt64/unit {
		return errors.New("want bytes, or a number with k, m, g or t, below 8388608t")
	}
	page := uint64(os.Getpagesize())
	if *b = byteSize(n * unit / page * page); *b == 0 && n > 0 {
		return fmt.Errorf("less than a page of %d bytes", page)
	}
	return nil
}

// Set reads a number of processors. The kernel's smallest share is a millisecond in a hundred.
func (c *cpus) Set(text string) error {
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || !(n == 0 || n >= 0.01 && n <= 10000) {
		return errors.New("want a number of processors, 0.01 to 10000")
	}
	*c = cpus(n)
	return nil
}

// leastPIDs is what process 1 needs for itself, and a few for the command.
const leastPIDs = 16

func (p *pids) Set(text string) error {
	n, err := strconv.ParseUint(text, 10, 22) // the kernel's PID_MAX_LIMIT is 2^22
	if err != nil {
		return errors.New("want a number of processes, at most 4194303")
	}
	if n > 0 && n < leastPIDs {
		return fmt.Errorf("want at least %d: process 1 is a Go program, with threads of its own", leastPIDs)
	}
	*p = pids(n)
	return nil
}

// A setting is a value for one of a cgroup's files.
type setting struct {
	controller, file, value string
	optional                bool // the file is not in every kernel, and nothing is lost without it
}

// period is the stretch of time over which the kernel doles out quotas, in microseconds. Its default.
const period = 100_000

// quota is the time in a period, to the nearest microsecond: 0.58 has no exact form as a float64.
func (c cpus) quota() int { return int(math.Round(float64(c) * period)) }

// settings are the limits in the words of cgroup v2 (the kernel's admin-guide/cgroup-v2.rst).
func (l limits) settings() []setting {
	var s []setting
	if l.Memory > 0 {
		s = append(s,
			setting{controller: "memory", file: "memory.max", value: l.Memory.String()},
			// Else the kernel moves memory to swap instead, and nothing is held. (No file: no swap.)
			setting{controller: "memory", file: "memory.swap.max", value: "0", optional: true},
			// Else one process is killed, and half a container goes on.
			setting{controller: "memory", file: "memory.oom.group", value: "1"})
	}
	if l.CPUs > 0 {
		s = append(s, setting{controller: "cpu", file: "cpu.max", value: fmt.Sprintf("%d %d", l.CPUs.quota(), period)})
	}
	if l.PIDs > 0 {
		s = append(s, setting{controller: "pids", file: "pids.max", value: l.PIDs.String()})
	}
	return s
}
