//go:build linux

package tree

import (
	"errors"
	"fmt"
	"os"
	"path"

	"golang.org/x/sys/unix"
)

// An Inode identifies a file, whatever names it has.
type Inode struct{ Device, Number uint64 }

// InodeOf is the one of a file that was looked at.
func InodeOf(st *unix.Stat_t) Inode { return Inode{uint64(st.Dev), st.Ino} }

// InodeAt looks at a file in an open directory, and does not follow it. The error is the bare errno.
func InodeAt(parent int, base string) (id Inode, mode uint32, err error) {
	var st unix.Stat_t
	if err := unix.Fstatat(parent, base, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return Inode{}, 0, err
	}
	return InodeOf(&st), st.Mode, nil
}

// Remove removes a directory with all that is in it. A mount below it makes it fail, with what is mounted intact.
func Remove(dir string) error {
	parent, err := os.Open(path.Dir(dir))
	if err != nil {
		return err
	}
	defer parent.Close()
	return RemoveAt(int(parent.Fd()), path.Base(dir), func(Inode) bool { return false })
}

// RemoveAt removes base in an open directory and all below it, except what keep says; it never follows a link and never
// enters a mount, a bind mount of the same file system neither: what is mounted there is not ours.
func RemoveAt(parent int, base string, keep func(Inode) bool) error {
	id, mode, err := InodeAt(parent, base)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return &os.PathError{Op: "stat", Path: base, Err: err}
	}
	flags := 0
	if mode&unix.S_IFMT == unix.S_IFDIR {
		if err := ClearAt(parent, base, keep); err != nil {
			return err
		}
		flags = unix.AT_REMOVEDIR
	}
	if keep(id) {
		return nil
	}
	err = unix.Unlinkat(parent, base, flags)
	if err == nil || errors.Is(err, unix.ENOTEMPTY) { // something in it was kept
		return nil
	}
	return &os.PathError{Op: "remove", Path: base, Err: err}
}

// ClearAt is RemoveAt for all that is in the directory base, which itself stays.
func ClearAt(parent int, base string, keep func(Inode) bool) error {
	fd, err := Openat2(parent, base, unix.OpenHow{
		Flags: unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC, Resolve: unix.RESOLVE_NO_XDEV,
	})
	if errors.Is(err, unix.EXDEV) {
		err = fmt.Errorf("something is mounted there: %w", err)
	}
	if err != nil {
		return &os.PathError{Op: "remove", Path: base, Err: err}
	}
	dir := os.NewFile(uintptr(fd), base)
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := RemoveAt(fd, name, keep); err != nil {
			return err
		}
	}
	return nil
}
