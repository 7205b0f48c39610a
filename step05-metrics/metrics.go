//go:build linux

package main

import (
	"bufio"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// sample is what the kernel has counted for a container up to one moment. What it does not tell, because
// there is no limit or no such file, is absent.
type sample struct {
	CPU struct {
		Usage, User, System                   float64 // seconds
		Periods, ThrottledPeriods             float64
		Throttled                             float64 // seconds
		QuotaMicroseconds, PeriodMicroseconds float64
	}
	Memory struct {
		Usage, Limit float64 // bytes
		Events       map[string]float64
	}
	PIDs struct{ Current, Limit float64 }
	IO   map[string]transfer // by device, "8:0"
	Net  map[string]transfer // by interface, "eth0"
}

// transfer counts what went in (read, received) and out (written, sent).
type transfer struct {
	InBytes, OutBytes     float64
	InUnits, OutUnits     float64 // operations, packets
	InErrors, OutErrors   float64 // network only
	InDropped, OutDropped float64
}

var absent = math.NaN()

// read takes a sample. A cgroup may end while it is read; then what was not read yet is absent.
func (g *cgroup) read() sample {
	var s sample
	if dir, ok := g.v1["cpu"]; ok {
		readCPUv1(dir, g.v1["cpuacct"], &s)
	} else {
		readCPU(g.dir.Name(), &s)
	}
	if dir, ok := g.v1["memory"]; ok {
		readMemoryV1(dir, &s)
	} else {
		readMemory(g.dir.Name(), &s)
	}
	if dir, ok := g.v1["pids"]; ok {
		readPIDs(dir, &s) // the same files as in v2
	} else {
		readPIDs(g.dir.Name(), &s)
	}
	if dir, ok := g.v1["blkio"]; ok {
		readBlkio(dir, &s)
	} else {
		readIO(g.dir.Name(), &s)
	}
	g.readNet(&s)
	return s
}

// readCPU reads cpu.stat, in microseconds, and cpu.max.
func readCPU(dir string, s *sample) {
	stat, _ := keyed(filepath.Join(dir, "cpu.stat"))
	s.CPU.Usage = scaled(stat, "usage_usec", 1e-6)
	s.CPU.User = scaled(stat, "user_usec", 1e-6)
	s.CPU.System = scaled(stat, "system_usec", 1e-6)
	s.CPU.Periods = scaled(stat, "nr_periods", 1)
	s.CPU.ThrottledPeriods = scaled(stat, "nr_throttled", 1)
	s.CPU.Throttled = scaled(stat, "throttled_usec", 1e-6)

	quota, period, _ := strings.Cut(text(filepath.Join(dir, "cpu.max")), " ") // "50000 100000"
	s.CPU.QuotaMicroseconds, s.CPU.PeriodMicroseconds = number(quota), number(period)
}

func readMemory(dir string, s *sample) {
	s.Memory.Usage = number(text(filepath.Join(dir, "memory.current")))
	s.Memory.Limit = number(text(filepath.Join(dir, "memory.max")))
	events, _ := keyed(filepath.Join(dir, "memory.events"))
	s.Memory.Events = map[string]float64{}
	for name, count := range events {
		s.Memory.Events[name] = float64(count)
	}
}

func readPIDs(dir string, s *sample) {
	s.PIDs.Current = number(text(filepath.Join(dir, "pids.current")))
	s.PIDs.Limit = number(text(filepath.Join(dir, "pids.max")))
}

// readIO reads io.stat: 8:0 rbytes=90112 wbytes=4096 rios=3 wios=1 dbytes=0 dios=0
func readIO(dir string, s *sample) {
	s.IO = map[string]transfer{}
	for line := range strings.Lines(text(filepath.Join(dir, "io.stat"))) {
		words := strings.Fields(line)
		var t transfer
		fields := map[string]*float64{"rbytes": &t.InBytes, "wbytes": &t.OutBytes, "rios": &t.InUnits, "wios": &t.OutUnits}
		for _, word := range words[1:] {
			key, value, _ := strings.Cut(word, "=")
			if field, ok := fields[key]; ok {
				*field = number(value)
			}
		}
		s.IO[words[0]] = t
	}
}

// readNet reads /proc/PID/net/dev: a network namespace is seen through any process in it.
//
//	eth0:    1234      10    0    0    0     0          0         0     2468      20    0    0 ...
func (g *cgroup) readNet(s *sample) {
	s.Net = map[string]transfer{}
	file, err := os.Open("/proc/" + g.firstProcess() + "/net/dev")
	if err != nil {
		return
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		name, counts, ok := strings.Cut(lines.Text(), ":")
		n := strings.Fields(counts)
		if !ok || len(n) < 12 {
			continue // the headings
		}
		s.Net[strings.TrimSpace(name)] = transfer{
			InBytes: number(n[0]), InUnits: number(n[1]), InErrors: number(n[2]), InDropped: number(n[3]),
			OutBytes: number(n[8]), OutUnits: number(n[9]), OutErrors: number(n[10]), OutDropped: number(n[11]),
		}
	}
}

// firstProcess returns the host's number of some process of the container, or "".
func (g *cgroup) firstProcess() string {
	first, _, _ := strings.Cut(text(filepath.Join(g.dir.Name(), "cgroup.procs")), "\n")
	return first
}

// text returns what is in a file, "" if there is none.
func text(file string) string {
	b, _ := os.ReadFile(file) // absent is an answer
	return strings.TrimSpace(string(b))
}

// number is absent for "max", the kernel's word for no limit.
func number(text string) float64 {
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return absent
	}
	return n
}

func scaled(stat map[string]uint64, key string, unit float64) float64 {
	n, ok := stat[key]
	if !ok {
		return absent
	}
	return float64(n) * unit
}

// openCgroup finds the cgroup of a container that somebody else runs.
func openCgroup(id string) (*cgroup, error) {
	root, err := findMount("cgroup2", "")
	if err != nil {
		return nil, err
	}
	name := "simple-container-" + id
	g := &cgroup{v1: map[string]string{}}
	for _, controller := range slices.Concat(controllers, counters) {
		here, err := listed(filepath.Join(root, "cgroup.controllers"), controller)
		if here || err != nil {
			continue
		}
		if mount, err := findMount("cgroup", controller); err == nil && mount != "" {
			g.v1[controller] = filepath.Join(mount, name)
		}
	}
	g.dir, err = os.Open(filepath.Join(root, name))
	return g, err
}
