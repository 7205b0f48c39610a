//go:build linux

package image

import (
	"errors"
	"fmt"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	files "github.com/simple-container/simple-container/final/internal/tree"
)

// A tree is a directory that an archive is unpacked into. No name from the archive is ever given to the kernel as
// a path of the host: parents are resolved by openat2(2) with RESOLVE_IN_ROOT, for which the tree is the root, so
// that absolute symbolic links and ".." in them stay inside, as they will when a container runs in it. The last
// component is never followed.
//
// os.Root is no substitute: it refuses absolute symbolic links, which every distribution's image has.
type tree struct {
	root int
}

func openTree(dir string) (*tree, error) {
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: dir, Err: err}
	}
	return &tree{root: fd}, nil
}

func (t *tree) close() { _ = unix.Close(t.root) } // a handle without data

// errHostile marks a name that no honest archive has.
var errHostile = errors.New("the name leads out of the archive")

// clean checks a name from an archive and returns it in its shortest form, "." for the root itself.
func clean(name string) (string, error) {
	if strings.HasPrefix(name, "/") {
		return "", fmt.Errorf("%w: it is absolute", errHostile)
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == ".." {
			return "", fmt.Errorf("%w: it has a \"..\"", errHostile)
		}
	}
	if name == "" {
		return "", errors.New("the name is empty")
	}
	return path.Clean(name), nil
}

// inside is how paths are resolved: nothing leads out of the tree, or to what is mounted in it.
const inside = unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS | unix.RESOLVE_NO_XDEV

// open opens a path inside the tree, following symbolic links in all but the last component.
func (t *tree) open(name string, flags uint64) (int, error) {
	return files.Openat2(t.root, name, unix.OpenHow{Flags: flags | unix.O_CLOEXEC | unix.O_NOFOLLOW, Resolve: inside})
}

// directory opens the directory that a path names, through a symbolic link as well.
func (t *tree) directory(name string) (int, error) {
	return files.Openat2(t.root, name, unix.OpenHow{Flags: unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: inside})
}

// wrap adds what was done to what, and keeps nil.
func wrap(op, name string, err error) error {
	if err == nil {
		return nil
	}
	return &os.PathError{Op: op, Path: name, Err: err}
}

// inode identifies a file on the tree's own file system.
type inode struct{ device, number uint64 }

func inodeAt(parent int, base string) (inode, uint32, error) {
	var st unix.Stat_t
	if err := unix.Fstatat(parent, base, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return inode{}, 0, err
	}
	return inode{uint64(st.Dev), st.Ino}, st.Mode, nil
}

// removeAt removes base in parent and all below it, except what keep says; it never follows a link and never enters
// a mount, a bind mount of the same file system neither: what is mounted there is not ours.
func removeAt(parent int, base string, keep func(inode) bool) error {
	id, mode, err := inodeAt(parent, base)
	if err == unix.ENOENT {
		return nil
	}
	if err != nil {
		return wrap("stat", base, err)
	}
	if mode&unix.S_IFMT != unix.S_IFDIR {
		if keep(id) {
			return nil
		}
		return wrap("unlink", base, unix.Unlinkat(parent, base, 0))
	}
	if err := removeBelow(parent, base, keep); err != nil || keep(id) {
		return err
	}
	err = unix.Unlinkat(parent, base, unix.AT_REMOVEDIR)
	if err == unix.ENOTEMPTY {
		return nil // something in it was kept
	}
	return wrap("rmdir", base, err)
}

func removeBelow(parent int, base string, keep func(inode) bool) error {
	fd, err := files.Openat2(parent, base, unix.OpenHow{
		Flags: unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC, Resolve: unix.RESOLVE_NO_XDEV,
	})
	if err != nil {
		return wrap("open", base, err)
	}
	dir := os.NewFile(uintptr(fd), base)
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := removeAt(fd, name, keep); err != nil {
			return err
		}
	}
	return nil
}

// Remove removes a directory with all that is in it. A mount below it makes it fail, with what is mounted intact.
func Remove(dir string) error {
	parent, err := openTree(path.Dir(dir))
	if err != nil {
		return err
	}
	defer parent.close()
	return removeAt(parent.root, path.Base(dir), func(inode) bool { return false })
}
