//go:build linux

package rootfs

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/op"
)

// mount adds mount i of the spec.
func (b *builder) mount(i int) error {
	m, o := b.spec.Mounts[i], b.options[i]
	b.field = fmt.Sprintf("mounts[%d]: destination %s", i, m.Destination)
	if below(m.Destination) == "" {
		return errors.New(`destination: "/": the root is not to be covered, its own mount is root.path`)
	}
	if err := o.check(b.MountSetattr); err != nil {
		return fmt.Errorf("options: %w", err)
	}
	if err := b.checkProc(i, o); err != nil {
		return fmt.Errorf("destination: %q: %w", m.Destination, err)
	}
	if err := b.checkPrepared(i, o); err != nil {
		return err
	}
	switch _, prepared := b.copies[i]; {
	case o.remount:
		b.remount(i, o)
	case prepared || o.bind != 0:
		b.bind(i, o, b.source(i))
	case m.Type == "sysfs" && b.UserNamespace && !b.NetNamespace:
		b.bindSys(i, o)
	case m.Type == "cgroup":
		return b.cgroup(i, o)
	case m.Type == "":
		return errors.New("type: missing, and options have neither bind nor rbind")
	default:
		b.fileSystem(i, m.Type, o)
	}
	return nil
}

// checkPrepared refuses what the parent has to prepare and has not.
func (b *builder) checkPrepared(i int, o options) error {
	m := b.spec.Mounts[i]
	mapped := len(m.UIDMappings)+len(m.GIDMappings) > 0
	_, prepared := b.Sources[i]
	switch {
	case mapped && (len(m.UIDMappings) == 0 || len(m.GIDMappings) == 0):
		return errors.New("uidMappings, gidMappings: one without the other")
	case (mapped || o.idmap != 0) && (o.bind == 0 || o.remount):
		return errors.New("idmap: only a bind mount can have owners of its own")
	case (mapped || o.idmap != 0) && !b.MountSetattr:
		return errors.New("idmap: needs mount_setattr(2), Linux 5.12")
	case (mapped || o.idmap != 0) && !prepared:
		return errors.New("idmap: no mapped mount was prepared")
	case o.copyUp && m.Type != "tmpfs":
		return fmt.Errorf("options: tmpcopyup: only for tmpfs, this is %q", m.Type)
	case o.copyUp && !prepared:
		return errors.New("options: tmpcopyup: no filled tmpfs was prepared")
	}
	return nil
}

// target opens the place of mount i.
func (b *builder) target(i int, file bool) *op.Var {
	site, kind := b.sites[i], b.spec.Mounts[i].Type
	real := mustBeReal(below(b.spec.Mounts[i].Destination)) || kind == "proc" || kind == "sysfs"
	return b.open(site.Target, site.Exists, file, real)
}

// fileSystem mounts a file system. mount(2) is one call where fsopen(2) needs one per option; its target is a
// path, so the descriptor gets a number that a path can name.
func (b *builder) fileSystem(i int, kind string, o options) {
	m, site := b.spec.Mounts[i], b.sites[i]
	flags, data := o.set, b.context(kind, o.data)
	if readOnlyLate(m) {
		flags &^= unix.MS_RDONLY // until Protect: mount points and devices have to be made in it
	}
	if kind == "tmpfs" && site.Mode != 0 && !hasKey(data, "mode") {
		data = append(data, fmt.Sprintf("mode=%o", site.Mode)) // of what it covers: users expect it to stay
	}
	source := cmp.Or(m.Source, kind) // a dummy, for most
	target := b.target(i, false)
	mount := op.Mount(op.Str(source), b.at(op.Val(target)), kind, flags, strings.Join(data, ","))
	mount.Instead = b.denied(kind, b.unknownLabel())
	b.add(typed(mount, purpose(kind),
		"mount", "-t", kind, dashO(flags, data...), optionList(flags, data...), source, b.host(site.Target)))
	b.close(target)
	o.set, o.clear = 0, 0
	if o.tunes() || kind == "mqueue" && b.mountLabel() != "" {
		top := b.reopen(site.Target)
		b.relabel(kind, top)
		b.tune(op.Val(top), o, 0, b.host(site.Target))
		b.close(top)
	}
}

// reopen opens what is mounted at a target now.
func (b *builder) reopen(target string) *op.Var {
	return b.open(target, strings.Count(target, "/")+1, false, false)
}

// bind shows a tree at a second place. Where the kernel can, the copy is finished before it is mounted:
// nobody ever sees it with other attributes than it is to have.
func (b *builder) bind(i int, o options, source string) {
	site := b.sites[i]
	place := b.host(site.Target)
	if o.bind == 0 { // a tmpfs that the parent has filled
		o.set &^= unix.MS_RDONLY // until Protect, as any tmpfs
	}
	tree, opened := b.copies[i]
	if !opened {
		result := op.NewVar("tree")
		open := typed(openTree(op.AtFdcwd(), source, treeFlags(o.bind), result), "what to show at "+place,
			"mount", bindOption(o.bind), source, place)
		open.Means, open.Instead = fmt.Sprintf("mounts[%d]: source %s: open_tree", i, source), b.locked()
		b.add(open)
		tree = op.Val(result)
	}
	if b.MountSetattr {
		b.tune(tree, o, site.Flags, place)
	}
	target := b.target(i, site.File)
	b.add(because(moveMount(tree, op.Val(target), ""), "there it appears, as it is to be"))
	if !b.MountSetattr {
		b.tune(tree, o, site.Flags, place)
	}
	b.add(closed(tree))
	b.close(target)
}

// bindSys shows the host's /sys: the kernel mounts a new one only for the owner of the network namespace. The
// host's cgroups are mounted in it, so that attributes are for the whole tree (CVE-2023-25809).
func (b *builder) bindSys(i int, o options) {
	o.bind = unix.MS_BIND | unix.MS_REC
	if b.MountSetattr {
		o.rset, o.rclear = o.set|o.rset, o.clear|o.rclear
		o.set, o.clear = 0, 0
	}
	b.bind(i, o, "/sys")
}

func treeFlags(bind uintptr) int {
	if bind&unix.MS_REC != 0 {
		return unix.AT_RECURSIVE
	}
	return 0
}

func bindOption(bind uintptr) string {
	if bind&unix.MS_REC != 0 {
		return "--rbind"
	}
	return "--bind"
}

// remount changes what is mounted at a destination already.
func (b *builder) remount(i int, o options) {
	m, site := b.spec.Mounts[i], b.sites[i]
	if readOnlyLate(m) {
		o.set &^= unix.MS_RDONLY
	}
	top := b.reopen(site.Target)
	flags := unix.MS_REMOUNT | o.bind&^unix.MS_REC | o.set
	b.add(typed(op.Mount(op.Null(), b.at(op.Val(top)), "", flags, strings.Join(o.data, ",")),
		"as the spec says", "mount", "-o", optionList(flags, o.data...), b.host(site.Target)))
	o.set, o.clear = 0, 0
	b.tune(op.Val(top), o, 0, b.host(site.Target))
	b.close(top)
}

// readOnlyLate tells whether a mount becomes read-only only in Protect: other mount points and the devices
// have to be made in it first.
func readOnlyLate(m specs.Mount) bool { return m.Type == "tmpfs" || below(m.Destination) == "dev" }

func hasKey(data []string, key string) bool {
	for _, option := range data {
		if name, _, _ := strings.Cut(option, "="); name == key {
			return true
		}
	}
	return false
}

// purposes are what file systems without files of somebody are good for.
var purposes = []struct{ kind, why string }{
	{"proc", "the processes of the container's own PID namespace"},
	{"sysfs", "the devices, with the container's own network interfaces"},
	{"tmpfs", "files in memory, which go when the container goes"},
	{"devpts", "terminals of its own"},
	{"mqueue", "message queues of its own IPC namespace"},
	{"cgroup", "its limits and what it uses"},
	{"cgroup2", "its limits and what it uses"},
	{"overlay", "layers that show as one tree"},
}

func purpose(kind string) string {
	for _, p := range purposes {
		if p.kind == kind {
			return p.why
		}
	}
	return "as the spec says"
}
