//go:build linux

package cgroup

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/simple-container/simple-container/final/internal/kernel"
)

// place returns where in a tree a container's group is: a path from the tree's root.
//
//	linux.cgroupsPath    v1                          v2
//	/docker/cafe         /docker/cafe                /docker/cafe
//	cafe                 OWN/cafe                    beside OWN
//	(empty)              OWN/simple-container-ID     beside OWN
//
// OWN is the group of this process: a limit that someone set for it holds for its containers too. In v2 a
// group that has processes can hand no controllers down (cgroups(7), "no internal processes"), so the
// container's group is a sibling there; for who is not root, and may make none there, it is below OWN.
func (h Hierarchy) place(cgroupsPath, id string, own Membership) (string, error) {
	if cgroupsPath == "" {
		cgroupsPath = kernel.Prefix + id
	}
	if slices.Contains(strings.Split(cgroupsPath, "/"), "..") {
		return "", fmt.Errorf("linux.cgroupsPath: %q: must not go up with ..", cgroupsPath)
	}
	where := path.Clean("/" + cgroupsPath)
	if where == "/" {
		return "", fmt.Errorf("linux.cgroupsPath: %q: is the root of the hierarchy", cgroupsPath)
	}
	if path.IsAbs(cgroupsPath) {
		return where, nil
	}
	parent := own.in(h)
	if h.Version == 2 {
		parent = h.parentBy(parent)
	}
	return path.Join(parent, where), nil
}

// in returns the group in one tree. From inside a cgroup namespace a group further up reads /../.., which
// cannot be reached: the namespace's root must do.
func (m Membership) in(h Hierarchy) string {
	keys := append(slices.Clone(h.Controllers), "name="+h.Name)
	if h.Version == 2 {
		keys = []string{""}
	}
	for _, key := range keys {
		if group, ok := m[key]; ok {
			return path.Clean("/" + group)
		}
	}
	return "/"
}
