//go:build linux

package cgroup

import (
	"bytes"
	"fmt"
	"strconv"
)

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

// Pressure reads
//
//	some avg10=0.00 avg60=0.10 avg300=0.20 total=1234
//	full avg10=0.00 avg60=0.00 avg300=0.00 total=0
//
// or nothing, where PSI is off.
func (f *Files) Pressure(name string) *PSI {
	text, _ := f.Read(name)
	if len(text) == 0 {
		return nil
	}
	psi := &PSI{}
	for line := range bytes.Lines(text) {
		kind, rest, _ := bytes.Cut(bytes.TrimSpace(line), space)
		to := &psi.Some
		if string(kind) == "full" {
			to = &psi.Full
		}
		if err := to.parse(rest); err != nil && f.err == nil {
			f.err = fmt.Errorf("read %s/%s: %q: %w", f.dir, name, line, err)
		}
	}
	return psi
}

func (p *Pressure) parse(words []byte) (err error) {
	for word := range bytes.FieldsSeq(words) {
		key, value, _ := bytes.Cut(word, []byte("="))
		var e error
		switch string(key) {
		case "avg10":
			p.Avg10, e = strconv.ParseFloat(string(value), 64)
		case "avg60":
			p.Avg60, e = strconv.ParseFloat(string(value), 64)
		case "avg300":
			p.Avg300, e = strconv.ParseFloat(string(value), 64)
		case "total":
			p.Total, e = strconv.ParseUint(string(value), 10, 64)
		}
		if err == nil {
			err = e
		}
	}
	return err
}
