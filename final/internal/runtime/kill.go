//go:build linux

package runtime

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Kill sends a signal to the container's first process, or with all to every process of its cgroup. With SIGKILL
// the container ends: where it has no PID namespace that ends with its first process, the others are killed too,
// also those that it has left behind.
func (c *Container) Kill(signal unix.Signal, all bool) error {
	if !c.Complete {
		status, err := c.Status() // which looks again
		if status == Creating || status == Stopped || err != nil {
			err = errors.Join(err, ErrNotRunning)
			return fmt.Errorf("container %q: cannot kill a container that is %s: %w", c.ID, status, err)
		}
	}
	if !all && signal == unix.SIGKILL {
		leaves, err := c.leavesOthers()
		if err != nil {
			return err
		}
		all = leaves
	}
	if all {
		if err := c.group().Kill(c.runtime.Door, signal); err != nil {
			return fmt.Errorf("container %q: %w", c.ID, err)
		}
		if signal != unix.SIGKILL {
			return nil
		}
	}
	// The first process gets it after cgroup.kill, too: that passes over a process whose first thread is being killed
	// already, as it is while another thread calls execve and the process goes on in that one.
	if err := c.signal(signal); err != nil && !(all && errors.Is(err, ErrNotRunning)) {
		return fmt.Errorf("container %q: %w", c.ID, err)
	}
	return nil
}

// leavesOthers tells whether the container has processes that do not end with its first one.
func (c *Container) leavesOthers() (bool, error) {
	if c.NewPID || len(c.Cgroups) == 0 {
		return false, nil
	}
	pids, err := c.group().Pids(true)
	return len(pids) > 0, err
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
