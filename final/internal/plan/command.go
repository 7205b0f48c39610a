//go:build linux

package plan

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/op"
)

// defaultPath is where commands are, for a process that has no PATH.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// candidates are the paths at which a command may be, in the order they are tried (environ(7), execvp(3)).
func candidates(name string, env []string) []string {
	if strings.Contains(name, "/") {
		return []string{name}
	}
	search := defaultPath
	for _, variable := range env {
		if value, ok := strings.CutPrefix(variable, "PATH="); ok {
			search = value // the last one counts
		}
	}
	var list []string
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
	name := c.process.Args[0]
	if c.o.Path != "" {
		name = c.o.Path
	}
	list, isPath := candidates(name, c.process.Env), strings.Contains(name, "/")
	c.command = op.NewVar("command")
	for i, candidate := range list {
		next := fmt.Sprintf("path %d", i+1)
		choose := op.Op{Nr: op.Let, Args: []op.Arg{op.Str(candidate)}, Result: c.command}
		if i > 0 {
			choose.Label = fmt.Sprintf("path %d", i)
		}
		access := op.Op{Name: "faccessat2", Nr: unix.SYS_FACCESSAT2, Args: []op.Arg{
			op.AtFdcwd(), op.Str(candidate), op.Int(unix.X_OK).As("X_OK"), op.Int(unix.AT_EACCESS).As("AT_EACCESS"),
		}, Why: "is there a command, and may this user run it, by permission or by capability (Linux 5.8)?"}
		isDir := op.Openat2(op.AtFdcwd(), candidate, unix.O_PATH|unix.O_DIRECTORY, unix.RESOLVE_NO_MAGICLINKS, nil)
		isDir.Accept, isDir.Accepted, isDir.Means = []unix.Errno{unix.ENOTDIR}, "found", fmt.Sprintf("exec: %q", name)
		isDir.Why = "or is it a directory? Or a link of /proc: this very process's program (CVE-2019-5736)?"
		if isPath {
			access.Means = fmt.Sprintf("exec: %q: stat %s", name, name)
			c.Add(choose, access, isDir)
			break
		}
		access.Accept, access.Accepted = []unix.Errno{unix.ENOENT, unix.EACCES, unix.ENOTDIR, unix.ELOOP, unix.ENAMETOOLONG}, next
		isDir.Zero, isDir.Positive = next, next
		c.Add(choose, access, isDir)
	}
	// Here the search has come to its end. An op that cannot succeed says so.
	missing := op.Open("", unix.O_PATH, nil)
	missing.Label = fmt.Sprintf("path %d", len(list))
	missing.Why, missing.Means = "not found", fmt.Sprintf("exec: %q: executable file not found in $PATH", name)
	if isPath {
		missing = op.Open(name, unix.O_WRONLY, nil) // EISDIR
		missing.Why = "a directory is no command"
		missing.Means = fmt.Sprintf("exec: %q: permission denied", name) // as execve would say; engines exit with 126
	}
	c.Add(missing)
	return nil
}
