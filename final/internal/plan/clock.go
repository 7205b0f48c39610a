//go:build linux

package plan

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/op"
)

// setClocks writes the offsets of the clocks in the time namespace (time_namespaces(7)).
func (c *create) setClocks() {
	if len(c.spec.Linux.TimeOffsets) == 0 {
		return
	}
	var text strings.Builder
	for _, clock := range slices.Sorted(maps.Keys(c.spec.Linux.TimeOffsets)) {
		offset := c.spec.Linux.TimeOffsets[clock]
		fmt.Fprintf(&text, "%s %d %d\n", clock, offset.Secs, offset.Nanosecs)
	}
	file := op.NewVar("offsets")
	open := op.Open("/proc/self/timens_offsets", unix.O_WRONLY, file)
	write := op.Write(op.Val(file), text.String())
	write.Why = "how far the clocks are from the host's"
	write.Means = fmt.Sprintf("linux.timeOffsets: write %q", text.String())
	c.Add(open, write)
}

func checkClocks(offsets map[string]specs.LinuxTimeOffset) error {
	for _, clock := range slices.Sorted(maps.Keys(offsets)) {
		if clock != "monotonic" && clock != "boottime" {
			return fmt.Errorf("linux.timeOffsets: %q: want monotonic or boottime", clock)
		}
		if n := offsets[clock].Nanosecs; n >= 1e9 {
			return fmt.Errorf("linux.timeOffsets: %q: nanosecs %d: want less than a second", clock, n)
		}
	}
	return nil
}
