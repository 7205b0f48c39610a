//go:build linux

package rootfs

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/op"
)

// Cgroup is how a mount of type cgroup is made, which means whatever the host has.
type Cgroup struct {
	// Namespace says that the container has a cgroup namespace: the hierarchies are mounted anew and begin at
	// its own group. Without, the directory of its group is bound, so that it sees no other; where the host has v2
	// alone, the whole tree is.
	Namespace bool

	// Tree is the directory of the unified hierarchy on the host, where that is all the host has.
	Tree string

	// Hierarchies are those of v1, and a unified one beside them; none if the host has cgroup v2 alone.
	Hierarchies []Hierarchy
}

// A Hierarchy is one directory of /sys/fs/cgroup on a host with cgroup v1.
type Hierarchy struct {
	Name    string   // of the directory: "cpu,cpuacct", "systemd", "unified"
	Type    string   // cgroup or cgroup2
	Options string   // as mount(2) wants them: "cpu,cpuacct", "none,name=systemd", ""
	Group   string   // the container's directory on the host
	Links   []string // names that lead to it: "cpu", "cpuacct"
}

// cgroup mounts the container's view of its cgroup (cgroups(7), cgroup_namespaces(7)).
func (b *builder) cgroup(i int, o options) error {
	switch {
	case len(b.Cgroup.Hierarchies) > 0:
		return b.cgroupV1(i, o)
	case b.Cgroup.Namespace:
		b.fileSystem(i, "cgroup2", o)
	case b.Cgroup.Tree == "":
		return errors.New("type: cgroup: the container has no cgroup of its own to show: " +
			"add a new cgroup namespace, or leave the mount out")
	default:
		o.bind, o.data = unix.MS_BIND, nil
		b.bind(i, o, b.Cgroup.Tree)
	}
	return nil
}

// cgroupV1 mounts a tmpfs with one directory for each hierarchy.
func (b *builder) cgroupV1(i int, o options) error {
	site := b.sites[i]
	target := b.target(i, false)
	place := b.host(site.Target)
	flags := o.set &^ unix.MS_RDONLY // until the directories are there
	data := b.context("tmpfs", []string{"mode=755"})
	b.add(typed(op.Mount(op.Str("tmpfs"), b.at(op.Val(target)), "tmpfs", flags, strings.Join(data, ",")),
		"a place for the hierarchies", "mount", "-t", "tmpfs", "-o", optionList(flags, data...), "tmpfs", place))
	b.close(target)
	dir := b.reopen(site.Target)
	for _, h := range b.Cgroup.Hierarchies {
		if strings.Contains(h.Name, "/") || !b.Cgroup.Namespace && h.Group == "" {
			return fmt.Errorf("type: cgroup: hierarchy %q, group %q: want a name and a directory", h.Name, h.Group)
		}
		b.hierarchy(dir, site.Target, h, o)
	}
	o.rset, o.rclear = 0, 0
	b.tune(op.Val(dir), o, flags, place)
	b.close(dir)
	return nil
}

// hierarchy mounts one of them on a directory of its name, made in dir.
func (b *builder) hierarchy(dir *op.Var, target string, h Hierarchy, o options) {
	place := path.Join(b.host(target), h.Name)
	b.add(because(op.Mkdirat(op.Val(dir), h.Name, 0o755), "one directory each"))
	if b.Cgroup.Namespace {
		point := op.NewVar("target")
		b.add(because(op.Openat2(op.Val(dir), h.Name, unix.O_PATH|unix.O_DIRECTORY, inRoot, point), "just made"))
		b.add(typed(op.Mount(op.Str("cgroup"), b.at(op.Val(point)), h.Type, o.set, h.Options),
			"it begins at the container's own group",
			"mount", "-t", h.Type, dashO(o.set, h.Options), optionList(o.set, h.Options), "cgroup", place))
		b.close(point)
	} else {
		tree := op.NewVar("tree")
		b.add(typed(openTree(op.AtFdcwd(), h.Group, 0, tree), "the container's group, and no other",
			"mount", "--bind", h.Group, place))
		attributes := options{set: o.set &^ superFlags}
		if b.MountSetattr {
			b.tune(op.Val(tree), attributes, 0, place)
		}
		b.add(because(moveMount(op.Val(tree), op.Val(dir), h.Name), "there it appears, as it is to be"))
		if !b.MountSetattr {
			b.tune(op.Val(tree), attributes, 0, place)
		}
		b.close(tree)
	}
	for _, link := range h.Links {
		b.add(typed(symlinkat(h.Name, op.Val(dir), link), "mounted together, known by each name",
			"ln", "-s", h.Name, path.Join(b.host(target), link)))
	}
}
