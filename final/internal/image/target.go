//go:build linux

package image

import (
	"errors"
	"fmt"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/kernel"
)

// A target is a directory that an archive is unpacked into. As in package tree, no name from the archive is ever given to
// the kernel as a path of the host: parents are resolved by openat2(2) with RESOLVE_IN_ROOT, for which the target is the
// root, so that absolute symbolic links and ".." in them stay inside, as they will when a container runs in it. The last
// component is never followed. Nobody else changes the directory meanwhile, so that bare descriptors will do, of which
// there are many.
type target struct{ root int }

func openTarget(dir string) (*target, error) {
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: dir, Err: err}
	}
	return &target{fd}, nil
}

func (t *target) close() { _ = unix.Close(t.root) } // a handle without data

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

// inside is how paths are resolved: nothing leads out of the target, or to what is mounted in it.
const inside = unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS | unix.RESOLVE_NO_XDEV

// open opens a path inside the target, following symbolic links in all but the last component.
func (t *target) open(name string, flags uint64) (int, error) {
	return kernel.Openat2(t.root, name, unix.OpenHow{Flags: flags | unix.O_CLOEXEC | unix.O_NOFOLLOW, Resolve: inside})
}

// directory opens the directory that a path names, through a symbolic link as well.
func (t *target) directory(name string) (int, error) {
	return kernel.Openat2(t.root, name, unix.OpenHow{Flags: unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: inside})
}

// wrap adds what was done to what, and keeps nil.
func wrap(op, name string, err error) error {
	if err == nil {
		return nil
	}
	return &os.PathError{Op: op, Path: name, Err: err}
}
