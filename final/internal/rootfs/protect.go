//go:build linux

package rootfs

import (
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/op"
)

// Protect makes read-only what had to stay writable until now, and takes masked and read-only paths out of
// the container's reach. root is the descriptor from [Prepare].
//
// It comes before [Enter]: afterwards /proc/self/fd would be a path in a procfs that is the container's, and
// /dev/null a file that may be anything (CVE-2025-31133). Here both are still the host's, and the paths of
// the container are opened below its root by openat2, which is as good from outside.
func Protect(l *op.List, s *specs.Spec, o Options, root *op.Var) error {
	b := newBuilder(l, s, o, root)
	for i, m := range s.Mounts {
		b.field = fmt.Sprintf("mounts[%d]: destination %s", i, m.Destination)
		if o := b.options[i]; o.set&unix.MS_RDONLY != 0 && (o.bind == 0 || o.remount) && readOnlyLate(m) {
			b.readOnlyMount(b.sites[i].Target, o.set)
		}
	}
	if s.Linux != nil {
		for _, path := range s.Linux.ReadonlyPaths {
			b.field = "linux.readonlyPaths: " + path
			b.readOnlyPath(path)
		}
		for i, path := range s.Linux.MaskedPaths {
			if slices.Contains(s.Linux.MaskedPaths[:i], path) {
				continue // engines add theirs to those of the user
			}
			b.field = "linux.maskedPaths: " + path
			b.mask(path)
		}
	}
	if s.Root != nil && s.Root.Readonly { // only now: until here mount points were made in it
		b.field = "root.readonly"
		b.tune(op.Val(root), options{set: unix.MS_RDONLY}, b.RootFlags, b.Root)
	}
	b.land()
	return nil
}

// readOnlyMount makes what is mounted at a target read-only.
func (b *builder) readOnlyMount(target string, flags uintptr) {
	top := b.reopen(target)
	b.tune(op.Val(top), options{set: unix.MS_RDONLY}, flags, b.host(target))
	b.close(top)
}

// find opens a path that may not exist, or not be a directory if the flags ask for one, and then goes on at the label.
func (b *builder) find(path string, flags int, label string) *op.Var {
	found := op.NewVar("found")
	o := op.Openat2(op.Val(b.root), below(path), unix.O_PATH|flags, inRoot, found)
	o.Accept, o.Accepted = []unix.Errno{unix.ENOENT, unix.ENOTDIR}, label
	b.add(because(o, "unless this kernel or this image has none"))
	return found
}

// readOnlyPath mounts a path on itself: only a mount can be read-only.
func (b *builder) readOnlyPath(path string) {
	label, place := b.after(path), b.host(below(path))
	found, tree := b.find(path, 0, label), op.NewVar("tree")
	b.add(typed(openTree(op.Val(found), "", unix.AT_RECURSIVE, tree), "only a mount can be read-only: the path on itself",
		"mount", "--rbind", place, place))
	change, flags := options{set: unix.MS_RDONLY}, b.flagsAt(below(path))
	if b.MountSetattr {
		b.tune(op.Val(tree), change, flags, place)
	}
	b.add(because(moveMount(op.Val(tree), op.Val(found), ""), "over what it is a copy of"))
	if !b.MountSetattr {
		b.tune(op.Val(tree), change, flags, place)
	}
	b.close(tree)
	b.close(found)
	b.here(label)
}

// mask covers a path: a directory by an empty one that cannot be written, a file by the host's /dev/null. It asks
// which of the two it is: to try and fail would cost more than all the rest, for the kernel makes the mount before it
// sees that it does not fit.
func (b *builder) mask(path string) {
	done, file, place := b.after(path), b.after("no directory: "+path), b.host(below(path))
	dir := b.find(path, unix.O_DIRECTORY, file)
	data := strings.Join(b.context("tmpfs", emptyTmpfs), ",")
	b.add(typed(op.Mount(op.Str("tmpfs"), b.at(op.Val(dir)), "tmpfs", unix.MS_RDONLY, data), "nothing to see in it",
		"mount", "-t", "tmpfs", "-o", "ro", "tmpfs", place))
	masked := closed(op.Val(dir))
	masked.Zero = done
	b.add(masked)
	b.here(file)
	found := b.find(path, 0, done)
	b.add(typed(op.Mount(op.Str("/dev/null"), b.at(op.Val(found)), "", unix.MS_BIND, ""), "nothing to read in it",
		"mount", "--bind", "/dev/null", place))
	b.close(found)
	b.here(done)
}

var emptyTmpfs = []string{"nr_blocks=1", "nr_inodes=1"}

// flagsAt are the flags of the mount that a target is on, as far as they are known: those of the last mount of
// the spec at the target or above it.
func (b *builder) flagsAt(target string) uintptr {
	for i := len(b.spec.Mounts) - 1; i >= 0; i-- {
		if at := b.sites[i].Target; target == at || strings.HasPrefix(target, at+"/") {
			return b.options[i].set | b.sites[i].Flags
		}
	}
	return b.RootFlags
}
