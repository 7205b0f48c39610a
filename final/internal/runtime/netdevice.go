//go:build linux

package runtime

import (
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// netDevices are the devices that have been moved into a container's network namespace, which is open as long as they
// may have to come back.
type netDevices struct {
	namespace *os.File
	back      undoStack
}

// moveDevices moves network devices of the host into the container's network namespace (linux.netDevices). If then the
// container does not come to be, they come back: with its namespace the virtual ones would be gone for ever.
func (c *Container) moveDevices(pid int, s *specs.Spec) (err error) {
	if s.Linux == nil || len(s.Linux.NetDevices) == 0 {
		return nil
	}
	if c.devices.namespace, err = os.Open(fmt.Sprintf("/proc/%d/ns/net", pid)); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(s.Linux.NetDevices)) {
		back, err := c.runtime.Door.MoveLink(name, c.devices.namespace, s.Linux.NetDevices[name].Name)
		if err != nil {
			return fmt.Errorf("linux.netDevices: %q: %w", name, err)
		}
		c.devices.back.push(back)
	}
	return nil
}
