//go:build linux && !engine

package main

import (
	"fmt"
	goruntime "runtime"
	"strconv"
	"sync"

	"github.com/docker/go-units"
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/metrics"
)

// A statsRow is a container in the words of `docker stats`, which scripts read, and its figures.
type statsRow struct {
	Container string
	ID        string
	Name      string
	CPUPerc   string // of one processor: two that are busy are 200 %
	MemUsage  string // "12.5MiB / 64MiB": the working set, and the limit, or the machine's memory without one
	MemPerc   string
	NetIO     string // "1.2kB / 3.4MB": received, sent
	BlockIO   string // read, written
	PIDs      string
	Figures   *metrics.Figures `json:",omitempty"`

	history *history
}

const unknown = "--"

func newRow(s metrics.Sample, h *history) statsRow {
	f := &s.Figures
	row := statsRow{Container: s.Name, ID: s.ID, Name: s.Name, Figures: f, CPUPerc: unknown, history: h}
	if share, ok := h.cpu(); ok {
		row.CPUPerc = fmt.Sprintf("%.2f%%", 100*share)
	}
	limit := memoryLimit(f)
	row.MemUsage = units.BytesSize(float64(f.Memory.WorkingSet)) + " / " + units.BytesSize(float64(limit))
	row.MemPerc = fmt.Sprintf("%.2f%%", 100*float64(f.Memory.WorkingSet)/float64(max(limit, 1)))
	var received, sent, read, written uint64
	for _, i := range f.Network {
		received, sent = received+i.Received.Bytes, sent+i.Sent.Bytes
	}
	for _, d := range f.IO {
		read, written = read+d.ReadBytes, written+d.WriteBytes
	}
	row.NetIO, row.BlockIO = both(received, sent), both(read, written)
	row.PIDs = strconv.FormatUint(f.Pids.Tasks, 10)
	return row
}

func stoppedRow(t metrics.Target) statsRow {
	return statsRow{
		Container: t.Name, ID: t.ID, Name: t.Name, CPUPerc: unknown, MemUsage: unknown + " / " + unknown, MemPerc: unknown,
		NetIO: unknown, BlockIO: unknown, PIDs: unknown, history: &history{},
	}
}

// both has the units of networks and disks, which are powers of ten.
func both(in, out uint64) string {
	return units.HumanSizeWithPrecision(float64(in), 3) + " / " + units.HumanSizeWithPrecision(float64(out), 3)
}

// memoryLimit is what there is for a container.
func memoryLimit(f *metrics.Figures) uint64 {
	if f.Memory.Limit != nil {
		return min(*f.Memory.Limit, machineMemory())
	}
	return machineMemory()
}

var machineMemory = sync.OnceValue(func() uint64 {
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) != nil {
		return 0
	}
	return uint64(info.Totalram) * uint64(info.Unit)
})

// A history is what has been of a container: a moment for each look, the latest last.
type history struct {
	last    *metrics.Figures
	moments []moment
}

// A moment is shares of what there is, from 0 to 1.
type moment struct {
	cpu       float64 // processors that were busy
	known     bool    // of cpu: there was a look before
	quota     float64 // processors that it may have
	throttled bool
	memory    float64
}

// remembered is how many moments fit on the widest screen.
const remembered = 120

func (h *history) add(f metrics.Figures) {
	m := moment{quota: float64(goruntime.NumCPU())}
	if n, limited := f.CPU.Processors(); limited {
		m.quota = n
	}
	if h.last != nil {
		if span := f.Time.Sub(h.last.Time).Seconds(); span > 0 && f.CPU.Usage >= h.last.CPU.Usage {
			m.cpu, m.known = (f.CPU.Usage-h.last.CPU.Usage)/span, true
		}
		m.throttled = f.CPU.ThrottledPeriods > h.last.CPU.ThrottledPeriods
	}
	m.memory = float64(f.Memory.WorkingSet) / float64(max(memoryLimit(&f), 1))
	h.moments = append(h.moments, m)
	if len(h.moments) > remembered {
		h.moments = h.moments[len(h.moments)-remembered:]
	}
	h.last = &f
}

// cpu is how many processors were busy lately.
func (h *history) cpu() (share float64, ok bool) {
	if len(h.moments) == 0 {
		return 0, false
	}
	m := h.moments[len(h.moments)-1]
	return m.cpu, m.known
}
