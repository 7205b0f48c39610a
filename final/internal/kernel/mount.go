//go:build linux

package kernel

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"

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

// MountSetattr tries mount_setattr(2) with nothing to change, which the kernel notices before it looks for a
// mount, but after it has asked for the privilege to change one.
var MountSetattr = sync.OnceValue(func() error {
	err := unix.MountSetattr(-1, "", unix.AT_EMPTY_PATH, &unix.MountAttr{})
	if err != nil && !errors.Is(err, unix.EPERM) {
		return fmt.Errorf("mount_setattr: %w", err)
	}
	return nil
})

// OpenTree copies the mount at a path, or with recursive all mounts below as well, to a tree that is mounted
// nowhere: whoever has the descriptor can mount it (open_tree(2)).
func (d *Door) OpenTree(path string, recursive bool) (tree *os.File, err error) {
	call := Call{Op: "open_tree", Object: path, Value: "OPEN_TREE_CLONE", Shell: "mount --bind " + quote(path) + " ..."}
	flags := uint(unix.OPEN_TREE_CLONE | unix.OPEN_TREE_CLOEXEC)
	if recursive {
		flags |= unix.AT_RECURSIVE
		call.Value, call.Shell = "OPEN_TREE_CLONE|AT_RECURSIVE", "mount --rbind "+quote(path)+" ..."
	}
	err = d.Do(call, func() error {
		fd, err := unix.OpenTree(unix.AT_FDCWD, path, flags)
		if err != nil {
			return err
		}
		tree = os.NewFile(uintptr(fd), path)
		return nil
	})
	return tree, err
}

// IDMap gives the files of a tree that is mounted nowhere other owners: those that a user namespace maps
// theirs to (mount_setattr(2), since Linux 5.12, and the file system must allow it).
func (d *Door) IDMap(tree *os.File, recursive bool, namespace *os.File) error {
	call := Call{
		Op: "mount_setattr", Object: tree.Name(), Value: "MOUNT_ATTR_IDMAP",
		Shell: "mount --bind -o X-mount.idmap=" + quote(namespace.Name()) + " " + quote(tree.Name()) + " ...",
	}
	flags := uint(unix.AT_EMPTY_PATH)
	if recursive {
		flags |= unix.AT_RECURSIVE
	}
	return d.Do(call, func() error {
		change := &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_IDMAP, Userns_fd: uint64(namespace.Fd())}
		return unix.MountSetattr(int(tree.Fd()), "", flags, change)
	})
}

// Enslave makes all mounts of a tree that is mounted nowhere slaves of those they are copies of: they follow
// what is mounted there, and are not followed.
func (d *Door) Enslave(tree *os.File) error {
	call := Call{
		Op: "mount_setattr", Object: tree.Name(), Value: "MS_SLAVE AT_RECURSIVE",
		Shell: "mount --make-rslave " + quote(tree.Name()),
	}
	return d.Do(call, func() error {
		err := unix.MountSetattr(int(tree.Fd()), "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &unix.MountAttr{Propagation: unix.MS_SLAVE})
		if errors.Is(err, unix.ENOSYS) { // before 5.12, when mount(2) still took what is mounted nowhere
			err = unix.Mount("", fmt.Sprintf("/proc/self/fd/%d", tree.Fd()), "", unix.MS_SLAVE|unix.MS_REC, "")
		}
		return err
	})
}

// Tmpfs makes a tmpfs that is mounted nowhere, with options of its own such as "mode=755" (fsopen(2)). The source
// is what mountinfo says of it, and nothing else.
func (d *Door) Tmpfs(source string, options ...string) (tree *os.File, err error) {
	call := Call{
		Op: "fsopen", Object: "tmpfs", Value: strings.Join(options, ","),
		Shell: strings.TrimSpace("mount -t tmpfs -o "+quote(strings.Join(options, ","))) + " " + quote(source) + " ...",
	}
	err = d.Do(call, func() error {
		fs, err := unix.Fsopen("tmpfs", unix.FSOPEN_CLOEXEC)
		if err != nil {
			return err
		}
		defer unix.Close(fs)
		for _, option := range append([]string{"source=" + source}, options...) {
			if key, value, ok := strings.Cut(option, "="); ok {
				err = unix.FsconfigSetString(fs, key, value)
			} else {
				err = unix.FsconfigSetFlag(fs, option)
			}
			if err != nil {
				return fmt.Errorf("%s: %w", option, err)
			}
		}
		if err := unix.FsconfigCreate(fs); err != nil {
			return err
		}
		fd, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, 0)
		if err != nil {
			return err
		}
		tree = os.NewFile(uintptr(fd), "tmpfs")
		return nil
	})
	return tree, err
}
