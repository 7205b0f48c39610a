//go:build linux

package web

import (
	"context"
	"time"

	"github.com/simple-container/simple-container/final/internal/trace"
)

// calls traces a container.
func (m *machine) calls(ctx context.Context, id string, tell func(Calls)) error {
	c, _, err := m.find(id)
	if err != nil {
		return err
	}
	feed, err := trace.Watch(trace.Of(c), trace.Options{}, mostRecent)
	if err != nil {
		return err
	}
	tick, ended := time.NewTicker(often), false
	defer tick.Stop()
	for at := uint64(0); !ended; {
		select {
		case <-ctx.Done():
			return feed.Close()
		case <-feed.Done():
			ended = true
		case <-tick.C:
		}
		seen, next, err := lately(feed, at)
		if err != nil {
			_ = feed.Close() // the first error counts
			return err
		}
		tell(seen)
		at = next
	}
	return feed.Close()
}

// lately is what a feed has by now, with the calls from number at on in words.
func lately(feed *trace.Feed, at uint64) (c Calls, next uint64, err error) {
	summary, err := feed.Summary()
	if err != nil {
		return c, at, err
	}
	events, next, missed := feed.Since(at)
	c = Calls{
		Engine: string(feed.Engine), Why: feed.Why, Unsaid: missed + summary.Dropped, Dropped: summary.Lost,
	}
	for _, e := range events {
		pid := e.In
		if pid == 0 {
			pid = e.Tid
		}
		c.Recent = append(c.Recent, Call{pid, e.String(), e.Errno() != 0, e.Duration.Seconds()})
	}
	for _, count := range summary.Counts {
		c.Counts = append(c.Counts, Count{count.Call.Name(), count.Calls, count.Errors, count.Time.Seconds()})
	}
	return c, next, nil
}
