//go:build linux

package confine

import (
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/simple-container/simple-container/final/internal/op"
)

// Attributes gives the process what it passes on to all that it starts, and what takes capabilities that
// Identity takes away. linux is nil for a process that joins a container, if it has none of its own.
func Attributes(l *op.List, p *specs.Process, linux *specs.Linux) error {
	if err := scheduler(l, p.Scheduler); err != nil {
		return err
	}
	if err := ioPriority(l, p.IOPriority); err != nil {
		return err
	}
	if linux == nil {
		return nil
	}
	if err := personality(l, linux.Personality); err != nil {
		return err
	}
	return memoryPolicy(l, linux.MemoryPolicy)
}
