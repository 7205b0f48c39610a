//go:build linux

package overlay

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/tree"
)

// A Kind says what became of a file, in Docker's letters.
type Kind byte

const (
	Added   Kind = 'A'
	Changed Kind = 'C'
	Deleted Kind = 'D'
)

// A Change is one line of diff.
type Change struct {
	Kind Kind
	Path string // from the root of the file system on: /etc/passwd
}

// Changes returns what the layer upper changes of those below it, lowest first, by path. A directory has changed if
// something in it has, or its own attributes have. That a file is in the upper layer is no change alone: to open it
// for writing is enough to be copied there.
func Changes(upper string, lowers []string) ([]Change, error) {
	below := &merged{}
	defer below.close()
	for _, dir := range slices.Backward(lowers) {
		if err := below.add(dir); err != nil {
			return nil, err
		}
	}
	top, err := os.Open(upper)
	if err != nil {
		return nil, err
	}
	defer top.Close()
	c := &comparison{}
	e, err := tree.At(top, ".", "")
	if err == nil {
		_, err = c.directory(e, below)
	}
	slices.SortFunc(c.changes, func(a, b Change) int { return slices.Compare(parts(a.Path), parts(b.Path)) })
	return c.changes, err
}

type comparison struct{ changes []Change }

func (c *comparison) add(kind Kind, name string) {
	c.changes = append(c.changes, Change{kind, "/" + name})
}

// directory compares a directory of the upper layer with what is below it, and tells whether there was a change in it.
func (c *comparison) directory(e tree.Entry, below *merged) (changed bool, err error) {
	dir, names, err := e.Names()
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil // it has just gone
	}
	if err != nil {
		return false, err
	}
	defer dir.Close()
	for _, base := range names {
		entry, err := tree.At(dir, base, join(e.Name, base))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return false, err
		}
		one, err := c.entry(entry, below)
		if err != nil {
			return false, err
		}
		changed = changed || one
	}
	if !isOpaque(&e) {
		return changed, nil
	}
	hidden, err := below.names()
	for _, base := range hidden {
		if _, stays := slices.BinarySearch(names, base); !stays {
			c.add(Deleted, join(e.Name, base))
			changed = true
		}
	}
	return changed, err
}

// entry compares an entry of the upper layer with what is below it.
func (c *comparison) entry(e tree.Entry, below *merged) (changed bool, err error) {
	old, found, err := below.find(e.Base)
	if err != nil {
		return false, err
	}
	defer old.close()
	switch {
	case isWhiteout(&e):
		if found {
			c.add(Deleted, e.Name)
		}
		return found, nil
	case !found:
		c.add(Added, e.Name)
		changed = true
	case !same(&old.entry, &e):
		c.add(Changed, e.Name)
		changed = true
	}
	if e.Type() != unix.S_IFDIR {
		return changed, nil
	}
	inside, err := c.directory(e, &old.merged)
	if inside && !changed {
		c.add(Changed, e.Name)
	}
	return changed || inside, err
}

// same tells whether a file of the upper layer is as it was below. Of a directory neither time nor size count: they
// change with what is in it.
func same(old, now *tree.Entry) bool {
	a, b := &old.Stat, &now.Stat
	if a.Mode != b.Mode || a.Uid != b.Uid || a.Gid != b.Gid || a.Rdev != b.Rdev {
		return false
	}
	if now.Type() != unix.S_IFDIR && (a.Size != b.Size || a.Mtim != b.Mtim) {
		return false
	}
	was, err1 := old.Attributes()
	is, err2 := now.Attributes()
	return err1 == nil && err2 == nil && maps.Equal(was, is)
}

// isWhiteout tells whether an entry of a layer says that there is no such file: a character device 0:0 (kernel:
// Documentation/filesystems/overlayfs.rst).
func isWhiteout(e *tree.Entry) bool { return e.Type() == unix.S_IFCHR && e.Stat.Rdev == 0 }

// opaque is the attribute of a directory of a layer that hides what the layers below have in it.
const opaque = "trusted.overlay.opaque"

func isOpaque(e *tree.Entry) bool { return e.Attribute(opaque) == "y" }

func join(dir, base string) string {
	if dir == "" {
		return base
	}
	return dir + "/" + base
}
