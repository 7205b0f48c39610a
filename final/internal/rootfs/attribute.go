//go:build linux

package rootfs

import (
	"strings"

	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/op"
)

// A change is what mount_setattr(2) does to a mount: the MOUNT_ATTR_ bits to set and to clear, and the
// propagation to give it.
type change struct {
	set, clear, propagation uint64
}

// attributes are the flags of mount(2) that belong to a mount, not to a file system, and their other names.
var attributes = []struct {
	flag      uintptr
	attribute uint64
}{
	{unix.MS_RDONLY, unix.MOUNT_ATTR_RDONLY},
	{unix.MS_NOSUID, unix.MOUNT_ATTR_NOSUID},
	{unix.MS_NODEV, unix.MOUNT_ATTR_NODEV},
	{unix.MS_NOEXEC, unix.MOUNT_ATTR_NOEXEC},
	{unix.MS_NODIRATIME, unix.MOUNT_ATTR_NODIRATIME},
	{unix.MS_NOSYMFOLLOW, unix.MOUNT_ATTR_NOSYMFOLLOW},
}

// changes translates flags of mount(2). The three ways to keep access times are one field here, which is
// cleared as a whole; relatime is its 0, and what not naming the others leads to.
func changes(set, clear uintptr) (c change) {
	for _, a := range attributes {
		if set&a.flag != 0 {
			c.set |= a.attribute
		}
		if clear&a.flag != 0 {
			c.clear |= a.attribute
		}
	}
	if (set|clear)&atimes != 0 {
		c.clear |= unix.MOUNT_ATTR__ATIME
	}
	switch {
	case set&unix.MS_NOATIME != 0:
		c.set |= unix.MOUNT_ATTR_NOATIME
	case set&unix.MS_STRICTATIME != 0:
		c.set |= unix.MOUNT_ATTR_STRICTATIME
	}
	return c
}

var attributeNames = []op.Flag{
	{Value: unix.MOUNT_ATTR_RDONLY, Name: "MOUNT_ATTR_RDONLY"}, {Value: unix.MOUNT_ATTR_NOSUID, Name: "MOUNT_ATTR_NOSUID"},
	{Value: unix.MOUNT_ATTR_NODEV, Name: "MOUNT_ATTR_NODEV"}, {Value: unix.MOUNT_ATTR_NOEXEC, Name: "MOUNT_ATTR_NOEXEC"},
	{Value: unix.MOUNT_ATTR__ATIME, Name: "MOUNT_ATTR__ATIME"},
	{Value: unix.MOUNT_ATTR_NOATIME, Name: "MOUNT_ATTR_NOATIME"},
	{Value: unix.MOUNT_ATTR_STRICTATIME, Name: "MOUNT_ATTR_STRICTATIME"},
	{Value: unix.MOUNT_ATTR_NODIRATIME, Name: "MOUNT_ATTR_NODIRATIME"},
	{Value: unix.MOUNT_ATTR_NOSYMFOLLOW, Name: "MOUNT_ATTR_NOSYMFOLLOW"},
}

// String returns the change as the fields of struct mount_attr that are not 0.
func (c change) String() string {
	text := ""
	field := func(name string, arg op.Arg) { text += ", " + name + "=" + arg.String() }
	if c.set != 0 {
		field("set", op.Flags(c.set, attributeNames))
	}
	if c.clear != 0 {
		field("clr", op.Flags(c.clear, attributeNames))
	}
	if c.propagation != 0 {
		field("propagation", op.Flags(c.propagation, op.MountFlags))
	}
	return "{" + text[min(len(text), len(", ")):] + "}"
}

// setattr is mount_setattr(2) on the mount that a descriptor is at. It leaves alone what it does not name,
// which remounting with mount(2) cannot. flags is 0 or AT_RECURSIVE.
func setattr(mount op.Arg, flags int, c change) op.Op {
	return op.Op{Name: "mount_setattr", Nr: unix.SYS_MOUNT_SETATTR, Args: []op.Arg{
		mount, op.Str(""), op.Flags(unix.AT_EMPTY_PATH|flags, atFlags),
		op.Ref(op.Words(c.set, c.clear, c.propagation, 0)).As(c.String()), op.Int(unix.MOUNT_ATTR_SIZE_VER0),
	}}
}

// tune gives the mount that a descriptor is at the attributes and the propagation of o. flags are those that
// it has. place is where it is, for people.
func (b *builder) tune(mount op.Arg, o options, flags uintptr, place string) {
	if !b.MountSetattr {
		b.tuneByPath(mount, o, flags, place)
		return
	}
	if o.set|o.clear != 0 {
		b.setattrOrKeep(mount, o, place)
	}
	if o.rset|o.rclear != 0 {
		b.add(typed(setattr(mount, unix.AT_RECURSIVE, changes(o.rset, o.rclear)), "for the whole tree",
			"mount", "-o", "remount,bind,"+recursiveList(o.rset, o.rclear), place))
	}
	for _, p := range o.propagation {
		change := change{propagation: uint64(p &^ unix.MS_REC)}
		b.add(typed(setattr(mount, treeFlags(p), change), propagationWhy(p), "mount", "--make-"+propagationName(p), place))
	}
}

// setattrOrKeep changes the attributes of one mount. In a user namespace those that the host's administrator
// has set are locked (mount_namespaces(7)): what cannot be cleared stays, which is less than was asked for,
// never more.
func (b *builder) setattrOrKeep(mount op.Arg, o options, place string) {
	all := typed(setattr(mount, 0, changes(o.set, o.clear)), "the attributes of this mount alone",
		"mount", "-o", optionList(unix.MS_REMOUNT|unix.MS_BIND|o.set), place)
	keep := changes(o.set&^atimes, 0)
	if !b.UserNamespace || keep == changes(o.set, o.clear) {
		b.add(all)
		return
	}
	label := b.after(place)
	all.Accept, all.Zero = []unix.Errno{unix.EPERM}, label
	b.add(all, because(setattr(mount, 0, keep), "some are locked: those stay as they are on the host"))
	b.here(label)
}

// tuneByPath is tune for kernels before 5.12. A remount sets all attributes of a mount, so those that nobody
// names are repeated.
func (b *builder) tuneByPath(mount op.Arg, o options, flags uintptr, place string) {
	if !o.tunes() {
		return
	}
	path := b.at(mount)
	remount := func(flags uintptr) op.Op {
		flags |= unix.MS_REMOUNT | unix.MS_BIND
		return typed(op.Mount(op.Null(), path, "", flags, ""), "the attributes of this mount alone",
			"mount", "-o", optionList(flags), place)
	}
	want, keep := flags&^o.clear|o.set, flags|o.set&^atimes
	switch first := remount(want); {
	case o.set|o.clear == 0:
	case b.UserNamespace && want != keep:
		label := b.after(place)
		first.Accept, first.Zero = []unix.Errno{unix.EPERM}, label
		b.add(first, because(remount(keep), "some are locked: those stay as they are on the host"))
		b.here(label)
	default:
		b.add(first)
	}
	for _, p := range o.propagation {
		b.add(typed(op.Mount(op.Null(), path, "", p, ""), propagationWhy(p), "mount", "--make-"+propagationName(p), place))
	}
}

// recursiveList writes flags as the options of mount(8) that are for a whole tree.
func recursiveList(set, clear uintptr) string {
	var list []string
	for _, option := range attributeOptions {
		if option.set != 0 && set&option.set != 0 || option.set == 0 && clear&option.clear == option.clear {
			list = append(list, option.name+"=recursive")
		}
	}
	return strings.Join(list, ",")
}

func propagationName(flags uintptr) string {
	for _, p := range propagations {
		if p.set == flags {
			return p.name
		}
	}
	return ""
}

func propagationWhy(flags uintptr) string {
	switch flags &^ unix.MS_REC {
	case unix.MS_SHARED:
		return "mounts made here show up in its copies, and the other way round"
	case unix.MS_SLAVE:
		return "mounts of the host show up here, not the other way round"
	case unix.MS_UNBINDABLE:
		return "it cannot be copied"
	}
	return "mounts stay where they are made"
}
