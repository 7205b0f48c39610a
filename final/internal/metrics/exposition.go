//go:build linux

package metrics

import (
	"math"
	"strconv"
	"strings"
)

// A Format is one of the two texts in which Prometheus takes figures. They are written by hand, as step 05
// does: the client library would cost a millisecond of every start of this program, and writes what a few
// appends write through objects for each number.
type Format int

const (
	Text        Format = iota // Prometheus text format, version 0.0.4
	OpenMetrics               // OpenMetrics, version 1.0.0
)

// ContentType is what HTTP calls it.
func (f Format) ContentType() string {
	if f == OpenMetrics {
		return "application/openmetrics-text; version=1.0.0; charset=utf-8"
	}
	return "text/plain; version=0.0.4; charset=utf-8"
}

// Negotiate chooses by the header Accept (RFC 9110, 12.5.1). OpenMetrics has to be asked for.
//
//	application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.4,*/*;q=0.1
func Negotiate(accept string) Format {
	var open, text float64
	for item := range strings.SplitSeq(accept, ",") {
		kind, parameters, _ := strings.Cut(item, ";")
		q := 1.0
		for parameter := range strings.SplitSeq(parameters, ";") {
			name, value, _ := strings.Cut(strings.TrimSpace(parameter), "=")
			switch strings.ToLower(name) {
			case "q":
				q, _ = strconv.ParseFloat(value, 64) // what is no number is not wanted
			case "version":
				if version := strings.Trim(value, `"`); version != "1.0.0" && version != "0.0.1" && version != "0.0.4" {
					q = 0 // one that we do not write
				}
			}
		}
		switch strings.ToLower(strings.TrimSpace(kind)) {
		case "application/openmetrics-text":
			open = max(open, q)
		case "text/plain", "text/*", "*/*":
			text = max(text, q)
		}
	}
	if open > 0 && open >= text {
		return OpenMetrics
	}
	return Text
}

// kind is what a metric is.
type kind int

const (
	gauge   kind = iota
	counter      // it only grows, and its name ends in _total
	untyped      // a counter whose name does not, because dashboards know it so
)

func (f Format) kind(k kind) string {
	switch {
	case k == counter:
		return "counter"
	case k == gauge:
		return "gauge"
	case f == OpenMetrics:
		return "unknown"
	}
	return "untyped"
}

// A page is a text as it grows.
//
//	# HELP container_threads Threads of all processes.
//	# TYPE container_threads gauge
//	container_threads{id="/simple-container-web",name="web",image="lab"} 7
type page struct {
	format Format
	text   []byte
	name   string // of the family
	head   string // of it, until there is a point
}

// begin begins a family; one without points is not written. In OpenMetrics a counter is without _total where it
// is described.
func (p *page) begin(name string, k kind, help string) {
	p.name = name
	if p.format == OpenMetrics && k == counter {
		name = strings.TrimSuffix(name, "_total")
	}
	p.head = "# HELP " + name + " " + help + "\n# TYPE " + name + " " + p.format.kind(k) + "\n"
}

// point adds a number. labels are written already; more are pairs of a name and a value.
func (p *page) point(labels []byte, value float64, more ...string) {
	p.text = append(append(p.text, p.head...), p.name...)
	p.head = ""
	if len(labels)+len(more) > 0 {
		p.text = append(p.text, '{')
		p.text = append(p.text, labels...)
		for i := 0; i+1 < len(more); i += 2 {
			p.text = appendLabel(p.text, more[i], more[i+1], i == 0 && len(labels) == 0)
		}
		p.text = append(p.text, '}')
	}
	p.text = append(p.text, ' ')
	if value == math.Trunc(value) && math.Abs(value) < 1<<53 {
		p.text = strconv.AppendInt(p.text, int64(value), 10)
	} else {
		p.text = strconv.AppendFloat(p.text, value, 'g', -1, 64)
	}
	p.text = append(p.text, '\n')
}

// end ends the page, as OpenMetrics wants it: so a reader knows that nothing is missing.
func (p *page) end() []byte {
	if p.format == OpenMetrics {
		p.text = append(p.text, "# EOF\n"...)
	}
	return p.text
}

// appendLabel writes name="value", with a comma before all but the first.
func appendLabel(text []byte, name, value string, first bool) []byte {
	if !first {
		text = append(text, ',')
	}
	text = append(text, name...)
	text = append(text, `="`...)
	for _, c := range []byte(strings.ToValidUTF8(value, "\uFFFD")) {
		switch c {
		case '\\', '"':
			text = append(text, '\\', c)
		case '\n':
			text = append(text, `\n`...)
		default:
			text = append(text, c)
		}
	}
	return append(text, '"')
}
