//go:build linux

package runtime

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/cgroup"
)

// An Event is a line of `events`, in runc's form.
type Event struct {
	Type string        `json:"type"` // stats, oom or pressure
	ID   string        `json:"id"`
	Data *cgroup.Stats `json:"data,omitempty"`
}

// Stats are the container's figures at this moment.
func (c *Container) Stats() (Event, error) {
	status, err := c.Status()
	if err != nil {
		return Event{}, err
	}
	if status == Stopped {
		return Event{}, fmt.Errorf("container %q: %w", c.ID, ErrNotRunning)
	}
	stats, err := c.group().Stats()
	return Event{Type: "stats", ID: c.ID, Data: stats}, err
}

// Events reports the container's figures each interval, and when it runs out of memory, until it has ended. With
// a level of memory pressure, it also reports each time that is reached.
func (c *Container) Events(interval time.Duration, pressure cgroup.Level, report func(Event) error) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	happened, failed := make(chan string), make(chan error, 2)
	tell := func(event string) func() {
		return func() {
			select {
			case happened <- event:
			case <-ctx.Done():
			}
		}
	}
	go func() { failed <- c.group().OOM(ctx, c.runtime.Door, tell("oom")) }()
	if pressure != "" {
		go func() { failed <- c.group().Pressure(ctx, c.runtime.Door, pressure, tell("pressure")) }()
	}
	ended := make(chan error, 1)
	go func() { ended <- c.awaitEnd() }()
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	event, err := c.Stats()
	for {
		if err != nil {
			return err
		}
		if err := report(event); err != nil {
			return err
		}
		select {
		case <-ticker.C:
			if event, err = c.Stats(); errors.Is(err, ErrNotRunning) {
				return nil // it has ended meanwhile
			}
		case what := <-happened:
			event = Event{Type: what, ID: c.ID}
		case err := <-failed:
			return err
		case err := <-ended:
			return err
		}
	}
}

// awaitEnd waits for the end of the container's first process: its pidfd becomes readable then.
func (c *Container) awaitEnd() error {
	fd, err := unix.PidfdOpen(c.Pid, 0)
	if err != nil || !c.alive() {
		return nil // it has ended already
	}
	defer unix.Close(fd)
	for {
		_, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, -1)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
