//go:build linux

package cgroup

import (
	"fmt"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/simple-container/simple-container/final/internal/kernel"
)

// A unit is a scope of systemd: a group that systemd makes for processes that somebody else starts.
type unit struct {
	name       string // docker-cafe.scope
	slice      string // system.slice: the group above it
	started    bool
	resources  *specs.LinuxResources // until it is
	properties []property            // of the container's annotations, until it is
}

// newUnit reads linux.cgroupsPath as it is with systemd: slice:prefix:name. The name of a slice may be the
// unit itself.
func newUnit(path, id string) (*unit, error) {
	if path == "" {
		path = ":" + strings.TrimSuffix(kernel.Prefix, "-") + ":" + id
	}
	parts := strings.Split(path, ":")
	if len(parts) != 3 || parts[2] == "" || strings.Contains(path, "/") {
		return nil, fmt.Errorf("linux.cgroupsPath: %q: with systemd want slice:prefix:name", path)
	}
	u := &unit{slice: parts[0], name: parts[2]}
	switch {
	case u.slice == "" && kernel.OfUser(): // the systemd of the user's session
		u.slice = "user.slice"
	case u.slice == "":
		u.slice = "system.slice"
	}
	if !strings.HasSuffix(u.name, ".slice") {
		if parts[1] != "" {
			u.name = parts[1] + "-" + u.name
		}
		u.name += ".scope"
	}
	if _, err := expandSlice(u.slice); err != nil {
		return nil, fmt.Errorf("linux.cgroupsPath: %q: %w", path, err)
	}
	return u, nil
}

// path is where systemd puts the unit.
func (u *unit) path() string {
	dir, _ := expandSlice(u.slice) // newUnit has seen to it
	return dir + "/" + u.name
}

// expandSlice spells out where a slice is: a-b.slice is below a.slice, and -.slice is the root
// (systemd.slice(5)).
func expandSlice(slice string) (path string, err error) {
	name, ok := strings.CutSuffix(slice, ".slice")
	if !ok || name == "" {
		return "", fmt.Errorf("slice %q: want a name that ends with .slice", slice)
	}
	if name == "-" {
		return "", nil
	}
	prefix := ""
	for part := range strings.SplitSeq(name, "-") {
		if part == "" {
			return "", fmt.Errorf("slice %q: want words between the dashes", slice)
		}
		prefix += part
		path += "/" + prefix + ".slice"
		prefix += "-"
	}
	return path, nil
}

// Unit returns the name of the group's systemd unit, for state.json; empty without systemd.
func (g *Group) Unit() string {
	if g.unit == nil {
		return ""
	}
	return g.unit.name
}

func loadUnit(name string) *unit {
	if name == "" {
		return nil
	}
	return &unit{name: name, started: true}
}
