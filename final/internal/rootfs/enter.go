//go:build linux

package rootfs

import (
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/op"
)

// Enter makes the tree the root of the mount namespace, and lets go of the host's. The descriptors of
// [Prepare] are closed. After it no path leads to the host. Without a mount namespace the root is only that of
// the process: whoever may chroot again finds the way out.
func Enter(l *op.List, s *specs.Spec, o Options, root *op.Var) error {
	b := newBuilder(l, s, o, root)
	propagation, err := b.rootPropagation()
	if err != nil {
		return err
	}
	b.add(because(op.Fchdir(op.Val(root)), "the new root, as the working directory"))
	switch {
	case b.hostMounts():
		b.add(typed(chroot(), "without a mount namespace the root is this process's alone", "chroot", "."))
	case o.NoPivot:
		b.moveRoot()
	default:
		b.pivotRoot()
	}
	b.add(because(op.Chdir("/"), "the root, by the only path that is left"))
	if propagation&unix.MS_SHARED != 0 {
		b.propagateRoot(unix.MS_PRIVATE) // it is the host's slave until now, and shared would add to that
	}
	b.propagateRoot(propagation)
	b.add(closed(op.Val(root)))
	spare := op.Close(op.Int(b.Spare))
	spare.Accept = []unix.Errno{unix.EBADF}
	b.add(because(spare, "the number that paths named"))
	return nil
}

func (b *builder) propagateRoot(flags uintptr) {
	b.add(typed(op.Mount(op.Null(), op.Str("/"), "", flags, ""), propagationWhy(flags),
		"mount", "--make-"+propagationName(flags), "/"))
}

// pivotRoot exchanges the roots. With "." for both paths the old one ends up stacked on the new one, where it
// is taken away; no directory is needed to put it in (pivot_root(2)).
func (b *builder) pivotRoot() {
	pivot := op.Op{Name: "pivot_root", Nr: unix.SYS_PIVOT_ROOT, Args: []op.Arg{op.Str("."), op.Str(".")}}
	b.add(
		typed(pivot, "the container's root for the host's", "pivot_root", ".", "."),
		typed(unmount("."), "and the host's is gone", "umount", "-l", "."),
	)
}

// moveRoot is for a root that is an initramfs, of which pivot_root(2) says EINVAL. The host's tree stays
// mounted, under the container's: what keeps it from sight is the lack of a way there.
//
// Before, every procfs and sysfs goes: as long as they are mounted whole anywhere in the namespace, the kernel lets a
// user namespace mount new ones, without the masks.
func (b *builder) moveRoot() {
	for _, path := range b.Bare {
		o := typed(unmount(path), "no procfs or sysfs without masks may stay", "umount", "-l", path)
		o.Accept = []unix.Errno{unix.EINVAL, unix.EPERM, unix.ENOENT, unix.EACCES} // gone already, a locked one, out of reach
		b.add(o)
		if b.UserNamespace {
			cover := typed(op.Mount(op.Str("tmpfs"), op.Str(path), "tmpfs", 0, ""), "one that is locked is covered", "mount", "-t", "tmpfs", "tmpfs", path)
			cover.Accept = []unix.Errno{unix.EPERM, unix.ENOENT, unix.ENOTDIR, unix.EACCES}
			b.add(cover)
		}
	}
	b.add(
		typed(op.Mount(op.Str("."), op.Str("/"), "", unix.MS_MOVE, ""),
			"unsafe, asked for by --no-pivot: the host's root stays mounted below", "mount", "--move", ".", "/"),
		typed(chroot(), "the moved mount is not the root of this process yet", "chroot", "."),
	)
}

func chroot() op.Op { return op.Op{Name: "chroot", Nr: unix.SYS_CHROOT, Args: []op.Arg{op.Str(".")}} }

func unmount(path string) op.Op {
	return op.Op{Name: "umount2", Nr: unix.SYS_UMOUNT2, Args: []op.Arg{
		op.Str(path), op.Int(unix.MNT_DETACH).As("MNT_DETACH"),
	}}
}
