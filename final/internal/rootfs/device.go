//go:build linux

package rootfs

import (
	"fmt"
	"path"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/op"
)

// A device is a node to be made.
type device struct {
	path          string // below the root
	kind          uint32 // S_IFCHR, S_IFBLK, S_IFIFO
	major, minor  uint32
	mode          uint32
	uid, gid      uint32
	moded         bool // the spec says which mode
	bound, exists bool // it is the host's, mounted; something may be there
	why           string
}

// defaultDevices are those that every container has: they harm nobody, and without /dev/null, "> /dev/null"
// makes a file that grows. Numbers are from Documentation/admin-guide/devices.txt of the kernel.
var defaultDevices = []device{
	{path: "dev/null", kind: unix.S_IFCHR, major: 1, minor: 3, mode: 0o666, why: "swallows what is written to it"},
	{path: "dev/zero", kind: unix.S_IFCHR, major: 1, minor: 5, mode: 0o666, why: "zeros without end"},
	{path: "dev/full", kind: unix.S_IFCHR, major: 1, minor: 7, mode: 0o666, why: "a disk that is always full"},
	{path: "dev/random", kind: unix.S_IFCHR, major: 1, minor: 8, mode: 0o666, why: "random numbers"},
	{path: "dev/urandom", kind: unix.S_IFCHR, major: 1, minor: 9, mode: 0o666, why: "random numbers, at once"},
	{path: "dev/tty", kind: unix.S_IFCHR, major: 5, minor: 0, mode: 0o666, why: "the terminal of whoever opens it"},
}

var deviceLinks = []struct{ name, target, why string }{
	{"fd", "/proc/self/fd", "the open files of whoever looks"},
	{"stdin", "/proc/self/fd/0", "the first of them"},
	{"stdout", "/proc/self/fd/1", "the second"},
	{"stderr", "/proc/self/fd/2", "the third"},
	{"ptmx", "pts/ptmx", "new terminals come from the container's own devpts"},
}

// devices makes the nodes and links of /dev, unless the spec mounts the host's /dev there: that one is
// complete, and not the container's.
func (b *builder) devices() error {
	if b.devIsBound() {
		return nil
	}
	dev := op.NewVar("dev")
	b.field = "/dev"
	if !b.mounts("dev") {
		b.add(missing(b.root, "dev", false))
	}
	b.add(because(op.Openat2(op.Val(b.root), "dev", unix.O_PATH|unix.O_DIRECTORY, inRoot|unix.RESOLVE_NO_SYMLINKS, dev),
		"an image's /dev may be a symbolic link: not followed"))
	devices, err := b.allDevices()
	if err != nil {
		return err
	}
	for _, d := range devices {
		b.device(dev, d)
	}
	for _, l := range deviceLinks {
		b.link(dev, l.name, l.target, l.why)
	}
	if b.Kcore {
		b.link(dev, "core", "/proc/kcore", "where some debuggers look for the kernel's memory")
	}
	b.close(dev)
	return nil
}

// devIsBound tells whether what is at /dev in the end is a bind mount.
func (b *builder) devIsBound() (bound bool) {
	for i := range b.spec.Mounts {
		if o := b.options[i]; b.sites[i].Target == "dev" && !o.remount {
			bound = o.bind != 0
		}
	}
	return bound
}

// devIsEmpty tells whether what is at /dev is a new tmpfs, in which nothing can be in the way.
func (b *builder) devIsEmpty() (empty bool) {
	for i, m := range b.spec.Mounts {
		if o := b.options[i]; b.sites[i].Target == "dev" && !o.remount {
			empty = m.Type == "tmpfs" && !o.copyUp
		}
	}
	return empty
}

// mounts tells whether the spec has a mount at a target.
func (b *builder) mounts(target string) bool {
	for i := range b.spec.Mounts {
		if b.sites[i].Target == target {
			return true
		}
	}
	return false
}

// allDevices are the default devices and those of the spec, which win.
func (b *builder) allDevices() ([]device, error) {
	var list []device
	index := map[string]int{}
	put := func(d device) {
		switch at, known := index[d.path]; {
		case b.mounts(d.path): // something of the spec is there already
		case known:
			list[at] = d
		default:
			index[d.path] = len(list)
			list = append(list, d)
		}
	}
	for _, d := range defaultDevices {
		put(d)
	}
	if b.spec.Linux != nil {
		for i, d := range b.spec.Linux.Devices {
			own, err := parseDevice(d)
			if err != nil {
				return nil, fmt.Errorf("linux.devices[%d].%w", i, err)
			}
			if own.path != "dev/ptmx" { // the host's, which a privileged container is sent; deviceLinks has its own
				put(own)
			}
		}
	}
	for i := range list {
		d := &list[i]
		d.bound = b.UserNamespace && d.kind != unix.S_IFIFO
		d.exists = !b.devIsEmpty() || path.Dir(d.path) != "dev"
	}
	return list, nil
}

func parseDevice(d specs.LinuxDevice) (device, error) {
	own := device{path: below(d.Path), mode: 0o666, why: "as the spec says"}
	switch d.Type {
	case "c", "u": // u is a character device without a buffer, which Linux has not (mknod(1))
		own.kind = unix.S_IFCHR
	case "b":
		own.kind = unix.S_IFBLK
	case "p":
		own.kind = unix.S_IFIFO
	default:
		return own, fmt.Errorf("type: %q: want c, b, u or p", d.Type)
	}
	if own.path == "" {
		return own, fmt.Errorf("path: %q: want a path below /", d.Path)
	}
	if own.kind != unix.S_IFIFO {
		const mostMajor, mostMinor = 1<<12 - 1, 1<<20 - 1 // what mknod(2) takes
		if d.Major < 0 || d.Major > mostMajor || d.Minor < 0 || d.Minor > mostMinor {
			return own, fmt.Errorf("major, minor: %d:%d: want at most %d:%d", d.Major, d.Minor, mostMajor, mostMinor)
		}
		own.major, own.minor = uint32(d.Major), uint32(d.Minor)
	}
	if d.FileMode != nil {
		own.mode, own.moded = uint32(*d.FileMode)&0o7777, true
	}
	if d.UID != nil {
		own.uid = *d.UID
	}
	if d.GID != nil {
		own.gid = *d.GID
	}
	return own, nil
}

// device makes a node. dev is the directory of most of them.
func (b *builder) device(dev *op.Var, d device) {
	b.field = "linux.devices: /" + d.path
	dir, name := dev, path.Base(d.path)
	if parent := path.Dir(d.path); parent != "dev" {
		dir = b.root
		if parent != "." {
			dir = b.open(parent, 0, false, true)
		}
	}
	if d.bound {
		b.bindDevice(dir, name, d)
	} else {
		b.makeDevice(dir, name, d)
	}
	if dir != dev {
		b.close(dir)
	}
}

// bindDevice shows the host's node: in a user namespace the kernel makes none.
func (b *builder) bindDevice(dir *op.Var, name string, d device) {
	tree := op.NewVar("tree")
	place := b.host(d.path)
	b.add(missing(dir, name, true),
		typed(openTree(op.AtFdcwd(), "/"+d.path, 0, tree), "a user namespace may not make nodes: the host's",
			"mount", "--bind", "/"+d.path, place),
		because(moveMount(op.Val(tree), op.Val(dir), name), d.why),
		closed(op.Val(tree)))
}

// makeDevice makes the node itself. What is there already must be the same device.
func (b *builder) makeDevice(dir *op.Var, name string, d device) {
	place := b.host(d.path)
	letter := map[uint32]string{unix.S_IFCHR: "c", unix.S_IFBLK: "b", unix.S_IFIFO: "p"}[d.kind]
	words := []string{"mknod", "-m", fmt.Sprintf("%o", d.mode), place, letter}
	if d.kind != unix.S_IFIFO {
		words = append(words, fmt.Sprint(d.major), fmt.Sprint(d.minor))
	}
	node := typed(mknodat(op.Val(dir), name, d.kind|d.mode, unix.Mkdev(d.major, d.minor)), d.why, words...)
	if !d.exists {
		b.add(node)
	} else {
		label := b.after("/" + d.path)
		node.Accept, node.Zero = []unix.Errno{unix.EEXIST}, label
		b.add(node)
		b.sameDevice(dir, name, d)
		b.here(label)
	}
	if d.uid|d.gid != 0 {
		b.add(typed(op.Op{Name: "fchownat", Nr: unix.SYS_FCHOWNAT, Args: []op.Arg{
			op.Val(dir), op.Str(name), op.Int(d.uid), op.Int(d.gid), op.Flags(unix.AT_SYMLINK_NOFOLLOW, atFlags),
		}}, "its owner", "chown", "-h", fmt.Sprintf("%d:%d", d.uid, d.gid), place))
	}
}

// sameDevice compares what is there with the device: its type and permissions, and its number. The container
// side cannot compare, but futex(2) can: FUTEX_CMP_REQUEUE says EAGAIN if a word of memory is not what is
// expected, and else wakes nobody here.
func (b *builder) sameDevice(dir *op.Var, name string, d device) {
	const modeAt, majorAt, minorAt = 28, 128, 132 // in struct statx
	stat := op.Zeros(256)
	b.add(because(op.Op{Name: "statx", Nr: unix.SYS_STATX, Args: []op.Arg{
		op.Val(dir), op.Str(name), op.Flags(unix.AT_SYMLINK_NOFOLLOW, atFlags),
		op.Int(unix.STATX_TYPE | unix.STATX_MODE).As("STATX_TYPE|STATX_MODE"), op.Ref(stat).As("&stat"),
	}}, "something is there: it must be the same device"))
	for _, field := range []struct {
		name   string
		offset int
		want   uint32
	}{
		{"mode", modeAt, d.kind | d.mode}, // 16 bits, and 16 that are 0
		{"rdev_major", majorAt, d.major},
		{"rdev_minor", minorAt, d.minor},
	} {
		word := op.Addr(&op.Var{Name: "stat." + field.name, Data: stat, Offset: field.offset})
		b.add(op.Op{Name: "futex", Nr: unix.SYS_FUTEX, Args: []op.Arg{
			word, op.Int(futexCmpRequeue).As("FUTEX_CMP_REQUEUE"), op.Int(0), op.Int(0), word,
			op.Int(field.want).As(fmt.Sprintf("%#o", field.want)),
		}, Why: "EAGAIN if " + field.name + " is another", Means: b.field + ": another file is there: " + field.name})
	}
}

const futexCmpRequeue = 4 // futex(2)

// link makes a symbolic link in /dev. What an image has there instead gives way.
func (b *builder) link(dev *op.Var, name, target, why string) {
	place := b.host("dev/" + name)
	b.field = "/dev/" + name
	link := typed(symlinkat(target, op.Val(dev), name), why, "ln", "-s", target, place)
	switch {
	case b.mounts("dev/" + name):
		return
	case b.devIsEmpty():
		b.add(link)
		return
	}
	label := b.after("/dev/" + name)
	first := link
	first.Accept, first.Zero = []unix.Errno{unix.EEXIST}, label
	b.add(first, because(op.Op{Name: "unlinkat", Nr: unix.SYS_UNLINKAT, Args: []op.Arg{
		op.Val(dev), op.Str(name), op.Int(0),
	}}, "what the image has there gives way"), link)
	b.here(label)
}
