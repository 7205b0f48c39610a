//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// mounts is what systemd has mounted when the first service starts, in order.
var mounts = []struct {
	source, target, fstype string
	flags                  uintptr
	data                   string
}{
	{"proc", "/proc", "proc", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, ""},
	{"sysfs", "/sys", "sysfs", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, ""},
	{"securityfs", "/sys/kernel/security", "securityfs", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, ""},
	{"selinuxfs", "/sys/fs/selinux", "selinuxfs", unix.MS_NOSUID | unix.MS_NOEXEC, ""}, // with SELinux on; it has devices
	{"devtmpfs", "/dev", "devtmpfs", unix.MS_NOSUID, "mode=755"},
	{"devpts", "/dev/pts", "devpts", unix.MS_NOSUID | unix.MS_NOEXEC, "gid=5,mode=620,ptmxmode=666"},
	{"tmpfs", "/dev/shm", "tmpfs", unix.MS_NOSUID | unix.MS_NODEV, "mode=1777"},
	{"mqueue", "/dev/mqueue", "mqueue", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, ""},
	{"tmpfs", "/run", "tmpfs", unix.MS_NOSUID | unix.MS_NODEV, "mode=755"},
	{"tmpfs", "/tmp", "tmpfs", unix.MS_NOSUID | unix.MS_NODEV, "mode=1777"},
	{"bpf", "/sys/fs/bpf", "bpf", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, "mode=700"},
	{"cgroup2", cgroupDir, "cgroup2", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, "nsdelegate"},
}

const cgroupDir = "/sys/fs/cgroup"

// leaveInitramfs puts a mount over the kernel's rootfs and changes to it, as
// switch_root(8) does. The files stay where they are: the new mount is a bind
// of the same tmpfs, which costs nothing.
//
// Without it the root mount has no parent, and pivot_root(2) fails in it with
// EINVAL. And it is made shared, as systemd does: a mount that leaks out of a
// container must leak here too, or no test would find it.
//
// chroot acts on the helpers that the kernel starts (modprobe) as well, because
// process 1 shares its fs_struct with kthreadd.
func leaveInitramfs() error {
	const root = "/microvm/root"
	for _, step := range []struct {
		what string
		do   func() error
	}{
		{"bind / " + root, func() error { return unix.Mount("/", root, "", unix.MS_BIND, "") }},
		{"chdir " + root, func() error { return unix.Chdir(root) }},
		{"move " + root + " /", func() error { return unix.Mount(".", "/", "", unix.MS_MOVE, "") }},
		{"chroot .", func() error { return unix.Chroot(".") }},
		{"chdir /", func() error { return unix.Chdir("/") }},
		{"make / shared", func() error { return unix.Mount("", "/", "", unix.MS_REC|unix.MS_SHARED, "") }},
	} {
		if err := step.do(); err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
	}
	return nil
}

// mountAll mounts the table. A target that the kernel gives no directory for
// (no bpf, no cgroups) is left out.
func mountAll(noCgroup2 bool) error {
	for _, m := range mounts {
		if m.target == cgroupDir && noCgroup2 {
			continue
		}
		_ = os.Mkdir(m.target, 0o755) // in /dev; elsewhere it is there, or cannot be
		err := unix.Mount(m.source, m.target, m.fstype, m.flags, m.data)
		if err != nil && !errors.Is(err, unix.ENODEV) && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("mount %s %s: %w", m.fstype, m.target, err)
		}
	}
	for name, target := range map[string]string{
		"/dev/fd": "/proc/self/fd", "/dev/stdin": "/proc/self/fd/0", "/dev/stdout": "/proc/self/fd/1", "/dev/stderr": "/proc/self/fd/2",
	} {
		if err := os.Symlink(target, name); err != nil {
			return err
		}
	}
	return nil
}
