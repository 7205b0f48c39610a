//go:build linux

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// pivotRoot makes the overlay the root of the mount namespace and detaches the old root. chroot would only
// change where this process's paths begin: the host's tree would stay mounted, and one more chroot leads
// back to it (pivot_root(2), chroot(2)).
//
// The new root must be a mount point, and the mounts private. With "." for both paths the old root ends up
// stacked on the new one, so no directory is needed to put it in.
func (c container) pivotRoot() error {
	root := c.Dir + "/root"
	say(fmt.Sprintf("chdir(%q)", root), "cd "+root)
	if err := os.Chdir(root); err != nil {
		return err
	}
	say(`pivot_root(".", ".")`, "pivot_root . .")
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("pivot_root %s: %w", root, err)
	}
	say(`umount2(".", MNT_DETACH)`, "umount -l .")
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("umount the old root: %w", err)
	}
	say(`chdir("/")`, "cd /")
	return os.Chdir("/")
}

// filesystems are what programs expect to be mounted. They are mounted after the pivot: an image may hold
// symbolic links, and before it /proc -> /etc would lead to the host's.
var filesystems = []struct {
	source, target, fstype string
	flags                  uintptr
	data                   string
}{
	// /proc belongs to the PID namespace of whoever mounts it: ps shows the container alone.
	{"proc", "/proc", "proc", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, ""},
	{"sysfs", "/sys", "sysfs", readOnly, ""},
	{"tmpfs", "/dev", "tmpfs", unix.MS_NOSUID | unix.MS_NOEXEC, "mode=0755,size=64k"},
	// Terminals of its own; group 5 is tty.
	{"devpts", "/dev/pts", "devpts", unix.MS_NOSUID | unix.MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620,gid=5"},
	{"shm", "/dev/shm", "tmpfs", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, "mode=1777,size=64m"},
	{"mqueue", "/dev/mqueue", "mqueue", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, ""},
}

func mountFilesystems() error {
	for _, m := range filesystems {
		if err := os.MkdirAll(m.target, 0o755); err != nil {
			return err
		}
		if err := mount(m.source, m.target, m.fstype, m.flags, m.data); err != nil {
			return err
		}
	}
	return nil
}

// protected are the parts of /proc that act on the whole machine. Root in this container is root: with
// /proc/sys/kernel/core_pattern alone it could start programs on the host.
var protected = []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}

const readOnly = unix.MS_RDONLY | unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC

// protectProc makes them read-only: each is bound onto itself, as only a mount can be read-only.
func protectProc() error {
	for _, path := range protected {
		if err := mount(path, path, "", unix.MS_BIND, ""); errors.Is(err, fs.ErrNotExist) {
			continue // not in this kernel
		} else if err != nil {
			return err
		}
		if err := mount("", path, "", unix.MS_REMOUNT|unix.MS_BIND|readOnly, ""); err != nil {
			return err
		}
	}
	return nil
}

// devices are the nodes that harm nobody; numbers from the kernel's Documentation/admin-guide/devices.txt.
// Without /dev/null, "> /dev/null" makes a file that grows.
var devices = []struct {
	path         string
	major, minor uint32
}{
	{"/dev/null", 1, 3},
	{"/dev/zero", 1, 5},
	{"/dev/full", 1, 7},
	{"/dev/random", 1, 8},
	{"/dev/urandom", 1, 9},
	{"/dev/tty", 5, 0},
}

var deviceLinks = []struct{ path, target string }{
	{"/dev/ptmx", "pts/ptmx"},
	{"/dev/fd", "/proc/self/fd"},
	{"/dev/stdin", "/proc/self/fd/0"},
	{"/dev/stdout", "/proc/self/fd/1"},
	{"/dev/stderr", "/proc/self/fd/2"},
}

func makeDevices() error {
	defer unix.Umask(unix.Umask(0)) // the modes below are meant as they stand
	for _, d := range devices {
		say(fmt.Sprintf("mknod(%q, S_IFCHR|0666, makedev(%d, %d))", d.path, d.major, d.minor),
			fmt.Sprintf("mknod -m 666 %s c %d %d", d.path, d.major, d.minor))
		if err := unix.Mknod(d.path, unix.S_IFCHR|0o666, int(unix.Mkdev(d.major, d.minor))); err != nil {
			return fmt.Errorf("mknod %s: %w", d.path, err)
		}
	}
	for _, l := range deviceLinks {
		say(fmt.Sprintf("symlink(%q, %q)", l.target, l.path), fmt.Sprintf("ln -s %s %s", l.target, l.path))
		if err := os.Symlink(l.target, l.path); err != nil {
			return err
		}
	}
	return nil
}
