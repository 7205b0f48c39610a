//go:build linux

package plan

import (
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/op"
)

const belowRoot = unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS

// enterDirectory changes to the command's working directory. If it is missing, it is made for the container's first
// process; who asks for another one's may have mistyped it, and is told. The path is
// resolved below the root that the process has by now, and through no link of /proc: /proc/self/fd/7 is no
// working directory, whatever 7 may be (CVE-2024-21626).
func (c *create) enterDirectory() error {
	dir := strings.TrimPrefix(path.Clean(c.process.Cwd), "/")
	if dir == "" {
		return nil // where the process is
	}
	cwd := op.NewVar("cwd")
	open := op.Openat2(op.AtFdcwd(), dir, unix.O_PATH|unix.O_DIRECTORY, belowRoot, cwd)
	open.Means = "process.cwd: " + c.process.Cwd
	change := op.Fchdir(op.Val(cwd))
	change.Shell, change.Means = "cd "+c.process.Cwd, open.Means
	if c.o.Target != 0 {
		open.Why = "the working directory, to which no link leads out of the root"
		c.Add(open, change, op.Close(op.Val(cwd)))
		return nil
	}
	try := open
	try.Accept, try.Accepted, try.Positive = []unix.Errno{unix.ENOENT}, "no cwd", "cwd"
	try.Why = "the working directory, to which no link leads out of the root"
	c.Add(try)
	c.makeDirectories(dir, cwd, open.Means)
	change.Label = "cwd"
	c.Add(change, op.Close(op.Val(cwd)))
	return nil
}

// makeDirectories makes what is missing of a path, and opens it. Each part is made in the directory above it,
// which has been opened safely; mkdir of the whole path would follow whatever link stands there by now.
func (c *create) makeDirectories(dir string, opened *op.Var, means string) {
	parent, label := op.AtFdcwd(), "no cwd"
	names := strings.Split(dir, "/")
	for i, name := range names {
		mkdir := op.Mkdirat(parent, name, 0o755)
		mkdir.Accept, mkdir.Means, mkdir.Label = []unix.Errno{unix.EEXIST}, means, label
		mkdir.Why, mkdir.Shell = "make it, if it is missing", op.Shell("mkdir", "-p", "/"+strings.Join(names[:i+1], "/"))
		c.Add(mkdir)
		next := opened
		if i < len(names)-1 {
			next = op.NewVar("parent")
		}
		open := op.Openat2(op.AtFdcwd(), strings.Join(names[:i+1], "/"), unix.O_PATH|unix.O_DIRECTORY, belowRoot, next)
		open.Means, open.Why = means, "the root of the path is the container's"
		c.Add(open)
		if i > 0 {
			c.Add(op.Close(parent))
		}
		parent, label = op.Val(next), ""
	}
}
