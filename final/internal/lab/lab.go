//go:build linux

// Package lab is a small userland inside one program: a shell, the everyday commands, and a few commands
// that misbehave on purpose so that a limit or a namespace can be seen at work.
//
// A root file system made by [Write] holds the program once, as /bin/lab; every command is a symbolic link
// to it. Main looks at the name it was called by, as busybox does.
package lab

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// A command is one entry of the table that [Main] looks in.
type command struct {
	name    string
	summary string
	run     func(*call) error
}

// families lists the commands in the order in which `lab` prints them. It is filled by init, not where it is
// declared: the shell's help refers to the table, which would be an initialisation cycle.
var families [][]command

func init() {
	families = [][]command{
		shellCommands, lessonCommands, fileCommands, listCommands, copyCommands, textCommands,
		processCommands, identityCommands, mountCommands, namespaceCommands, networkCommands, serverCommands,
		terminalCommands,
	}
}

// lookup finds a command by name. "lab" itself is not in the table.
func lookup(name string) (command, bool) {
	for _, family := range families {
		for _, c := range family {
			if c.name == name {
				return c, true
			}
		}
	}
	return command{}, false
}

// Main runs the command that argv names and returns its exit code. ok is false when argv[0] is not the name
// of a lab command, which is how the program knows that it was called as final.
func Main(argv []string) (code int, ok bool) {
	if len(argv) == 0 {
		return 0, false
	}
	// A login shell is called "-sh" (login(1)).
	name := strings.TrimPrefix(filepath.Base(argv[0]), "-")
	args := argv[1:]
	if name == "lab" {
		if len(args) == 0 {
			list(os.Stdout)
			return 0, true
		}
		name, args = args[0], args[1:]
	}
	c, found := lookup(name)
	switch {
	case !found && filepath.Base(argv[0]) == "lab":
		fmt.Fprintf(os.Stderr, "lab: %s: no such command (lab lists them)\n", name)
		return 127, true
	case !found:
		return 0, false
	}
	stayLean()
	invoked := &call{
		name: name, login: strings.HasPrefix(argv[0], "-"), args: args,
		in: os.Stdin, out: bufio.NewWriter(os.Stdout), err: os.Stderr,
	}
	return invoked.run(c), true
}

// stayLean keeps the Go runtime small: a container may have 64 MiB and 32 tasks for a shell and all it
// starts. One or two running threads are plenty here, and an early collection costs less than a big heap.
func stayLean() {
	runtime.GOMAXPROCS(min(2, runtime.NumCPU()))
	debug.SetGCPercent(50)
}

func list(w io.Writer) {
	fmt.Fprintln(w, "The lab: a small userland in one program. Commands:")
	for _, family := range families {
		fmt.Fprintln(w)
		for _, c := range family {
			fmt.Fprintf(w, "  %-12s %s\n", c.name, c.summary)
		}
	}
}

// names returns every command's name, sorted.
func names() []string {
	all := []string{"lab"}
	for _, family := range families {
		for _, c := range family {
			all = append(all, c.name)
		}
	}
	slices.Sort(all)
	return all
}

// A call is one invocation of a command.
type call struct {
	name   string
	login  bool // called with a leading "-"
	args   []string
	in     *os.File
	out    *bufio.Writer // flushed when the command ends; commands that go on for long flush it themselves
	err    io.Writer
	status int // the exit code when run returns nil; set by complain
}

// exitCode ends a command with this code and nothing more to say.
type exitCode int

func (code exitCode) Error() string { return fmt.Sprintf("exit status %d", int(code)) }

// usageError is a mistake on the command line: the caller sees it and the exit code 2.
type usageError string

func (e usageError) Error() string { return string(e) }

func usagef(format string, args ...any) error { return usageError(fmt.Sprintf(format, args...)) }

func (c *call) run(cmd command) int {
	err := cmd.run(c)
	if errors.Is(err, errHelp) {
		c.printf("%s: %s\n", c.name, cmd.summary)
		err = nil
	}
	if flushed := c.out.Flush(); err == nil && flushed != nil {
		err = fmt.Errorf("write error: %w", plain(flushed))
	}
	var code exitCode
	var usage usageError
	switch {
	case err == nil:
		return c.status
	case errors.As(err, &code):
		return int(code)
	case errors.As(err, &usage):
		fmt.Fprintf(c.err, "%s: %s\n", c.name, usage)
		return 2
	default:
		fmt.Fprintf(c.err, "%s: %v\n", c.name, plain(err))
		return 1
	}
}

// complain reports an error that does not end the command, as `ls a b` goes on to b when a is missing.
func (c *call) complain(err error) {
	if err == nil {
		return
	}
	_ = c.out.Flush() // an error here will show at the end as well
	fmt.Fprintf(c.err, "%s: %v\n", c.name, plain(err))
	c.status = 1
}

func (c *call) printf(format string, args ...any) { fmt.Fprintf(c.out, format, args...) }
func (c *call) println(args ...any)               { fmt.Fprintln(c.out, args...) }

// say prints a line at once, for commands that tell what they are doing while they do it.
func (c *call) say(format string, args ...any) {
	c.printf(format+"\n", args...)
	_ = c.out.Flush() // a reader that has gone ends the program by SIGPIPE
}

// plain removes the name of the system call from an error: `ls: x: no such file or directory` is what people
// expect to read, not `ls: lstat x: ...`.
func plain(err error) error {
	var path *fs.PathError
	var link *os.LinkError
	var sys *os.SyscallError
	switch {
	case errors.As(err, &path):
		return fmt.Errorf("%s: %w", path.Path, path.Err)
	case errors.As(err, &link):
		return fmt.Errorf("%s: %w", link.New, link.Err)
	case errors.As(err, &sys):
		return sys.Err
	}
	return err
}

// interruptible returns a context that ends on SIGINT or SIGTERM, for commands that clean up before they go.
func interruptible() (context.Context, context.CancelFunc) {
	return signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM)
}
