//go:build linux

package web

import (
	"context"
	"os"
	"time"
)

// A line is a container in the list, with what it uses now.
type line struct {
	Container
	CPU    float64 `json:"cpu"`
	Memory uint64  `json:"memory"`
	OOM    uint64  `json:"oom"` // kills since it was made
	Limits limits  `json:"limits"`
}

// list is the message that every page gets each second.
type list struct {
	Host       string   `json:"host"`
	Time       int64    `json:"time"` // milliseconds since 1970
	Containers []line   `json:"containers"`
	Blind      []string `json:"blind,omitempty"`
	Hint       []string `json:"hint"` // while there are none
	Problem    string   `json:"problem,omitempty"`
}

// watch is the one sampler for all pages: it looks at every container once in a while, as long as there is a
// page. It fills the feed of the list, and those of the figures.
func (s *Server) watch(ctx context.Context, publish func([]byte)) {
	tick := time.NewTicker(s.every)
	defer tick.Stop()
	for {
		publish(message("list", s.look(time.Now())))
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (s *Server) look(now time.Time) list {
	host, _ := os.Hostname() // "" does no harm
	l := list{Host: host, Time: now.UnixMilli(), Containers: []line{}, Blind: s.source.Blind, Hint: s.source.Hint}
	containers, err := s.source.Containers()
	if err != nil {
		l.Problem = err.Error()
	}
	s.book.keep(containers)
	for _, c := range containers {
		l.Containers = append(l.Containers, s.measure(c, now))
	}
	return l
}

// measure takes in the figures of a container, if it has any, and tells those who look at their plots.
func (s *Server) measure(c Container, now time.Time) line {
	at := line{Container: c}
	f := c.Figures
	if f == nil {
		return at
	}
	at.Memory, at.OOM, at.Limits = f.Memory, f.OOMKills, limits{f.CPULimit, f.MemoryLimit, f.PidsLimit}
	p, ok := s.book.add(c.ID, now, *f)
	at.CPU = p.CPU
	if ok {
		s.feeds.publishTo("figures "+c.ID, func() []byte { return message("figures", past{[]point{p}, at.Limits}) })
	}
	return at
}
