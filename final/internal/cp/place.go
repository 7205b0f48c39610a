//go:build linux

package cp

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/tree"
)

// source is what is to be copied.
type source struct {
	dir     *os.File // that the entry is in
	entry   tree.Entry
	content bool // what is in a directory, not the directory
}

func (s *source) close() { s.dir.Close() }

func (s *source) isDir() bool { return s.entry.Type() == unix.S_IFDIR }

// source finds what a path names. The name that it will have is the path's last.
func (o Options) source(from Place) (*source, error) {
	name := path.Base(path.Clean("/" + from.Path))
	s := &source{content: wantsContent(from.Path) || name == "/"}
	if s.content {
		name = "."
	}
	if s.content || strings.HasSuffix(from.Path, "/") || path.Base(from.Path) == ".." {
		dir, err := from.Tree.Directory(from.Path)
		if err != nil {
			return nil, err
		}
		s.dir = dir
		s.entry, err = tree.At(dir, ".", name)
		return s.checked(err)
	}
	leaf, err := find(from, o.Follow)
	if err != nil {
		return nil, err
	}
	s.dir = leaf.dir
	if !leaf.found {
		return s.checked(&os.PathError{Op: "open", Path: from.Path, Err: unix.ENOENT})
	}
	s.entry = leaf.entry
	s.entry.Name = name
	return s.checked(nil)
}

// checked gives the directory back if there was an error.
func (s *source) checked(err error) (*source, error) {
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// wantsContent tells whether a path means what is in a directory.
func wantsContent(name string) bool { return name == "." || strings.HasSuffix(name, "/.") }

// target is where a copy goes.
type target struct {
	dir  *os.File // the directory that it is made in
	name string   // what it is called there; empty is the source's own name
}

func (t *target) close() { t.dir.Close() }

// destination finds where a source goes, and refuses what cannot be:
//
//	what the path is        a file                     a directory          what is in a directory
//	nothing                 is called so               is called so         is in one called so
//	nothing, slash behind   an error                   is called so         is in one called so
//	a file                  replaces it                an error             an error
//	a directory             is in it                   is in it             is in it
func destination(to Place, s *source) (*target, error) {
	dir, err := to.Tree.Directory(to.Path)
	if err == nil {
		return &target{dir: dir}, nil
	}
	slash := strings.HasSuffix(to.Path, "/") || wantsContent(to.Path)
	if errors.Is(err, unix.ENOTDIR) && slash && !s.isDir() {
		return nil, err
	}
	if !errors.Is(err, unix.ENOTDIR) && !errors.Is(err, unix.ENOENT) {
		return nil, err
	}
	to.Path = path.Clean(to.Path)
	leaf, err := find(to, true)
	if err != nil {
		return nil, err
	}
	switch {
	case leaf.found && s.isDir():
		err = fmt.Errorf("%s: a file is there, which no directory replaces", to.Path)
	case !leaf.found && slash && !s.isDir():
		err = fmt.Errorf("%s: there is no such directory", to.Path)
	}
	if err != nil {
		leaf.dir.Close()
		return nil, err
	}
	return &target{leaf.dir, leaf.base}, nil
}

// leaf is the last component of a path: a name in a directory.
type leaf struct {
	dir   *os.File
	base  string
	entry tree.Entry
	found bool
}

// mostLinks is how many symbolic links in a row are followed, as the kernel has it (path_resolution(7)).
const mostLinks = 40

// find finds the last component of a path, and with follow where it leads if it is a symbolic link.
func find(at Place, follow bool) (l leaf, err error) {
	for range mostLinks {
		dir, base := path.Split(at.Path)
		if base == "" || base == "." || base == ".." {
			return l, &os.PathError{Op: "open", Path: at.Path, Err: errors.New("want the name of a file")}
		}
		l = leaf{base: base}
		if l.dir, err = at.Tree.Directory(dir); err != nil {
			return l, err
		}
		l.entry, err = tree.At(l.dir, base, base)
		if errors.Is(err, fs.ErrNotExist) {
			return l, nil
		}
		l.found = true
		if err == nil && (!follow || l.entry.Type() != unix.S_IFLNK) {
			return l, nil
		}
		link := ""
		if err == nil {
			link, err = l.entry.Link()
		}
		l.dir.Close()
		if err != nil {
			return l, err
		}
		if !path.IsAbs(link) {
			link = dir + link
		}
		at.Path = link
	}
	return l, &os.PathError{Op: "open", Path: at.Path, Err: unix.ELOOP}
}
