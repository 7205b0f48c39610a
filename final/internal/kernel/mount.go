//go:build linux

package kernel

import (
	"slices"
	"strings"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// Mounts returns the mounts of the calling thread's mount namespace, also those that others cover
// (proc_pid_mountinfo(5)).
func (d *Door) Mounts() (mounts []*mountinfo.Info, err error) {
	call := Call{Op: "read", Object: "/proc/thread-self/mountinfo", Shell: "findmnt"}
	err = d.Do(call, func() error {
		mounts, err = mountinfo.GetMounts(nil)
		return err
	})
	return mounts, err
}

// MountsBelow picks the mount points at dir and below it, in the order in which they can be unmounted:
// deepest first, and of several at one place the last one mounted first.
func MountsBelow(mounts []*mountinfo.Info, dir string) []string {
	var found []string
	for _, m := range slices.Backward(mounts) {
		if m.Mountpoint == dir || strings.HasPrefix(m.Mountpoint, dir+"/") {
			found = append(found, m.Mountpoint)
		}
	}
	depth := func(path string) int { return strings.Count(path, "/") }
	slices.SortStableFunc(found, func(a, b string) int { return depth(b) - depth(a) })
	return found
}

// Unmount takes a mount out of the tree at once, and lets the kernel end it when its last user is gone:
// MNT_DETACH is never busy (umount2(2)). A symbolic link at path is not followed.
func (d *Door) Unmount(path string) error {
	call := Call{
		Op: "umount2", Object: path, Value: "MNT_DETACH|UMOUNT_NOFOLLOW",
		Shell: "umount -l " + quote(path),
	}
	return d.Do(call, func() error { return unix.Unmount(path, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW) })
}
