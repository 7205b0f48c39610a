//go:build linux

package runtime

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Kill sends a signal to the container's first process, or with all to every process of its cgroup.
func (c *Container) Kill(signal unix.Signal, all bool) error {
	if all {
		if err := c.group().Kill(c.runtime.Door, signal); err != nil {
			return fmt.Errorf("container %q: %w", c.ID, err)
		}
		return nil
	}
	if err := c.signal(signal); err != nil {
		return fmt.Errorf("container %q: %w", c.ID, err)
	}
	return nil
}

// signal reaches the container's first process, and never another that has got its pid.
func (c *Container) signal(signal unix.Signal) error {
	if !c.alive() {
		return ErrNotRunning
	}
	err := c.runtime.Door.Signal(c.Pid, signal, c.alive)
	if errors.Is(err, unix.ESRCH) {
		return ErrNotRunning
	}
	if err == nil && signal == unix.SIGKILL {
		err = c.thawForDeath()
	}
	return err
}

// thawForDeath lets a frozen container die: on v1 a frozen process does not even notice SIGKILL.
func (c *Container) thawForDeath() error {
	group := c.group()
	frozen, err := group.Frozen()
	if err != nil || !frozen {
		return nil // a group that is gone has no frozen process
	}
	return group.Thaw(c.runtime.Door)
}
