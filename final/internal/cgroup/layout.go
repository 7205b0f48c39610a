//go:build linux

// Package cgroup gives a container its control groups: it makes them, limits them, freezes, watches and
// measures what is in them, and removes them with all that is in them.
//
// cgroup v2 is one tree for all controllers. In cgroup v1 each controller has a tree of its own, and a
// controller that some program bound to v1 at boot is missing from v2: a hybrid host. So a container may
// have a group in several trees, all of one name. A file per controller has what is set, on v2 and on v1,
// beside what is measured.
package cgroup

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/kernel"
)

// A Hierarchy is one tree of groups.
type Hierarchy struct {
	Dir         string   // where its root is mounted
	Version     int      // 1 or 2
	Controllers []string // those that are bound to it
	Name        string   // of a v1 tree without controllers: systemd
	Options     string   // of the file system: rw,cpu,cpuacct
	ReadOnly    bool     // the mount is
}

// A Layout is all the trees of a machine.
type Layout []Hierarchy

// Mode says which version the controllers are on.
type Mode string

const (
	Unified Mode = "unified" // v2 alone
	Hybrid  Mode = "hybrid"  // v2, and controllers on v1
	Legacy  Mode = "legacy"  // v1 alone
	Absent  Mode = "absent"  // nothing is mounted
)

// Find reads the layout out of a mount table. Each tree counts once, however often it is mounted; a mount
// that another one covers, or that shows only a part of the tree, does not count.
func Find(mounts []*mountinfo.Info) (Layout, error) {
	var layout Layout
	seen := map[[2]int]bool{} // the device number stands for the tree
	for _, m := range mounts {
		device := [2]int{m.Major, m.Minor}
		// 41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
		// 35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
		if m.FSType != "cgroup" && m.FSType != "cgroup2" || !isWhole(m.Root) || seen[device] || !visible(m) {
			continue
		}
		seen[device] = true
		h := Hierarchy{
			Dir: m.Mountpoint, Version: 1, Options: m.VFSOptions,
			ReadOnly: slices.Contains(strings.Split(m.Options, ","), "ro"),
		}
		if m.FSType == "cgroup" {
			h.Controllers = controllersOf(m.VFSOptions)
			h.Name = nameOf(m.VFSOptions)
		} else {
			h.Version = 2
			text, err := kernel.ReadFile(h.Dir + "/cgroup.controllers")
			if err != nil {
				return nil, err
			}
			h.Controllers = strings.Fields(text)
		}
		layout = append(layout, h)
	}
	return layout, nil
}

// isWhole tells whether a mount shows the tree from its root: "/". In a cgroup namespace that is the root of
// the namespace, and a mount from outside begins further up: "/..", "/../..".
func isWhole(root string) bool { return strings.Trim(root, "/.") == "" }

// visible tells whether the mount point leads to this mount, and not to one on top of it.
var visible = func(m *mountinfo.Info) bool {
	var stat unix.Stat_t
	if err := unix.Stat(m.Mountpoint, &stat); err != nil {
		return false
	}
	return unix.Mkdev(uint32(m.Major), uint32(m.Minor)) == stat.Dev
}

// controllersOf picks the controllers out of a v1 mount's options: "rw,cpu,cpuacct", "rw,xattr,name=systemd".
func controllersOf(options string) []string {
	others := []string{"rw", "ro", "xattr", "noprefix", "clone_children", "cpuset_v2_mode", "favordynmods", "none"}
	return slices.DeleteFunc(strings.Split(options, ","), func(word string) bool {
		return strings.Contains(word, "=") || slices.Contains(others, word)
	})
}

// nameOf picks the name out of a v1 mount's options: "rw,xattr,name=systemd".
func nameOf(options string) string {
	for word := range strings.SplitSeq(options, ",") {
		if name, ok := strings.CutPrefix(word, "name="); ok {
			return name
		}
	}
	return ""
}

// V2 returns the cgroup2 tree.
func (l Layout) V2() (h Hierarchy, ok bool) {
	i := slices.IndexFunc(l, func(h Hierarchy) bool { return h.Version == 2 })
	if i < 0 {
		return h, false
	}
	return l[i], true
}

// Controller returns the tree that a controller is bound to: v2 where it is there.
func (l Layout) Controller(name string) (found Hierarchy, ok bool) {
	for _, h := range l {
		if slices.Contains(h.Controllers, name) && (!ok || h.Version == 2) {
			found, ok = h, true
		}
	}
	return found, ok
}

// Mode returns which version the controllers are on. A v1 tree without a controller is systemd's book of
// services and changes nothing.
func (l Layout) Mode() Mode {
	_, v2 := l.V2()
	v1 := slices.ContainsFunc(l, func(h Hierarchy) bool { return h.Version == 1 && len(h.Controllers) > 0 })
	switch {
	case v1 && v2:
		return Hybrid
	case v1:
		return Legacy
	case v2:
		return Unified
	}
	return Absent
}

// Groups returns the directories of the groups directly below the roots that keep accepts by name.
func (l Layout) Groups(keep func(name string) bool) ([]string, error) {
	var groups []string
	for _, h := range l {
		entries, err := os.ReadDir(h.Dir)
		if err != nil {
			return nil, fmt.Errorf("list cgroups: %w", err)
		}
		for _, entry := range entries {
			if entry.IsDir() && keep(entry.Name()) {
				groups = append(groups, filepath.Join(h.Dir, entry.Name()))
			}
		}
	}
	return groups, nil
}

// Membership is the group of a process in every tree: "" names v2, else a controller, or name=systemd.
type Membership map[string]string

// ParseMembership reads /proc/PID/cgroup (cgroups(7)):
//
//	4:memory:/process_api/321cb25c
//	2:cpu,cpuacct:/
//	0::/user.slice/session-1.scope
func ParseMembership(text string) Membership {
	groups := Membership{}
	for line := range strings.Lines(text) {
		_, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		names, path, ok := strings.Cut(rest, ":")
		if !ok {
			continue
		}
		for name := range strings.SplitSeq(names, ",") {
			groups[name] = path
		}
	}
	return groups
}
