//go:build linux

package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"strconv"
	"strings"

	"github.com/simple-container/simple-container/final/internal/kernel"
	"golang.org/x/sys/unix"
)

// Stats is what a container has used, in the words of `runc events --stats`: engines parse it. What the
// kernel does not measure stays zero, or is left out.
type Stats struct {
	CPU               CPU                `json:"cpu"`
	CPUSet            CPUSet             `json:"cpuset"`
	Memory            Memory             `json:"memory"`
	Pids              Pids               `json:"pids"`
	Blkio             Blkio              `json:"blkio"`
	Hugetlb           map[string]Hugetlb `json:"hugetlb"`
	IntelRdt          struct{}           `json:"intel_rdt"`
	NetworkInterfaces []struct{}         `json:"network_interfaces"`
}

// Pids is how many tasks there are and may be; 0 is no limit.
type Pids struct {
	Current uint64 `json:"current,omitempty"`
	Limit   uint64 `json:"limit,omitempty"`
}

// noLimit is the word max as a number.
const noLimit = math.MaxUint64

// Stats measures the group.
func (g *Group) Stats() (*Stats, error) {
	s := &Stats{Hugetlb: map[string]Hugetlb{}}
	var errs []error
	for _, row := range []struct {
		controller string
		v2, v1     func(*files)
	}{
		{"cpu", s.CPU.readV2, s.CPU.readV1},
		{"cpuacct", nil, s.CPU.readCpuacct},
		{"cpuset", s.CPUSet.readV2, s.CPUSet.readV1},
		{"memory", s.Memory.readV2, s.Memory.readV1},
		{"pids", s.Pids.read, s.Pids.read},
		{"io", s.Blkio.readV2, nil},
		{"blkio", nil, s.Blkio.readV1},
		{"hugetlb", s.readHugetlb, s.readHugetlb},
	} {
		p := g.part(row.controller)
		read := row.v2
		if p != nil && p.Version == 1 {
			read = row.v1
		}
		if p == nil || read == nil {
			continue
		}
		f := &files{dir: p.dir}
		read(f)
		errs = append(errs, f.err)
	}
	if p := g.v2(); p != nil { // a tree without controllers, on a hybrid machine, has these all the same
		f := &files{dir: p.dir}
		if s.CPU.Usage.Total == 0 {
			s.CPU.readV2(f)
		}
		s.CPU.PSI = f.pressure("cpu.pressure")
		s.Memory.PSI = f.pressure("memory.pressure")
		s.Blkio.PSI = f.pressure("io.pressure")
		errs = append(errs, f.err)
	}
	return s, errors.Join(errs...)
}

func (p *Pids) read(f *files) {
	p.Current, p.Limit = f.number("pids.current"), f.number("pids.max")
	if p.Limit == noLimit {
		p.Limit = 0
	}
}

// files reads numbers out of the files of a group. A file that is not there, because the kernel has no such
// file or because the group is gone by now, is zero; the first other error stays in err.
type files struct {
	dir string
	err error
}

func (f *files) text(name string) string {
	text, err := kernel.ReadFile(f.dir + "/" + name)
	gone := errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENODEV) || errors.Is(err, unix.EOPNOTSUPP)
	if err != nil && !gone && f.err == nil {
		f.err = err
	}
	return text
}

func (f *files) parse(name, word string) uint64 {
	if word == "max" {
		return noLimit
	}
	n, err := strconv.ParseUint(word, 10, 64)
	if err != nil && f.err == nil {
		f.err = fmt.Errorf("read %s/%s: %w", f.dir, name, err)
	}
	return n
}

// number reads a file that is one number, or max.
func (f *files) number(name string) uint64 {
	text := f.text(name)
	if text == "" {
		return 0
	}
	return f.parse(name, text)
}

// numbers reads a file that is a line of numbers.
func (f *files) numbers(name string) (list []uint64) {
	for word := range strings.FieldsSeq(f.text(name)) {
		list = append(list, f.parse(name, word))
	}
	return list
}

// table reads a file of lines as "anon 4096".
func (f *files) table(name string) map[string]uint64 {
	table := map[string]uint64{}
	for line := range strings.Lines(f.text(name)) {
		key, word, ok := strings.Cut(strings.TrimSpace(line), " ")
		if ok {
			table[key] = f.parse(name, word)
		}
	}
	return table
}

// PSI is how long processes had to wait for something (Documentation/accounting/psi.rst).
type PSI struct {
	Some Pressure `json:"some,omitzero"` // at least one waited
	Full Pressure `json:"full,omitzero"` // all did
}

// Pressure is a share of time in percent, over the last seconds, and a time in microseconds.
type Pressure struct {
	Avg10  float64 `json:"avg10"`
	Avg60  float64 `json:"avg60"`
	Avg300 float64 `json:"avg300"`
	Total  uint64  `json:"total"`
}

// pressure reads
//
//	some avg10=0.00 avg60=0.10 avg300=0.20 total=1234
//	full avg10=0.00 avg60=0.00 avg300=0.00 total=0
//
// or nothing, where PSI is off.
func (f *files) pressure(name string) *PSI {
	text := f.text(name)
	if text == "" {
		return nil
	}
	psi := &PSI{}
	for line := range strings.Lines(text) {
		kind, p := "", Pressure{}
		const form = "%s avg10=%f avg60=%f avg300=%f total=%d"
		_, err := fmt.Sscanf(line, form, &kind, &p.Avg10, &p.Avg60, &p.Avg300, &p.Total)
		if err != nil && f.err == nil {
			f.err = fmt.Errorf("read %s/%s: %q: %w", f.dir, name, line, err)
		}
		switch kind {
		case "some":
			psi.Some = p
		case "full":
			psi.Full = p
		}
	}
	return psi
}
