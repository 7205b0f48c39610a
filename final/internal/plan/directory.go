//go:build linux

package plan

import (
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/op"
)

const belowRoot = unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS

// directory is the command's working directory below the root; "" is the root, where the process is.
func (c *create) directory() string { return strings.TrimPrefix(path.Clean(c.process.Cwd), "/") }

// openDirectory opens it. The path is resolved below a root, and through no link of /proc: /proc/self/fd/7 is no
// working directory, whatever 7 may be (CVE-2024-21626).
func (c *create) openDirectory(root op.Arg, cwd *op.Var) op.Op {
	open := op.Openat2(root, c.directory(), unix.O_PATH|unix.O_DIRECTORY, belowRoot, cwd)
	open.Why, open.Means = "the working directory, to which no link leads out of the root", "process.cwd: "+c.process.Cwd
	return open
}

// makeDirectory makes the working directory, if it is missing, of the container's first process; who asks for another
// one's may have mistyped it, and is told. It comes before what is to be read-only is.
func (c *create) makeDirectory() error {
	if c.directory() == "" {
		return nil
	}
	cwd := op.NewVar("cwd")
	try := c.openDirectory(op.Val(c.root), cwd)
	try.Accept, try.Accepted, try.Positive = []unix.Errno{unix.ENOENT}, "no cwd", "cwd"
	c.Add(try)
	c.makeDirectories(cwd, try.Means)
	found := op.Close(op.Val(cwd))
	found.Label = "cwd"
	c.Add(found)
	return nil
}

// enterDirectory changes to the working directory. It is opened anew: what was mounted over it since then is there
// for a reason.
func (c *create) enterDirectory() error {
	if c.directory() == "" {
		return nil
	}
	cwd := op.NewVar("cwd")
	open, change := c.openDirectory(op.AtFdcwd(), cwd), op.Fchdir(op.Val(cwd))
	change.Shell, change.Means = "cd "+c.process.Cwd, open.Means
	c.Add(open, change, op.Close(op.Val(cwd)))
	return nil
}

// makeDirectories makes what is missing of a path, and opens it. Each part is made in the directory above it,
// which has been opened safely; mkdir of the whole path would follow whatever link stands there by now.
func (c *create) makeDirectories(opened *op.Var, means string) {
	parent, label := op.Val(c.root), "no cwd"
	names := strings.Split(c.directory(), "/")
	for i, name := range names {
		mkdir := op.Mkdirat(parent, name, 0o755)
		mkdir.Accept, mkdir.Means, mkdir.Label = []unix.Errno{unix.EEXIST}, means, label
		mkdir.Why, mkdir.Shell = "make it, if it is missing", op.Shell("mkdir", "-p", "/"+strings.Join(names[:i+1], "/"))
		c.Add(mkdir)
		next := opened
		if i < len(names)-1 {
			next = op.NewVar("parent")
		}
		open := op.Openat2(op.Val(c.root), strings.Join(names[:i+1], "/"), unix.O_PATH|unix.O_DIRECTORY, belowRoot, next)
		open.Means, open.Why = means, "the root of the path is the container's"
		c.Add(open)
		if i > 0 {
			c.Add(op.Close(parent))
		}
		parent, label = op.Val(next), ""
	}
}
