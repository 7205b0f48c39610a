//go:build linux

package web

import (
	"cmp"
	"context"
	"slices"
	"time"
)

const (
	mostRates  = 14 // calls by name that the page has room for
	mostRecent = 40 // calls of one message: nobody reads more in that time
	often      = 500 * time.Millisecond
)

// A rate is what there was of one call, and how much there is of it lately.
type rate struct {
	Count
	ByNow float64 `json:"byNow"` // calls a second
}

// A tally is what a page gets of the calls. Programs make a million of them in a second; the page gets their
// number, and the last few in words.
type tally struct {
	Engine  string  `json:"engine"`
	Why     string  `json:"why,omitempty"`
	Total   uint64  `json:"total"`
	ByNow   float64 `json:"byNow"`
	Rates   []rate  `json:"rates"`
	Recent  []Call  `json:"recent"`
	Unsaid  uint64  `json:"unsaid"`
	Dropped uint64  `json:"dropped"`
	Reason  string  `json:"reason,omitempty"` // why there are no more
}

// A pace tells how much more there is each time.
type pace struct {
	at     time.Time
	total  uint64
	calls  map[string]uint64
	smooth map[string]float64
}

// tally makes a message of what was counted up to a time.
func (p *pace) tally(c Calls, now time.Time) tally {
	seconds := now.Sub(p.at).Seconds()
	first := p.at.IsZero() || seconds <= 0
	t := tally{Engine: c.Engine, Why: c.Why, Rates: []rate{}, Recent: c.Recent, Unsaid: c.Unsaid, Dropped: c.Dropped}
	if t.Recent == nil {
		t.Recent = []Call{}
	}
	if p.calls == nil {
		p.calls, p.smooth = map[string]uint64{}, map[string]float64{}
	}
	for _, count := range c.Counts {
		r := rate{Count: count}
		if !first {
			lately := float64(since(count.Calls, p.calls[count.Name])) / seconds
			before, known := p.smooth[count.Name]
			if !known {
				before = lately
			}
			r.ByNow = before + 0.4*(lately-before) // smooth, so that it can be read
			p.smooth[count.Name] = r.ByNow
		}
		p.calls[count.Name] = count.Calls
		t.Total += count.Calls
		t.Rates = append(t.Rates, r)
	}
	if !first {
		t.ByNow = float64(since(t.Total, p.total)) / seconds
	}
	p.at, p.total = now, t.Total
	slices.SortFunc(t.Rates, func(a, b rate) int { // by all that there were: the order stands still
		return cmp.Or(cmp.Compare(b.Calls, a.Calls), cmp.Compare(a.Name, b.Name))
	})
	t.Rates = t.Rates[:min(len(t.Rates), mostRates)]
	return t
}

// calls is the view of the system calls. The tracer runs as long as somebody has it open: it is not free.
func (s *Server) calls(id string) (filler, func() []byte) {
	return func(ctx context.Context, publish func([]byte)) {
		paces, last := pace{}, tally{Rates: []rate{}}
		err := s.source.Calls(ctx, id, func(c Calls) {
			last = paces.tally(c, time.Now())
			publish(message("calls", last))
		})
		last.Recent, last.Unsaid, last.ByNow, last.Reason = []Call{}, 0, 0, "the container has ended"
		if err != nil {
			last.Reason = err.Error()
		}
		if ctx.Err() == nil {
			publish(message("calls", last))
		}
	}, nil
}
