//go:build linux

package runtime

import (
	"fmt"
	"time"

	"github.com/simple-container/simple-container/final/internal/cgroup"
)

// An Event is a line of `events`, in runc's form.
type Event struct {
	Type string        `json:"type"` // stats or oom
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

// Events reports the container's figures each interval, and when it ran out of memory, until it has ended.
func (c *Container) Events(interval time.Duration, report func(Event) error) error {
	for {
		event, err := c.Stats()
		if err != nil {
			return err
		}
		if err := report(event); err != nil {
			return err
		}
		time.Sleep(interval)
		if !c.alive() {
			return nil
		}
	}
}
