//go:build linux

package plan

import (
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/op"
)

// enterDirectory changes to the command's working directory, which is made if it is missing. The path is
// resolved below the root that the process has by now, and through no link of /proc: /proc/self/fd/7 is no
// working directory, whatever 7 may be (CVE-2024-21626).
func (c *create) enterDirectory() error {
	dir := strings.TrimPrefix(path.Clean(c.process.Cwd), "/")
	if dir == "" {
		return nil // where the process is
	}
	cwd := op.NewVar("cwd")
	open := op.Openat2(op.AtFdcwd(), dir, unix.O_PATH|unix.O_DIRECTORY, unix.RESOLVE_IN_ROOT|unix.RESOLVE_NO_MAGICLINKS, cwd)
	open.Means = "process.cwd: " + c.process.Cwd
	try := open
	try.Accept, try.Accepted, try.Positive = []unix.Errno{unix.ENOENT}, "no cwd", "cwd"
	try.Why = "the working directory, to which no link leads out of the root"
	c.Add(try)
	for i := range dir {
		if i+1 < len(dir) && dir[i+1] != '/' {
			continue
		}
		mkdir := op.Mkdirat(op.AtFdcwd(), dir[:i+1], 0o755)
		mkdir.Accept, mkdir.Means = []unix.Errno{unix.EEXIST}, open.Means
		mkdir.Why, mkdir.Shell = "make it, if it is missing", "mkdir -p "+c.process.Cwd
		if !strings.Contains(dir[:i+1], "/") {
			mkdir.Label = "no cwd"
		}
		c.Add(mkdir)
	}
	change := op.Fchdir(op.Val(cwd))
	change.Label, change.Shell, change.Means = "cwd", "cd "+c.process.Cwd, open.Means
	c.Add(open, change, op.Close(op.Val(cwd)))
	return nil
}
