//go:build linux

package tree

import (
	"errors"
	"fmt"
	"os"
	"path"

	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/kernel"
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
	r := &removal{parent: parent, keep: keep}
	defer r.close()
	if err := r.take(base); err != nil {
		return err
	}
	return r.goOn()
}

// ClearAt is RemoveAt for all that is in the directory base, which itself stays.
func ClearAt(parent int, base string, keep func(Inode) bool) error {
	id, _, err := InodeAt(parent, base)
	if err != nil {
		return &os.PathError{Op: "stat", Path: base, Err: err}
	}
	r := &removal{parent: parent, keep: keep}
	defer r.close()
	if err := r.enter(base, id); err != nil {
		return err
	}
	r.way[0].stays = true
	return r.goOn()
}

// A removal goes through a tree. That may be deeper than there are descriptors, as whoever made it liked: so only the
// last directories of the way down are open, and from those ".." leads back to the others.
type removal struct {
	parent int // where it begins; the caller's
	keep   func(Inode) bool
	way    []passed // the directories from there to where it is
	kept   bool     // something was, and the directories that it is in
}

// mostOpen is how many of the way are open.
const mostOpen = 64

// A passed directory is one that the removal is in.
type passed struct {
	name  string // in the one above
	id    Inode
	dir   *os.File // nil while it is closed
	left  []string // what is in it and not looked at yet
	stays bool
}

func (r *removal) close() {
	for _, p := range r.way {
		if p.dir != nil {
			p.dir.Close()
		}
	}
}

// here is the directory that the removal is in.
func (r *removal) here() int {
	if len(r.way) == 0 {
		return r.parent
	}
	return int(r.way[len(r.way)-1].dir.Fd())
}

func (r *removal) goOn() error {
	for len(r.way) > 0 {
		last, err := &r.way[len(r.way)-1], error(nil)
		if n := len(last.left); n > 0 {
			name := last.left[n-1]
			last.left = last.left[:n-1]
			err = r.take(name)
		} else {
			err = r.leave()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// take removes a file, and enters a directory.
func (r *removal) take(name string) error {
	id, mode, err := InodeAt(r.here(), name)
	switch {
	case errors.Is(err, unix.ENOENT):
		return nil
	case err != nil:
		return &os.PathError{Op: "stat", Path: name, Err: err}
	case mode&unix.S_IFMT == unix.S_IFDIR:
		return r.enter(name, id)
	}
	return r.unlink(name, id, 0)
}

func (r *removal) enter(name string, id Inode) error {
	dir, err := openDirectory(r.here(), name)
	if err != nil {
		return err
	}
	left, err := dir.Readdirnames(-1)
	r.way = append(r.way, passed{name: name, id: id, dir: dir, left: left})
	if far := len(r.way) - 1 - mostOpen; far >= 0 && r.way[far].dir != nil {
		r.way[far].dir.Close()
		r.way[far].dir = nil
	}
	return err
}

// leave removes the directory that the removal is in, from the one above.
func (r *removal) leave() error {
	last := r.way[len(r.way)-1]
	defer last.dir.Close()
	r.way = r.way[:len(r.way)-1]
	if n := len(r.way); n > 0 && r.way[n-1].dir == nil {
		above := &r.way[n-1]
		dir, err := openDirectory(int(last.dir.Fd()), "..")
		if err != nil {
			return err
		}
		above.dir = dir
		if id, _, err := InodeAt(r.here(), "."); err != nil || id != above.id {
			return &os.PathError{Op: "remove", Path: last.name, Err: errors.Join(errors.New("somebody has moved it"), err)}
		}
	}
	if last.stays {
		return nil
	}
	return r.unlink(last.name, last.id, unix.AT_REMOVEDIR)
}

func (r *removal) unlink(name string, id Inode, flags int) error {
	if r.keep(id) {
		r.kept = true
		return nil
	}
	err := unix.Unlinkat(r.here(), name, flags)
	if err == nil || r.kept && errors.Is(err, unix.ENOTEMPTY) {
		return nil
	}
	return &os.PathError{Op: "remove", Path: name, Err: err}
}

func openDirectory(parent int, name string) (*os.File, error) {
	fd, err := kernel.Openat2(parent, name, unix.OpenHow{
		Flags: unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC, Resolve: unix.RESOLVE_NO_XDEV,
	})
	if errors.Is(err, unix.EXDEV) {
		err = fmt.Errorf("something is mounted there: %w", err)
	}
	if err != nil {
		return nil, &os.PathError{Op: "remove", Path: name, Err: err}
	}
	return os.NewFile(uintptr(fd), name), nil
}
