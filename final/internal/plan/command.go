//go:build linux

package plan

import (
	"cmp"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/op"
)

// defaultPath is where commands are, for a process that has no PATH.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// candidates are the paths at which a command may be that is given without one, in the order they are tried (environ(7),
// execvp(3)).
func candidates(name string, env []string) (list []string) {
	search := defaultPath
	for _, variable := range env {
		if value, ok := strings.CutPrefix(variable, "PATH="); ok {
			search = value // the last one counts
		}
	}
	for dir := range strings.SplitSeq(search, ":") {
		if dir == "" {
			dir = "." // as shells have it
		}
		list = append(list, strings.TrimSuffix(dir, "/")+"/"+name)
	}
	return list
}

// hasCommand tells whether there is something to start. A container may be without.
func (c *create) hasCommand() bool { return len(c.process.Args) > 0 }

// findCommand looks for the command in the container, as its user: a command that is missing fails the
// creation of a container, not its start.
func (c *create) findCommand() error {
	if !c.hasCommand() {
		return nil
	}
	c.command = op.NewVar("command")
	if name := cmp.Or(c.o.Path, c.process.Args[0]); strings.Contains(name, "/") {
		c.findAt(name)
	} else {
		c.search(name)
	}
	return nil
}

// findAt looks at a path.
func (c *create) findAt(path string) {
	choose, access, isDir := c.look(path, path)
	access.Means = fmt.Sprintf("exec: %q: stat %s", path, path)
	refuse := op.Open(path, unix.O_WRONLY, nil) // EISDIR
	refuse.Why = "a directory is no command"
	refuse.Means = fmt.Sprintf("exec: %q: permission denied", path) // as execve would say; engines exit with 126
	c.Add(choose, access, isDir, refuse)
}

// search looks in one directory of PATH after the other.
func (c *create) search(name string) {
	list := candidates(name, c.process.Env)
	for i, candidate := range list {
		next := fmt.Sprintf("path %d", i+1)
		choose, access, isDir := c.look(name, candidate)
		if i > 0 {
			choose.Label = fmt.Sprintf("path %d", i)
		}
		access.Accept = []unix.Errno{unix.ENOENT, unix.EACCES, unix.ENOTDIR, unix.ELOOP, unix.ENAMETOOLONG}
		access.Accepted, isDir.Zero, isDir.Positive = next, next, next
		c.Add(choose, access, isDir)
	}
	missing := op.Open("", unix.O_PATH, nil) // the search has come to its end: an op that cannot succeed says so
	missing.Label = fmt.Sprintf("path %d", len(list))
	missing.Why, missing.Means = "not found", fmt.Sprintf("exec: %q: executable file not found in $PATH", name)
	c.Add(missing)
}

// look returns the ops that take a path for the command's, and go on at "found" if it is one.
func (c *create) look(name, path string) (choose, access, isDir op.Op) {
	choose = op.Op{Nr: op.Let, Args: []op.Arg{op.Str(path)}, Result: c.command}
	access = op.Op{Name: "faccessat2", Nr: unix.SYS_FACCESSAT2, Args: []op.Arg{
		op.AtFdcwd(), op.Str(path), op.Int(unix.X_OK).As("X_OK"), op.Int(unix.AT_EACCESS).As("AT_EACCESS"),
	}, Why: "is there a command, and may this user run it, by permission or by capability (Linux 5.8)?"}
	isDir = op.Openat2(op.AtFdcwd(), path, unix.O_PATH|unix.O_DIRECTORY, unix.RESOLVE_NO_MAGICLINKS, nil)
	isDir.Accept, isDir.Accepted, isDir.Means = []unix.Errno{unix.ENOTDIR}, "found", fmt.Sprintf("exec: %q", name)
	isDir.Why = "or is it a directory? Or a link of /proc: this very process's program (CVE-2019-5736)?"
	return choose, access, isDir
}
