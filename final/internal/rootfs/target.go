//go:build linux

package rootfs

import (
	"fmt"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/op"
)

// inRoot resolves a path as if the container's root were the root, symbolic links and .. included, and takes
// no link of /proc to somewhere else. Only the kernel can do it: by the time that a check of the path is
// done, the path may lead elsewhere (openat2(2), since Linux 5.6).
const inRoot = unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS

// below returns the path below the container's root, without a slash in front.
func below(destination string) string { return path.Clean("/" + destination)[1:] }

// mustBeReal tells whether a destination must be reached without a symbolic link. /proc, /sys and /dev are
// where programs, and this one for /dev, rely on what was mounted.
func mustBeReal(target string) bool { return target == "proc" || target == "sys" || target == "dev" }

// open adds the ops that open a path below the root, whose first components are known to exist. The others
// are made, unless somebody else is quicker: as directories, the last one as a file if file says so.
func (b *builder) open(target string, exists int, file, real bool) *op.Var {
	resolve := inRoot
	if real {
		resolve |= unix.RESOLVE_NO_SYMLINKS
	}
	names := strings.Split(target, "/")
	dir := b.root
	for i := range names {
		if i+1 < exists {
			continue
		}
		last := i == len(names)-1
		if i >= exists {
			b.add(missing(dir, names[i], last && file))
		}
		b.close(dir)
		next, flags := op.NewVar("dir"), unix.O_PATH|unix.O_DIRECTORY
		if last {
			next.Name = "target"
			if !real {
				flags = unix.O_PATH
			}
		}
		why := "looked up by the kernel, within the root"
		if real {
			why += ": no symbolic link in the way"
		}
		open := op.Openat2(op.Val(b.root), strings.Join(names[:i+1], "/"), flags, resolve, next)
		if real {
			open.Means = b.field + ": must be mounted on ordinary directory"
		}
		b.add(because(open, why))
		dir = next
	}
	return dir
}

// missing makes a directory or a file, if there is nothing. In a directory that was opened safely a name
// without a slash leads nowhere else.
func missing(dir *op.Var, name string, file bool) op.Op {
	o := op.Mkdirat(op.Val(dir), name, 0o755)
	if file {
		o = mknodat(op.Val(dir), name, unix.S_IFREG|0o644, 0)
	}
	o.Accept = []unix.Errno{unix.EEXIST}
	return because(o, "if it is missing")
}

// close closes a descriptor, unless it is the root's, which all need.
func (b *builder) close(fd *op.Var) {
	if fd != b.root {
		b.add(closed(op.Val(fd)))
	}
}

func closed(fd op.Arg) op.Op { return because(op.Close(fd), "done with it") }

// at adds the op that gives a descriptor the number that a path can name, and returns the path. The host's
// procfs is still mounted at /proc, and nobody in the container can change it.
func (b *builder) at(fd op.Arg) op.Arg {
	b.add(because(op.Dup(fd, b.Spare, unix.O_CLOEXEC), "a number that a path can name"))
	return op.Str(fmt.Sprintf("/proc/self/fd/%d", b.Spare))
}

// host is where a path of the container is while its root is not the root yet, for people.
func (b *builder) host(target string) string { return path.Join(b.Root, target) }

// source is the source of a bind mount on the host.
func (b *builder) source(i int) string {
	source := b.spec.Mounts[i].Source
	if !path.IsAbs(source) {
		source = path.Join(b.Bundle, source)
	}
	return source
}
