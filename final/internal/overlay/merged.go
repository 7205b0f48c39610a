//go:build linux

package overlay

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/tree"
)

// merged is a directory of several layers, as the kernel merges them: the highest first.
type merged struct{ dirs []*os.File }

func (m *merged) add(path string) error {
	dir, err := os.Open(path)
	if err == nil {
		m.dirs = append(m.dirs, dir)
	}
	return err
}

func (m *merged) close() {
	for _, dir := range m.dirs {
		dir.Close()
	}
}

// A found is a file of a merged directory; if it is a directory, what is merged in it.
type found struct {
	merged
	entry tree.Entry
}

// find looks for a name: the highest layer that has it says what it is. If that is a directory, those of lower layers
// are merged into it, until one has something else there, or hides what is below.
func (m *merged) find(base string) (f found, ok bool, err error) {
	for _, dir := range m.dirs {
		e, err := tree.At(dir, base, base)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return f, false, err
		}
		directory := e.Type() == unix.S_IFDIR
		if isWhiteout(&e) || ok && !directory {
			break
		}
		if !ok {
			f.entry, ok = e, true
		}
		if !directory {
			break
		}
		below, err := openBelow(dir, base)
		if err != nil {
			return f, false, err
		}
		f.dirs = append(f.dirs, below)
		if isOpaque(&e) {
			break
		}
	}
	return f, ok, nil
}

func openBelow(dir *os.File, base string) (*os.File, error) {
	fd, err := unix.Openat(int(dir.Fd()), base, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: base, Err: err}
	}
	return os.NewFile(uintptr(fd), base), nil
}

// names are those of the merged directory, sorted.
func (m *merged) names() (names []string, err error) {
	gone := map[string]bool{}
	for _, dir := range m.dirs {
		if _, err := dir.Seek(0, 0); err != nil {
			return nil, err
		}
		list, err := dir.Readdirnames(-1)
		if err != nil {
			return nil, err
		}
		for _, base := range list {
			if gone[base] {
				continue
			}
			gone[base] = true // a higher layer has said what it is
			if e, err := tree.At(dir, base, base); err == nil && !isWhiteout(&e) {
				names = append(names, base)
			}
		}
	}
	slices.Sort(names)
	return names, nil
}

// parts are the names of a path. Sorted by them, a directory comes right before what is in it.
func parts(path string) []string { return strings.Split(path, "/") }
