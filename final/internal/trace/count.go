//go:build linux

package trace

import (
	"cmp"
	"math/bits"
	"slices"
	"time"
)

// A Histogram counts durations: place i those from 2^i up to 2^(i+1) nanoseconds, the last also the longer ones.
type Histogram [36]uint64

// bucket is the place of a duration.
func bucket(d time.Duration) int {
	return min(max(bits.Len64(uint64(max(d, 0)))-1, 0), len(Histogram{})-1)
}

// A Count is what there is to say of one system call.
type Count struct {
	Call    Call
	Calls   uint64
	Errors  uint64
	Endless uint64        // of the calls, those that did not come back; they are in no histogram
	Time    time.Duration // in the kernel, all together
	Latency Histogram
}

// add counts one more.
func (c *Count) add(result int64, d time.Duration) {
	c.Calls++
	if result < 0 && result >= -4095 {
		c.Errors++
	}
	c.Time += d
	c.Latency[bucket(d)]++
}

// A Summary is what was counted up to a moment.
type Summary struct {
	At      time.Time
	Counts  []Count // the calls that took the most time first
	Dropped uint64  // events that were counted, and not delivered: the reader was too slow
	Lost    uint64  // calls that are missing everywhere: more threads in a call than there is room for
}

// sortCounts puts the calls that took the most time first.
func sortCounts(counts []Count) {
	slices.SortFunc(counts, func(a, b Count) int {
		return cmp.Or(cmp.Compare(b.Time, a.Time), cmp.Compare(b.Calls, a.Calls),
			cmp.Compare(a.Call.Audit, b.Call.Audit), cmp.Compare(a.Call.Number, b.Call.Number))
	})
}

// Calls are all calls together.
func (s Summary) Calls() (n uint64) {
	for _, c := range s.Counts {
		n += c.Calls
	}
	return n
}
