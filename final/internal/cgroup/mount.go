//go:build linux

package cgroup

import (
	"path/filepath"
	"slices"
	"strings"
)

// A Mount is what /sys/fs/cgroup in a container takes from one tree.
type Mount struct {
	Version int
	Name    string   // its directory below /sys/fs/cgroup: memory, or cpu,cpuacct; empty on a unified machine
	Links   []string // other names of it: cpu and cpuacct
	Options string   // of the file system cgroup, for a mount of the tree in a new cgroup namespace
	Dir     string   // on the host, to bind without a new namespace: the group's, or the whole tree if v2 is alone
}

// Mounts returns them, in the order of the host's. A v2 tree beside v1 trees has the name unified. Alone, it is
// shown whole to who is in the host's namespace, as runc has it: there /proc/self/cgroup tells the way from the
// tree's root, and what reads it looks below /sys/fs/cgroup.
func (g *Group) Mounts() (mounts []Mount) {
	parts := slices.Concat(g.parts, g.shared)
	for _, p := range parts {
		m := Mount{Version: p.Version, Dir: p.dir, Name: filepath.Base(p.Dir)}
		switch {
		case p.Version == 1:
			m.Options = optionsV1(p.Options)
			if len(p.Controllers) > 1 {
				m.Links = p.Controllers
			}
		case len(parts) == 1:
			m.Name, m.Dir = "", p.Dir
		}
		mounts = append(mounts, m)
	}
	return mounts
}

// optionsV1 are those that say which tree it is, out of "rw,xattr,name=systemd" or "rw,cpu,cpuacct". A tree
// without controllers must say none.
func optionsV1(options string) string {
	var keep []string
	for word := range strings.SplitSeq(options, ",") {
		switch {
		case word == "rw" || word == "ro" || strings.HasPrefix(word, "release_agent="):
		case strings.HasPrefix(word, "name="):
			keep = append(keep, "none", word)
		default:
			keep = append(keep, word)
		}
	}
	return strings.Join(keep, ",")
}
