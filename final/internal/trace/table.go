//go:build linux

package trace

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
)

// WriteTable prints the summary for people: a call a line, with its latencies as a small plot, a column for each
// doubling, between the shortest and the longest.
func (s Summary) WriteTable(out io.Writer) error {
	var b strings.Builder
	var total Count
	for _, c := range s.Counts {
		total.Calls, total.Errors, total.Endless = total.Calls+c.Calls, total.Errors+c.Errors, total.Endless+c.Endless
		total.Time += c.Time
	}
	fmt.Fprintf(&b, "%10s %8s %9s %7s %9s  %-18s %s\n", "calls", "errors", "time", "share", "mean", "call", "latency")
	for _, c := range s.Counts {
		mark := c.Call.Name()
		if kind := c.Call.foreign(); kind != "" {
			mark = "[" + kind + "] " + mark
		}
		line := fmt.Sprintf("%s  %-18s %s", c.figures(total.Time), mark, c.Latency.plot())
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	fmt.Fprintf(&b, "%s  total\n", total.figures(total.Time))
	if s.Dropped+s.Lost > 0 {
		b.WriteString(MissedText(s.Dropped, s.Lost) + "\n")
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// MissedText says what is not there.
func MissedText(dropped, lost uint64) string {
	var parts []string
	if dropped > 0 {
		parts = append(parts, fmt.Sprintf(
			"%d events were dropped, as they came faster than they were read (they are counted)", dropped))
	}
	if lost > 0 {
		parts = append(parts, fmt.Sprintf("%d calls were not seen: more threads at once than there is room for", lost))
	}
	return strings.Join(parts, "; ")
}

// figures are the columns of numbers.
func (c Count) figures(total time.Duration) string {
	errors, share, mean := "", "", ""
	if c.Errors > 0 {
		errors = fmt.Sprint(c.Errors)
	}
	if total > 0 {
		share = fmt.Sprintf("%.1f %%", 100*c.Time.Seconds()/total.Seconds())
	}
	if back := c.Calls - c.Endless; back > 0 {
		mean = Span(c.Time / time.Duration(back))
	}
	return fmt.Sprintf("%10d %8s %9s %7s %9s", c.Calls, errors, Span(c.Time), share, mean)
}

// blocks are the heights of a plot.
var blocks = []rune("▁▂▃▄▅▆▇█")

// plot draws the histogram from its first place in use to its last.
func (h *Histogram) plot() string {
	first, last, most := -1, -1, uint64(0)
	for i, n := range h {
		if n > 0 {
			if first < 0 {
				first = i
			}
			last, most = i, max(most, n)
		}
	}
	if first < 0 {
		return ""
	}
	var b strings.Builder
	for _, n := range h[first : last+1] {
		if n == 0 {
			b.WriteRune(' ')
			continue
		}
		b.WriteRune(blocks[(n*uint64(len(blocks))-1)/most])
	}
	return fmt.Sprintf("%s %s %s", Span(1<<first), b.String(), Span(1<<(last+1)))
}

// Span is a duration in three digits: 930 ns, 1.25 µs, 18.3 ms.
func Span(d time.Duration) string {
	units := []struct {
		unit time.Duration
		name string
	}{{time.Second, "s"}, {time.Millisecond, "ms"}, {time.Microsecond, "µs"}}
	for _, u := range units {
		if d >= u.unit {
			value := float64(d) / float64(u.unit)
			digits := 2
			if value >= 9.995 {
				digits = 1
			}
			if value >= 99.95 {
				digits = 0
			}
			return fmt.Sprintf("%.*f %s", digits, value, u.name)
		}
	}
	return fmt.Sprintf("%d ns", d)
}

// MarshalJSON is the summary for programs.
func (s Summary) MarshalJSON() ([]byte, error) {
	type row struct {
		Call    string   `json:"call"`
		Arch    string   `json:"arch,omitempty"` // if it is not the machine's own
		Calls   uint64   `json:"calls"`
		Errors  uint64   `json:"errors"`
		Endless uint64   `json:"unfinished,omitempty"`
		Time    int64    `json:"nanoseconds"`
		Latency []uint64 `json:"latency"` // place i: from 2^i nanoseconds on
	}
	rows := []row{}
	for _, c := range s.Counts {
		rows = append(rows, row{
			c.Call.Name(), c.Call.foreign(), c.Calls, c.Errors, c.Endless, c.Time.Nanoseconds(), c.Latency[:],
		})
	}
	return json.Marshal(struct {
		Time    time.Time `json:"time"`
		Calls   []row     `json:"calls"`
		Dropped uint64    `json:"dropped"`
		Lost    uint64    `json:"lost"`
	}{s.At, rows, s.Dropped, s.Lost})
}
