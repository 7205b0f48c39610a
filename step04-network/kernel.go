//go:build linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Every call that makes the container goes through a function that says it first, if -v asks for it: the
// call itself, and the shell command that would do the same.

var (
	verbose bool
	side    string // parent or child
)

// say prints a call that is about to be made. shell may be empty where no command does the same.
func say(call, shell string) {
	if !verbose {
		return
	}
	fmt.Fprintf(os.Stderr, "%-7s %s\n", side, call)
	if shell != "" {
		fmt.Fprintf(os.Stderr, "%-7s   $ %s\n", "", shell)
	}
}

// bit names one bit of a flag word: in C, and as an option of the shell command.
type bit struct {
	value  uintptr
	name   string
	option string
}

var cloneBits = []bit{
	{unix.CLONE_NEWUTS, "CLONE_NEWUTS", "--uts"},
	{unix.CLONE_NEWPID, "CLONE_NEWPID", "--pid --fork"},
	{unix.CLONE_NEWNS, "CLONE_NEWNS", "--mount"},
	{unix.CLONE_NEWIPC, "CLONE_NEWIPC", "--ipc"},
	{unix.CLONE_NEWNET, "CLONE_NEWNET", "--net"},
	{unix.CLONE_NEWCGROUP, "CLONE_NEWCGROUP", "--cgroup"},
}

var mountBits = []bit{
	{unix.MS_RDONLY, "MS_RDONLY", "ro"},
	{unix.MS_NOSUID, "MS_NOSUID", "nosuid"},
	{unix.MS_NODEV, "MS_NODEV", "nodev"},
	{unix.MS_NOEXEC, "MS_NOEXEC", "noexec"},
	{unix.MS_REMOUNT, "MS_REMOUNT", "remount"},
	{unix.MS_BIND, "MS_BIND", "bind"},
	{unix.MS_REC | unix.MS_PRIVATE, "MS_REC|MS_PRIVATE", "rprivate"},
}

// names spells out a flag word, as in C and as a list of options.
func names(flags uintptr, bits []bit) (c string, options []string) {
	var set []string
	for _, b := range bits {
		if flags&b.value == b.value {
			set, options = append(set, b.name), append(options, b.option)
		}
	}
	if set == nil {
		return "0", nil
	}
	return strings.Join(set, "|"), options
}

// clone starts cmd in the namespaces it asks for (clone(2)).
func clone(cmd *exec.Cmd) error {
	flags, options := names(cmd.SysProcAttr.Cloneflags, cloneBits)
	if cmd.SysProcAttr.UseCgroupFD {
		flags += "|CLONE_INTO_CGROUP"
	}
	say("clone("+flags+")", "unshare "+strings.Join(options, " "))
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("clone %s: %w", flags, err)
	}
	return nil
}

func sethostname(name string) error {
	say(fmt.Sprintf("sethostname(%q)", name), "hostname "+name)
	if err := unix.Sethostname([]byte(name)); err != nil {
		return fmt.Errorf("sethostname %q: %w", name, err)
	}
	return nil
}

// mount is mount(2): attach a file system, or change what is attached.
func mount(source, target, fstype string, flags uintptr, data string) error {
	c, options := names(flags, mountBits)
	shell := "mount"
	if flags&unix.MS_PRIVATE != 0 {
		shell += " --make-rprivate"
	} else {
		if fstype != "" {
			shell += " -t " + fstype
		}
		if data != "" {
			options = append(options, data)
		}
		if options != nil {
			shell += " -o " + strings.Join(options, ",")
		}
		if source != "" {
			shell += " " + source
		}
	}
	say(fmt.Sprintf("mount(%q, %q, %q, %s, %q)", source, target, fstype, c, data), shell+" "+target)
	if err := unix.Mount(source, target, fstype, flags, data); err != nil {
		return fmt.Errorf("mount %s on %s: %w", fstype, target, err)
	}
	return nil
}

// forkExec starts the command at path and returns its process id. With terminal it leads a process group
// of its own, the foreground. (It may use the terminal before it is that; then the kernel stops the group,
// and reap continues it.)
func forkExec(path string, args, env []string, terminal bool) (pid int, err error) {
	say(fmt.Sprintf("execve(%q, %q)", path, args), "")
	pid, err = syscall.ForkExec(path, args, &syscall.ProcAttr{
		Env:   env,
		Files: []uintptr{0, 1, 2},
		Sys:   &syscall.SysProcAttr{Setpgid: terminal},
	})
	if err != nil || !terminal {
		return pid, err
	}
	return pid, setForeground(pid)
}
