//go:build linux

package web

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestRates(t *testing.T) {
	b := book{rings: map[string]*ring{}}
	start := time.UnixMilli(1_000_000)
	at := func(seconds float64) time.Time { return start.Add(time.Duration(seconds * float64(time.Second))) }
	add := func(seconds float64, f Figures) {
		f.CPULimit = 0.5
		b.add("x", at(seconds), f)
	}
	add(0, Figures{CPU: time.Second, Memory: 10, Pids: 1, Received: 100})
	add(2, Figures{CPU: 2 * time.Second, Memory: 20, Pids: 2, Received: 300, Sent: 10, Periods: 20, Throttled: 5, OOMKills: 1})
	add(2.1, Figures{CPU: 3 * time.Second}) // too soon
	add(3, Figures{CPU: 2 * time.Second, Memory: 30, Received: 50, OOMKills: 1, Periods: 20, Throttled: 5})
	add(60, Figures{CPU: 9 * time.Second}) // nobody looked
	add(61, Figures{CPU: 9500 * time.Millisecond})
	add(62, Figures{CPU: time.Millisecond}) // another one of that name
	want := []point{
		{Time: 1_002_000, CPU: 0.5, Throttled: 0.25, Memory: 20, OOM: 1, Pids: 2, Received: 100, Sent: 5},
		{Time: 1_003_000, Memory: 30, Received: 50}, // the link is another: its counter began anew
		{Time: 1_061_000, CPU: 0.5},
	}
	if diff := cmp.Diff(past{want, limits{CPU: 0.5}}, b.past("x")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestRingIsBounded(t *testing.T) {
	b := book{rings: map[string]*ring{}}
	for i := range 3 * history {
		b.add("x", time.Unix(int64(i), 0), Figures{CPU: time.Duration(i)})
	}
	points := b.past("x").Points
	if len(points) != history || points[history-1].Time != int64(3*history-1)*1000 {
		t.Errorf("%d points, the last at %d", len(points), points[len(points)-1].Time)
	}
	b.keep([]Container{{ID: "y"}})
	if n := len(b.past("x").Points); n != 0 || len(b.rings) != 0 {
		t.Errorf("%d points of a container that is no more", n)
	}
}
