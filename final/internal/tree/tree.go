//go:build linux

// Package tree reads and writes directories that somebody else may change at the same time, with malice: the root of a
// container that runs, the layer that it writes to.
//
// No name in such a directory is ever given to the kernel as a path of the host. A [Tree] resolves paths by openat2(2),
// with itself as their root, so that an absolute symbolic link, or a ".." too many, stays inside; and what was found is
// held by a descriptor from then on: between a look and the deed nothing can be put in its place. [Walk], [Archive] and
// [Extract] go by descriptors, too, and follow no link.
//
// os.Root is no substitute: it refuses absolute symbolic links, which every distribution's image has.
package tree

import (
	"errors"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/kernel"
)

// A Tree is a directory that is the root of all paths in it.
type Tree struct {
	root    *os.File
	resolve uint64 // RESOLVE_*
}

// Open opens a directory of the host as a tree.
func Open(dir string) (*Tree, error) {
	return open(dir, unix.RESOLVE_IN_ROOT|unix.RESOLVE_NO_MAGICLINKS)
}

// Host is the tree of the host's own files, in which links lead where they say.
func Host() (*Tree, error) { return open("/", 0) }

func open(dir string, resolve uint64) (*Tree, error) {
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: dir, Err: err}
	}
	return &Tree{os.NewFile(uintptr(fd), dir), resolve}, nil
}

// Close gives the tree's descriptor back.
func (t *Tree) Close() error { return t.root.Close() }

// below is the tree of a directory in which no symbolic link is followed at all.
func below(dir *os.File) *Tree {
	return &Tree{dir, unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS}
}

// Open opens a path in the tree, from its root on. A symbolic link at the end is followed, unless the flags say
// O_NOFOLLOW.
func (t *Tree) Open(name string, flags uint64) (*os.File, error) {
	from := strings.TrimLeft(name, "/")
	if from == "" {
		from = "."
	}
	fd, err := kernel.Openat2(int(t.root.Fd()), from, unix.OpenHow{Flags: flags | unix.O_CLOEXEC, Resolve: t.resolve})
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: name, Err: err}
	}
	return os.NewFile(uintptr(fd), name), nil
}

// Directory opens the directory that a path names, as a handle for what is in it.
func (t *Tree) Directory(name string) (*os.File, error) {
	return t.Open(name, unix.O_PATH|unix.O_DIRECTORY)
}

// MakeDirectory opens a directory as [Tree.Directory] does, and makes it and those above it where they are missing. made
// is called for each that was.
func (t *Tree) MakeDirectory(name string, made func(parent *os.File, base string) error) (*os.File, error) {
	opened, err := t.Directory(name)
	if !errors.Is(err, unix.ENOENT) || name == "." || name == "/" {
		return opened, err
	}
	up, err := t.MakeDirectory(path.Dir(name), made)
	if err != nil {
		return nil, err
	}
	defer up.Close()
	if err := unix.Mkdirat(int(up.Fd()), path.Base(name), 0o755); err != nil {
		return nil, &os.PathError{Op: "mkdir", Path: name, Err: err}
	}
	if err := made(up, path.Base(name)); err != nil {
		return nil, err
	}
	return t.Directory(name)
}
