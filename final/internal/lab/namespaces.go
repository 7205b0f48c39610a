//go:build linux

package lab

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

var namespaceCommands = []command{
	{"unshare", "run a command in new namespaces: unshare [-mpnuiUCTfr] [--mount-proc] [COMMAND]", runUnshare},
	{"nsenter", "run a command in another process's namespaces: nsenter -t PID [-a | -mpnuiUCT] [COMMAND]", runNsenter},
}

// namespaceTable is in the order in which nsenter joins them: the user namespace first, since it gives the right
// to join the others, the mount namespace last, since it takes /proc/PID/ns away.
var namespaceTable = []struct {
	letter byte
	name   string
	flag   int
}{
	{'U', "user", unix.CLONE_NEWUSER},
	{'C', "cgroup", unix.CLONE_NEWCGROUP},
	{'i', "ipc", unix.CLONE_NEWIPC},
	{'u', "uts", unix.CLONE_NEWUTS},
	{'n', "net", unix.CLONE_NEWNET},
	{'p', "pid", unix.CLONE_NEWPID},
	{'T', "time", unix.CLONE_NEWTIME},
	{'m', "mnt", unix.CLONE_NEWNS},
}

var namespaceLong = []string{"mount=m", "pid=p", "net=n", "uts=u", "ipc=i", "user=U", "cgroup=C", "time=T"}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func runUnshare(c *call) error {
	o, err := c.options("+mpnuiUCTfrP", append([]string{"fork=f", "map-root-user=r", "mount-proc=P"}, namespaceLong...)...)
	if err != nil {
		return err
	}
	command := o.rest
	if len(command) == 0 {
		command = []string{"sh"}
	}
	flags := 0
	for _, ns := range namespaceTable {
		if o.has(ns.letter) {
			flags |= ns.flag
		}
	}
	if o.has('P') {
		flags |= unix.CLONE_NEWNS
	}
	if o.has('r') {
		flags |= unix.CLONE_NEWUSER
	}
	if o.has('f') || o.has('P') || flags&unix.CLONE_NEWUSER != 0 {
		return c.unshareForked(command, flags, o)
	}
	// The thread that unshares executes the command: execve(2) ends all others.
	runtime.LockOSThread()
	if err := unix.Unshare(flags); err != nil {
		return fmt.Errorf("unshare: %w", err)
	}
	if flags&unix.CLONE_NEWNS != 0 {
		if err := makePrivate(); err != nil {
			return err
		}
	}
	return c.become(command, os.Environ())
}

func makePrivate() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make / private: %w", err)
	}
	return nil
}

// unshareForked makes the namespaces at clone(2). For --mount-proc the child is this program again, which mounts
// and then executes the command: the mount has to be made by a process of the new PID namespace.
func (c *call) unshareForked(command []string, flags int, o options) error {
	sys := &syscall.SysProcAttr{Cloneflags: uintptr(flags)}
	if flags&unix.CLONE_NEWUSER != 0 {
		id := 65534
		if o.has('r') {
			id = 0
		}
		sys.UidMappings = []syscall.SysProcIDMap{{ContainerID: id, HostID: os.Geteuid(), Size: 1}}
		sys.GidMappings = []syscall.SysProcIDMap{{ContainerID: id, HostID: os.Getegid(), Size: 1}}
	}
	if flags&unix.CLONE_NEWNS != 0 {
		script := `mount --make-rprivate / && exec "$@"`
		if o.has('P') {
			script = `mount --make-rprivate / && mount -t proc proc /proc && exec "$@"`
		}
		command = append([]string{"sh", "-c", script, "sh"}, command...)
	}
	return c.follows(command, sys)
}

// follows runs a command as a child that decides about signals: those from the terminal reach it as well.
func (c *call) follows(command []string, sys *syscall.SysProcAttr) error {
	signal.Notify(make(chan os.Signal, 1), unix.SIGINT, unix.SIGQUIT)
	cmd, err := c.start(command, sys)
	if err != nil {
		return err
	}
	return ended(cmd)
}

func runNsenter(c *call) error {
	o, err := c.options("+t:ampnuiUCTF", append([]string{"target=t", "all=a", "no-fork=F"}, namespaceLong...)...)
	if err != nil {
		return err
	}
	target, err := strconv.Atoi(o.value('t', ""))
	if err != nil {
		return usagef("usage: nsenter -t PID [-a | -mpnuiUCT] [COMMAND]")
	}
	command := o.rest
	if len(command) == 0 {
		command = []string{"sh"}
	}
	// All files are opened before the first join: afterwards /proc may be another one.
	type joined struct {
		name string
		fd   int
		flag int
	}
	var files []joined
	for _, ns := range namespaceTable {
		if !o.has(ns.letter) && !o.has('a') {
			continue
		}
		path := fmt.Sprintf("/proc/%d/ns/%s", target, ns.name)
		if o.has('a') && sameNamespace(path, "/proc/self/ns/"+ns.name) {
			continue // one cannot enter one's own user namespace, and need not enter the others
		}
		fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return &os.PathError{Op: "open", Path: path, Err: err}
		}
		defer unix.Close(fd)
		files = append(files, joined{ns.name, fd, ns.flag})
	}
	// Namespaces belong to the thread. For the mount namespace it must not share its working directory with the
	// others. It is not unlocked: execve or the end of the process takes care of it.
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return fmt.Errorf("unshare CLONE_FS: %w", err)
	}
	fork := false
	for _, f := range files {
		if f.flag == unix.CLONE_NEWUSER {
			return errors.New("join user namespace: the lab is a Go program, whose threads the kernel does not let join one")
		}
		if err := unix.Setns(f.fd, f.flag); err != nil {
			return fmt.Errorf("join %s namespace of %d: %w", f.name, target, err)
		}
		if f.flag == unix.CLONE_NEWNS {
			if err := unix.Chdir("/"); err != nil {
				return fmt.Errorf("chdir /: %w", err)
			}
		}
		fork = fork || f.flag == unix.CLONE_NEWPID // only children enter it
	}
	if fork && !o.has('F') {
		return c.follows(command, nil)
	}
	return c.become(command, os.Environ())
}

func sameNamespace(a, b string) bool {
	first, firstErr := os.Readlink(a)
	second, secondErr := os.Readlink(b)
	return firstErr == nil && secondErr == nil && first == second
}
