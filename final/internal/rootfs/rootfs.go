//go:build linux

// Package rootfs adds a container's file system tree to the plan: mounts in the order of the spec, device
// nodes, masked and read-only paths, propagation, and pivot_root.
//
// The image is not to be trusted, and neither is who shares a volume with the container: a symbolic link may
// be anywhere, and may be put there between a look and a mount. So no path of the container is ever given to
// mount(2). Each is opened first with openat2(2), which takes the container's root for the root of the path,
// and what is mounted then is mounted on that descriptor.
//
// [Prepare], [Protect] and [Enter] are pure functions of the spec and of [Options]; [Survey] and the
// functions that return files are for the parent, which looks and prepares. It may import the packages of
// the executors, whose calls it lists, and kernel. Step 02 shows the idea (rootfs.go).
package rootfs

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/op"
)

// Options is what the tree depends on beside the spec.
type Options struct {
	Root   string // the root file system: an absolute path on the host, without symbolic links
	Bundle string // where relative sources of bind mounts begin; an absolute path

	UserNamespace bool // the container's, new or joined, or the runtime's: device nodes are bound, not made
	NetNamespace  bool // it has a network namespace: without, a user namespace may not mount sysfs
	NoPivot       bool // move the root and chroot, where it is an initramfs, which cannot be pivoted
	MountSetattr  bool // mount_setattr(2) works, since Linux 5.12
	Kcore         bool // the kernel has /proc/kcore

	Bare   []string // what is to go if the root is moved: the host's mounts of procfs and sysfs, the last one first
	Cgroup Cgroup   // how a mount of type cgroup is made

	// Sites are what Survey found for the mounts of the spec, by their index. Without it, each component of
	// a destination is made if it is missing, and sources are directories.
	Sites     []Site
	RootFlags uintptr // MS_ flags of the mount that Root is on, for kernels without mount_setattr

	// Sources are the numbers, on the container side, of the descriptors of mounts that the parent has prepared
	// (the function Sources), by the index of the mount in the spec.
	Sources map[int]int

	// Spare is the number of a descriptor that paths name as /proc/self/fd/Spare. Whatever has the number is
	// closed; no descriptor opened later may get it, so it is one that is taken already or a high one. 0 is 200.
	Spare int
}

// Site is what the parent found out about a mount of the spec. All of it may be wrong by the time of the
// mount, which then fails, or lands elsewhere within the root.
type Site struct {
	Target string  // the destination below the root, its symbolic links resolved; empty is the destination
	Exists int     // how many of its leading components exist
	Mode   uint32  // permissions of the directory that is there, if all do
	File   bool    // the source of a bind mount is not a directory
	Flags  uintptr // MS_ flags of the mount that the source of a bind mount is on
	Proc   bool    // that mount is a procfs
}

// A builder adds the ops of one part of the tree.
type builder struct {
	list    *op.List
	spec    *specs.Spec
	root    *op.Var
	options []options      // of the spec's mounts
	sites   []Site         // of the same
	copies  map[int]op.Arg // sources of bind mounts that are open already, by the index of the mount
	label   string         // of the op that is added next
	field   string         // of the spec, which ops are for: it stands before their errors
	Options
}

func newBuilder(l *op.List, s *specs.Spec, o Options, root *op.Var) *builder {
	if o.Spare == 0 {
		o.Spare = 200
	}
	b := &builder{list: l, spec: s, root: root, copies: map[int]op.Arg{}, Options: o}
	b.field = "root.path: " + o.Root
	for i, m := range s.Mounts {
		parsed, site := parseOptions(m.Options), Site{}
		if m.Type == "bind" && parsed.bind == 0 {
			parsed.bind = unix.MS_BIND
		}
		if i < len(o.Sites) {
			site = o.Sites[i]
		}
		if site.Target == "" {
			site.Target = below(m.Destination)
		}
		b.options, b.sites = append(b.options, parsed), append(b.sites, site)
	}
	for i, number := range o.Sources {
		b.copies[i] = op.Int(number)
	}
	return b
}

func (b *builder) add(ops ...op.Op) {
	if b.label != "" {
		ops[0].Label, b.label = b.label, ""
	}
	for i, o := range ops {
		if o.Means == "" {
			ops[i].Means = b.field + ": " + o.Name
		}
	}
	b.list.Add(ops...)
}

// after returns the label of an op that is still to come: the one added after the next call of here. The
// number keeps labels apart.
func (b *builder) after(what string) string {
	return fmt.Sprintf("after %s (%d)", what, len(b.list.Ops))
}

// here makes the next op the one with the label.
func (b *builder) here(label string) { b.label = label }

// land ends a part: jumps to what comes next need an op of this part to go to.
func (b *builder) land() {
	if b.label != "" {
		b.add(op.Op{Nr: op.Let, Args: []op.Arg{op.Int(0).As("-")}, Why: "nothing to do: where the jumps from above lead"})
	}
}

// Prepare builds the tree at o.Root, in a mount namespace that still shows the host's files, or without one in
// the host's own. It ends with the tree complete but open: hooks of the host may still change it. The result is a
// descriptor of its root. The umask is 0022 afterwards.
func Prepare(l *op.List, s *specs.Spec, o Options) (root *op.Var, err error) {
	b := newBuilder(l, s, o, op.NewVar("root"))
	if err := b.check(); err != nil {
		return nil, err
	}
	b.add(because(umask(0), "the modes below are meant as they stand"))
	b.openShared()
	b.bindRoot()
	for i := range s.Mounts {
		if err := b.mount(i); err != nil {
			return nil, fmt.Errorf("mounts[%d]: %w", i, err)
		}
	}
	if err := b.devices(); err != nil {
		return nil, err
	}
	b.field = "root.path: " + b.Root
	b.add(because(umask(0o022), "what programs expect"))
	return b.root, nil
}

// check refuses what is wrong with the spec, whatever the mounts are.
func (b *builder) check() error {
	if _, err := b.rootPropagation(); err != nil {
		return err
	}
	if !strings.HasPrefix(b.Root, "/") {
		return fmt.Errorf("root.path: %q: want the absolute path", b.Root)
	}
	if b.spec.Linux == nil {
		return nil
	}
	for _, list := range []struct {
		name  string
		paths []string
	}{{"maskedPaths", b.spec.Linux.MaskedPaths}, {"readonlyPaths", b.spec.Linux.ReadonlyPaths}} {
		for i, p := range list.paths {
			if !path.IsAbs(p) || below(p) == "" {
				return fmt.Errorf("linux.%s[%d]: %q: want an absolute path below /", list.name, i, p)
			}
		}
	}
	return nil
}

// bindRoot makes the root a mount point, as pivot_root wants it, of which the host sees nothing.
func (b *builder) bindRoot() {
	b.field = "root.path: " + b.Root
	slave := op.Mount(op.Null(), op.Str("/"), "", unix.MS_REC|unix.MS_SLAVE, "")
	slave.Shell, slave.Why = "mount --make-rslave /", "no mount made here reaches the host"
	tree := openTree(op.AtFdcwd(), b.Root, unix.AT_RECURSIVE, b.root)
	tree.Shell, tree.Why = op.Shell("mount", "--rbind", b.Root, b.Root), "pivot_root wants a mount point"
	move := moveMount(op.Val(b.root), op.AtFdcwd(), b.Root)
	move.Why = "from here on, paths of the container are looked up below root"
	if b.hostMounts() {
		tree.Why = "all mounts of the container go on top of this one, and away with it"
		private := op.Mount(op.Null(), op.Str(b.Root), "", unix.MS_REC|unix.MS_PRIVATE, "")
		b.add(tree, move, typed(private, "and show up nowhere else", "mount", "--make-rprivate", b.Root))
		return
	}
	b.add(slave, tree, move)
}

// hostMounts tells whether the spec has no mount namespace: the container is to use the runtime's.
func (b *builder) hostMounts() bool { return !hasNamespace(b.spec, specs.MountNamespace) }

// openShared copies the sources of bind mounts while they are still peers of the host's mounts, if the spec
// wants mounts in the container to show up on the host (rootfsPropagation shared, as Kubernetes asks for a
// volume with Bidirectional propagation). The copies stay peers, the rest of the namespace does not.
func (b *builder) openShared() {
	if flags, _ := b.rootPropagation(); flags&unix.MS_SHARED == 0 {
		return
	}
	for i, m := range b.spec.Mounts {
		_, prepared := b.copies[i]
		if o := b.options[i]; o.bind != 0 && !o.remount && !prepared {
			tree := op.NewVar(fmt.Sprintf("tree%d", i))
			b.field = fmt.Sprintf("mounts[%d]: source %s", i, b.source(i))
			b.add(because(openTree(op.AtFdcwd(), b.source(i), treeFlags(o.bind), tree),
				"for "+m.Destination+": as a peer of the host's mount"))
			b.copies[i] = op.Val(tree)
		}
	}
}

// rootPropagation is the propagation that the container's root gets in the end. Unless the spec says so,
// mounts of the host do not show up there.
func (b *builder) rootPropagation() (uintptr, error) {
	name := ""
	if b.spec.Linux != nil {
		name = b.spec.Linux.RootfsPropagation
	}
	if name == "" {
		return unix.MS_PRIVATE, nil
	}
	p, ok := findOption(propagations, name)
	if !ok {
		return 0, fmt.Errorf("linux.rootfsPropagation: %q: want shared, slave, private or unbindable", name)
	}
	return p.set, nil
}

// hasNamespace tells whether the spec wants a namespace of a type, a new one or one that there is.
func hasNamespace(s *specs.Spec, kind specs.LinuxNamespaceType) bool {
	if s.Linux == nil {
		return false
	}
	return slices.ContainsFunc(s.Linux.Namespaces, func(n specs.LinuxNamespace) bool { return n.Type == kind })
}

// because gives an op its reason.
func because(o op.Op, why string) op.Op {
	o.Why = why
	return o
}

// typed gives an op its reason and what a person would type.
func typed(o op.Op, why string, words ...string) op.Op {
	o.Why, o.Shell = why, op.Shell(words...)
	return o
}
