//go:build linux

package cgroup

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// unified takes files of cgroup2 as they are: "memory.high": "1000000". They come last, and so override. What
// a file says back is its own matter; the kernel's word on the write must do.
func (g *Group) unified(r *specs.LinuxResources) (changes []change, err error) {
	for _, file := range slices.Sorted(maps.Keys(r.Unified)) {
		field := fmt.Sprintf("unified[%q]", file)
		controller, _, ok := strings.Cut(file, ".")
		if !ok || controller == "" || strings.Contains(file, "/") {
			return nil, refuse(field, r.Unified[file], "want the name of a file in a cgroup2 directory")
		}
		p := g.v2()
		if p == nil {
			return nil, refuse(field, r.Unified[file], "no cgroup2 tree is mounted")
		}
		// A line at a time: io.max takes one device.
		for line := range strings.SplitSeq(strings.TrimSpace(r.Unified[file]), "\n") {
			changes = append(changes, change{
				setting:    setting{field: field, file: file, value: line, blind: true},
				controller: controller, part: p,
			})
		}
	}
	return changes, nil
}
