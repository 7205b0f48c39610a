//go:build linux

package web

import (
	"sync"
	"time"
)

// history is how far back the plots go, in looks.
const history = 180

// A point is what is plotted of a container at one time: rates over the time since the point before, and levels.
type point struct {
	Time      int64   `json:"t"`         // milliseconds since 1970
	CPU       float64 `json:"cpu"`       // processors
	Throttled float64 `json:"throttled"` // the share of periods in which the quota was used up
	Memory    uint64  `json:"memory"`
	OOM       uint64  `json:"oom"` // kills since the point before
	Pids      uint64  `json:"pids"`
	Received  float64 `json:"received"` // bytes a second
	Sent      float64 `json:"sent"`
}

// limits are what the plots have lines at.
type limits struct {
	CPU    float64 `json:"cpu"`
	Memory uint64  `json:"memory"`
	Pids   uint64  `json:"pids"`
}

// A ring has the last points of a container.
type ring struct {
	points []point
	limits limits
	before Figures
	at     time.Time // of before; zero: there is none
}

// A book has the rings of all containers. They stay when nobody looks, so that a page that is opened again has a
// history, with a gap in it.
type book struct {
	lock  sync.Mutex
	rings map[string]*ring
}

// add takes a container's figures in. There is no point before there are two of them to be subtracted.
func (b *book) add(id string, now time.Time, f Figures) (p point, ok bool) {
	b.lock.Lock()
	defer b.lock.Unlock()
	r := b.rings[id]
	if r == nil {
		r = &ring{}
		b.rings[id] = r
	}
	before, seconds := r.before, now.Sub(r.at).Seconds()
	r.limits = limits{f.CPULimit, f.MemoryLimit, f.PidsLimit}
	switch {
	case r.at.IsZero() || seconds > 10 || f.CPU < before.CPU:
		// The first; or nobody looked, and a rate over that time would be a lie about each moment of it; or it is
		// another container of that name.
		r.before, r.at = f, now
		return p, false
	case seconds < 0.5: // somebody has come just now: over so short a time a rate is noise
		if n := len(r.points); n > 0 {
			p = r.points[n-1]
		}
		return p, false
	}
	r.before, r.at = f, now
	p = point{
		Time: now.UnixMilli(), CPU: (f.CPU - before.CPU).Seconds() / seconds, Memory: f.Memory, Pids: f.Pids,
		OOM:      since(f.OOMKills, before.OOMKills),
		Received: float64(since(f.Received, before.Received)) / seconds,
		Sent:     float64(since(f.Sent, before.Sent)) / seconds,
	}
	if periods := since(f.Periods, before.Periods); periods > 0 {
		p.Throttled = min(1, float64(since(f.Throttled, before.Throttled))/float64(periods))
	}
	r.points = append(r.points, p)
	if over := len(r.points) - history; over > 0 {
		r.points = append(r.points[:0], r.points[over:]...)
	}
	return p, true
}

// since subtracts counters; one that has gone back has begun anew.
func since(now, before uint64) uint64 {
	if now < before {
		return now
	}
	return now - before
}

// A past is what a page gets of a container when it begins to look.
type past struct {
	Points []point `json:"points"`
	Limits limits  `json:"limits"`
}

func (b *book) past(id string) past {
	b.lock.Lock()
	defer b.lock.Unlock()
	r := b.rings[id]
	if r == nil {
		return past{Points: []point{}}
	}
	return past{append([]point{}, r.points...), r.limits}
}

// keep forgets the containers that are no more.
func (b *book) keep(list []Container) {
	b.lock.Lock()
	defer b.lock.Unlock()
	there := map[string]bool{}
	for _, c := range list {
		there[c.ID] = true
	}
	for id := range b.rings {
		if !there[id] {
			delete(b.rings, id)
		}
	}
}
