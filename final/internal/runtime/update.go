//go:build linux

package runtime

import (
	"fmt"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// Update changes the limits of a container; a field that is not set keeps its limit.
func (c *Container) Update(resources *specs.LinuxResources) error {
	held, err := c.runtime.lock(c.ID)
	if err != nil {
		return err
	}
	defer held.Close()
	status, err := c.Status()
	if err != nil {
		return err
	}
	if status == Stopped {
		return fmt.Errorf("container %q: %w", c.ID, ErrNotRunning)
	}
	return c.group().Update(c.runtime.Door, resources)
}

// Pids returns the container's processes, as this process's PID namespace numbers them.
func (c *Container) Pids() ([]int, error) {
	pids, err := c.group().Pids(true)
	if err != nil {
		return nil, fmt.Errorf("container %q: %w", c.ID, err)
	}
	return pids, nil
}
