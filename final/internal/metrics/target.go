//go:build linux

package metrics

import (
	"maps"
	"time"
)

// A Target is a container to be measured.
type Target struct {
	ID      string            `json:"id"`
	Name    string            `json:"name"`             // the ID if it has no other
	Image   string            `json:"image,omitempty"`  // as it was asked for
	Pid     int               `json:"pid"`              // of its first process; 0 takes any of the cgroup's
	Cgroups map[string]string `json:"cgroups"`          // directories, as cgroup.Group.Paths has them
	Created time.Time         `json:"created,omitzero"` // when its first process began, if zero
	Status  string            `json:"status,omitempty"` // created, running, paused or stopped, if known
}

// Stopped tells whether the container is there, and does not run.
func (t Target) Stopped() bool { return t.Status == "stopped" }

// same tells whether two targets are one container's, and what is open for the one is right for the other.
func (t Target) same(other Target) bool {
	return t.ID == other.ID && t.Pid == other.Pid && maps.Equal(t.Cgroups, other.Cgroups)
}
