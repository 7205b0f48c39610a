//go:build linux

package rootfs

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/kernel"
)

// copyUp makes a tmpfs that begins with a copy of the directory it is going to cover (tmpcopyup). The
// container side cannot copy files; the parent fills the tmpfs before it is mounted anywhere.
//
// The image is walked by descriptors below its root: a symbolic link is copied, never followed. What the tmpfs
// covers may be another mount of the spec's: only the image's own files are copied.
func (b *builder) copyUp(d *kernel.Door, i int, o options) (tree *os.File, err error) {
	root, err := unix.Open(b.Root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", b.Root, err)
	}
	defer unix.Close(root)
	how := unix.OpenHow{Flags: unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: inRoot}
	from, err := kernel.Openat2(root, b.sites[i].Target, how)
	empty := errors.Is(err, unix.ENOENT) // nothing there to begin with
	if err != nil && !empty {
		return nil, fmt.Errorf("open %s: %w", b.host(b.sites[i].Target), err)
	}
	source := os.NewFile(uintptr(from), b.host(b.sites[i].Target)) // nil for -1
	defer source.Close()
	data := b.context("tmpfs", o.data)
	if mode := b.sites[i].Mode; mode != 0 && !hasKey(data, "mode") {
		data = append(data, fmt.Sprintf("mode=%o", mode))
	}
	name := b.spec.Mounts[i].Source
	if name == "" {
		name = "tmpfs"
	}
	tree, err = d.Tmpfs(name, data...)
	if err != nil || empty {
		return tree, err
	}
	err = copyDirectory(source, int(tree.Fd()))
	if err == nil && !hasKey(data, "uid") && !hasKey(data, "gid") {
		var stat unix.Stat_t
		err = unix.Fstat(from, &stat)
		err = errors.Join(err, unix.Fchownat(int(tree.Fd()), "", int(stat.Uid), int(stat.Gid), unix.AT_EMPTY_PATH))
	}
	if err != nil {
		tree.Close()
		return nil, fmt.Errorf("tmpcopyup: %w", err)
	}
	return tree, nil
}

// copyDirectory copies what is in a directory to another.
func copyDirectory(from *os.File, to int) error {
	names, err := from.Readdirnames(-1)
	if err != nil {
		return err
	}
	slices.Sort(names)
	for _, name := range names {
		if err := copyEntry(from, to, name); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// copyEntry copies a file of any type, with its owner, permissions and times.
func copyEntry(from *os.File, to int, name string) error {
	dir := int(from.Fd())
	var stat unix.Stat_t
	if err := unix.Fstatat(dir, name, &stat, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	var err error
	switch stat.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		err = copySubdirectory(dir, to, name)
	case unix.S_IFREG:
		err = copyContent(dir, to, name)
	case unix.S_IFLNK:
		target := make([]byte, unix.PathMax)
		n, e := unix.Readlinkat(dir, name, target)
		if err = e; err == nil {
			err = unix.Symlinkat(string(target[:n]), to, name)
		}
	default:
		err = unix.Mknodat(to, name, stat.Mode, int(stat.Rdev))
	}
	if err != nil {
		return err
	}
	if err := unix.Fchownat(to, name, int(stat.Uid), int(stat.Gid), unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	if stat.Mode&unix.S_IFMT != unix.S_IFLNK { // made by this process in a tree nobody else has: no link to follow
		if err := unix.Fchmodat(to, name, stat.Mode&^unix.S_IFMT, 0); err != nil { // after chown, which takes setuid away
			return err
		}
	}
	times := []unix.Timespec{stat.Atim, stat.Mtim}
	return unix.UtimesNanoAt(to, name, times, unix.AT_SYMLINK_NOFOLLOW)
}

func copySubdirectory(dir, to int, name string) error {
	if err := unix.Mkdirat(to, name, 0o700); err != nil {
		return err
	}
	const flags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
	from, err := unix.Openat(dir, name, flags, 0)
	if err != nil {
		return err
	}
	source := os.NewFile(uintptr(from), name)
	defer source.Close()
	below, err := unix.Openat(to, name, flags, 0)
	if err != nil {
		return err
	}
	defer unix.Close(below)
	return copyDirectory(source, below)
}

func copyContent(dir, to int, name string) error {
	from, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	source := os.NewFile(uintptr(from), name)
	defer source.Close()
	fd, err := unix.Openat(to, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	target := os.NewFile(uintptr(fd), name)
	_, err = io.Copy(target, source)
	err = errors.Join(err, copyAttributes(source, target))
	return errors.Join(err, target.Close())
}

// copyAttributes copies the extended attributes of a file, such as its capabilities. What a tmpfs does not
// keep is left out.
func copyAttributes(from, to *os.File) error {
	list := make([]byte, 64<<10) // XATTR_LIST_MAX
	n, err := unix.Flistxattr(int(from.Fd()), list)
	if err != nil || n == 0 {
		return nil // its file system has none
	}
	value := make([]byte, 64<<10) // XATTR_SIZE_MAX
	for name := range strings.SplitSeq(strings.TrimSuffix(string(list[:n]), "\x00"), "\x00") {
		size, err := unix.Fgetxattr(int(from.Fd()), name, value)
		if err == nil {
			err = unix.Fsetxattr(int(to.Fd()), name, value[:size], 0)
		}
		if err != nil && !errors.Is(err, unix.EOPNOTSUPP) {
			return fmt.Errorf("attribute %s: %w", name, err)
		}
	}
	return nil
}
