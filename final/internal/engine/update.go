//go:build linux

package engine

import (
	"errors"
	"runtime"

	"github.com/simple-container/simple-container/final/internal/ocispec"
	oci "github.com/simple-container/simple-container/final/internal/runtime"
)

// Update changes the container's limits, those that it has now and at its next start. A field that is zero stays.
func (c *Container) Update(change ocispec.Resources) error {
	held, err := c.lock()
	if err != nil {
		return err
	}
	defer held.Close()
	if err := c.readRecord(); err != nil {
		return err
	}
	all := merge(c.Options.Resources, change)
	limits, err := all.Spec(runtime.NumCPU()) // what does not go together is an error before anything is changed
	if err != nil {
		return err
	}
	if c.State.Status == Running {
		made, err := c.engine.OCI.Load(c.ID)
		if err == nil {
			err = made.Update(limits)
		}
		if err != nil && !errors.Is(err, oci.ErrNotRunning) && !errors.Is(err, oci.ErrNotExist) {
			return err
		}
	}
	c.Options.Resources = all
	return writeJSON(c.path(recordFile), c.Record)
}

// merge lays the fields that are set over others. Limits that say the same in two ways replace one another.
func merge(r, change ocispec.Resources) ocispec.Resources {
	if change.NanoCPUs != 0 {
		r.CPUPeriod, r.CPUQuota = 0, 0
	}
	if change.CPUPeriod != 0 || change.CPUQuota != 0 {
		r.NanoCPUs = 0
	}
	if change.Memory != 0 && change.MemorySwap == 0 && r.MemorySwap > 0 && r.MemorySwap < change.Memory {
		r.MemorySwap = 0
	}
	over(&r.Memory, change.Memory)
	over(&r.MemorySwap, change.MemorySwap)
	over(&r.Reservation, change.Reservation)
	over(&r.Swappiness, change.Swappiness)
	over(&r.NoOOMKill, change.NoOOMKill)
	over(&r.NanoCPUs, change.NanoCPUs)
	over(&r.CPUShares, change.CPUShares)
	over(&r.CPUPeriod, change.CPUPeriod)
	over(&r.CPUQuota, change.CPUQuota)
	over(&r.CpusetCPUs, change.CpusetCPUs)
	over(&r.CpusetMems, change.CpusetMems)
	over(&r.Pids, change.Pids)
	over(&r.BlkioWeight, change.BlkioWeight)
	return r
}

func over[T comparable](field *T, value T) {
	if value != *new(T) {
		*field = value
	}
}
