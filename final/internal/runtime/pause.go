//go:build linux

package runtime

import "fmt"

// Pause stops every process of the container where it is: they do not notice (cgroup freezer).
func (c *Container) Pause() error {
	status, err := c.Status()
	if err != nil {
		return err
	}
	if status == Paused {
		return fmt.Errorf("container %q: cannot pause a container that is paused", c.ID)
	}
	if status != Running && status != Created {
		return fmt.Errorf("container %q: cannot pause a container that is %s: %w", c.ID, status, ErrNotRunning)
	}
	err = c.group().Freeze(c.runtime.Door)
	if err != nil && !c.alive() { // and with it the group has gone
		return fmt.Errorf("container %q: it has ended: %w", c.ID, ErrNotRunning)
	}
	return err
}

// Resume lets the processes of a paused container go on.
func (c *Container) Resume() error {
	status, err := c.Status()
	if err != nil {
		return err
	}
	if status != Paused {
		return fmt.Errorf("container %q: cannot resume a container that is %s: not paused", c.ID, status)
	}
	return c.group().Thaw(c.runtime.Door)
}
