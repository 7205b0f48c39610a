//go:build linux

package web

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"
)

const (
	mostRates  = 14 // calls by name that the page has room for
	mostRecent = 40 // calls of one message: nobody reads more in that time
	often      = 500 * time.Millisecond
)

// A rate is what there was of one call.
type rate struct {
	Name     string  `json:"name"`
	Calls    uint64  `json:"calls"` // since somebody looks
	Failed   uint64  `json:"failed"`
	Seconds  float64 `json:"seconds"` // spent in it
	ByNow    float64 `json:"byNow"`   // calls a second, lately
	previous uint64  // calls, at the message before
}

// A recent is one call in words.
type recent struct {
	Pid     int     `json:"pid"`
	Text    string  `json:"text"`
	Failed  bool    `json:"failed"`
	Seconds float64 `json:"seconds"`
}

// A tally is what a page gets of the calls. Programs make a million of them in a second; the page gets their
// number, and the last few in words.
type tally struct {
	Total  uint64   `json:"total"`
	ByNow  float64  `json:"byNow"`
	Rates  []rate   `json:"rates"`
	Recent []recent `json:"recent"`
	Unsaid uint64   `json:"unsaid"` // calls since the message before that are counted, and not among the recent
	Reason string   `json:"reason,omitempty"`
}

// A counter counts calls as they come.
type counter struct {
	lock   sync.Mutex
	byName map[string]*rate
	recent []recent
	unsaid uint64
	total  uint64
	before uint64
}

func (c *counter) add(call Call) {
	c.lock.Lock()
	defer c.lock.Unlock()
	r := c.byName[call.Name]
	if r == nil {
		r = &rate{Name: call.Name}
		c.byName[call.Name] = r
	}
	r.Calls++
	c.total++
	r.Seconds += call.Duration.Seconds()
	if call.Failed {
		r.Failed++
	}
	if len(c.recent) == mostRecent {
		c.unsaid++
		return
	}
	c.recent = append(c.recent, recent{call.Pid, call.Text, call.Failed, call.Duration.Seconds()})
}

// take makes a message of what came in the time since the one before.
func (c *counter) take(elapsed time.Duration) tally {
	c.lock.Lock()
	defer c.lock.Unlock()
	seconds := max(elapsed.Seconds(), 0.001)
	t := tally{Total: c.total, ByNow: float64(c.total-c.before) / seconds, Rates: []rate{}, Recent: c.recent, Unsaid: c.unsaid}
	for _, r := range c.byName {
		now := float64(r.Calls-r.previous) / seconds
		if r.previous == 0 {
			r.ByNow = now
		}
		r.ByNow += 0.4 * (now - r.ByNow) // smooth, so that the list stands still
		r.previous = r.Calls
		t.Rates = append(t.Rates, *r)
	}
	slices.SortFunc(t.Rates, func(a, b rate) int {
		return cmp.Or(cmp.Compare(b.Calls, a.Calls), cmp.Compare(a.Name, b.Name))
	})
	t.Rates = t.Rates[:min(len(t.Rates), mostRates)]
	if t.Recent == nil {
		t.Recent = []recent{}
	}
	c.recent, c.unsaid, c.before = nil, 0, c.total
	return t
}

// calls is the view of the system calls. The tracer runs as long as somebody has it open: it is not free.
func (s *Server) calls(id string) (filler, func() []byte) {
	return func(ctx context.Context, publish func([]byte)) {
		if s.source.Calls == nil {
			publish(message("calls", tally{Rates: []rate{}, Recent: []recent{}, Reason: s.source.NoCalls}))
			return
		}
		count := &counter{byName: map[string]*rate{}}
		ended := make(chan error, 1)
		go func() { ended <- s.source.Calls(ctx, id, count.add) }()
		tick, last := time.NewTicker(often), time.Now()
		defer tick.Stop()
		for {
			select {
			case err := <-ended:
				now := count.take(time.Since(last))
				if err != nil && ctx.Err() == nil {
					now.Reason = err.Error()
				}
				publish(message("calls", now))
				return
			case now := <-tick.C:
				publish(message("calls", count.take(now.Sub(last))))
				last = now
			}
		}
	}, nil
}
