//go:build linux

// Step 02: a root file system of its own.
//
// After step 01 the container still sees, and can write, every file of the host. Here it gets a root made
// of layers (overlay.go), the file systems and devices that programs expect in it (rootfs.go), and no way
// back to the old one.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"runtime"
	"slices"
)

const program = "step02-rootfs"

// container is what the user asked for. The parent fills it in, the child receives it as JSON.
type container struct {
	ID       string // random; names all that the container leaves on the host
	Dir      string // its directory on the host
	Rootfs   string // the image: a directory, never written
	Hostname string
	Args     []string // the command and its arguments
	Env      []string // the command's whole environment
	Terminal bool     // the command gets the terminal on descriptor 0
	Verbose  bool
}

// Namespaces and the parent-death signal belong to a thread, not to a process, and the Go scheduler moves
// goroutines between threads. Locked here, before main, the main goroutine stays on the main thread for
// good, on both sides.
func init() { runtime.LockOSThread() }

func main() {
	if len(os.Args) > 1 && os.Args[1] == "child" {
		os.Exit(child())
	}
	c, err := parse(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		os.Exit(0)
	}
	code := exitFailure
	if err == nil {
		code, err = run(c)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", program, err)
	}
	os.Exit(code)
}

// parse reads the command line. Without arguments it asks for a shell.
func parse(args []string) (container, error) {
	id := newID()
	c := container{ID: id, Dir: stateDir + "/" + id, Rootfs: "rootfs", Hostname: "container"}
	flags := flag.NewFlagSet(program, flag.ContinueOnError)
	flags.StringVar(&c.Hostname, "hostname", c.Hostname, "the container's host `name`")
	flags.StringVar(&c.Rootfs, "rootfs", c.Rootfs, "the `directory` that becomes the container's root")
	flags.BoolVar(&c.Verbose, "v", false, "say every kernel call, with the shell command that does the same")
	flags.SetOutput(io.Discard) // an error is printed once, by main

	if len(args) > 0 && !slices.Contains([]string{"-h", "-help", "--help"}, args[0]) {
		if args[0] != "run" {
			return c, fmt.Errorf("%q: unknown command, want: %s run [flags] [CMD [ARG...]]", args[0], program)
		}
		args = args[1:]
	}
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		fmt.Printf("usage: %s run [flags] [CMD [ARG...]]\n", program)
		flags.SetOutput(os.Stdout)
		flags.PrintDefaults()
		return c, err
	case err != nil:
		return c, fmt.Errorf("%w (see %s run -h)", err, program)
	}
	if !regexp.MustCompile(`^[[:alnum:].-]{1,64}$`).MatchString(c.Hostname) { // HOST_NAME_MAX
		return c, fmt.Errorf("--hostname %q: want 1 to 64 letters, digits, dots and hyphens", c.Hostname)
	}
	if err := checkRootfs(&c.Rootfs); err != nil {
		return c, err
	}
	if c.Args = flags.Args(); len(c.Args) == 0 {
		c.Args = []string{"/bin/sh"}
	}
	c.Env = environment(c)
	return c, nil
}

// environment is all the command gets of one: nothing of the host's leaks in but the kind of terminal.
func environment(c container) []string {
	return []string{
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"HOME=/root",
		"HOSTNAME=" + c.Hostname,
		"PS1=" + c.Hostname + "# ",
		"TERM=" + os.Getenv("TERM"),
	}
}
