//go:build linux

package main

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// stateDir holds one directory for each running container.
const stateDir = "/run/simple-container"

func newID() string {
	b := make([]byte, 6)
	_, _ = rand.Read(b) // never fails, says its documentation
	return hex.EncodeToString(b)
}

// checkRootfs makes the image's path absolute and sees that there is a directory.
func checkRootfs(path *string) error {
	info, err := os.Stat(*path)
	if *path == "" || err == nil && !info.IsDir() {
		return fmt.Errorf("--rootfs %q: not a directory", *path)
	}
	if err != nil {
		return fmt.Errorf("--rootfs: %w\nmake one: go run ./final rootfs %s", err, *path)
	}
	*path, err = filepath.Abs(*path)
	return err
}

// directory is a container's directory on the host. We hold a lock on it as long as we live, and the
// kernel lets go of it however we die: so a clean-up can tell a running container from the remains of one.
type directory struct {
	path string
	lock *os.File
}

func newDirectory(path string) (*directory, error) {
	say(fmt.Sprintf("mkdir(%q, 0700)", path), "mkdir -p -m 700 "+path)
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, err
	}
	lock, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		lock.Close()
		return nil, fmt.Errorf("flock %s: %w", path, err)
	}
	return &directory{path, lock}, nil
}

// remove takes the directory away, and nothing with it: it is empty, because what the container wrote was
// mounted on it in the container's mount namespace only, and ended with that.
func (d *directory) remove() error {
	defer d.lock.Close()
	say(fmt.Sprintf("rmdir(%q)", d.path), "rmdir "+d.path)
	return os.Remove(d.path)
}

// cleanUp, deferred, calls undo and adds its error to the one being returned.
func cleanUp(code *int, err *error, undo func() error) {
	if failure := undo(); failure != nil {
		*code, *err = exitFailure, errors.Join(*err, failure)
	}
}

// mountOverlay builds the container's root of two layers: the image below, never written, so that any
// number of containers can share it; above, an empty layer that takes all changes. overlayfs looks a file
// up in the upper layer first, copies it up when it is opened for writing, and marks a deletion there with
// a whiteout. The upper layer is on a tmpfs: it lives as long as the mount namespace.
func (c container) mountOverlay() error {
	if err := mount("tmpfs", c.Dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0700"); err != nil {
		return err
	}
	upper, work, root := c.Dir+"/upper", c.Dir+"/work", c.Dir+"/root"
	for _, dir := range []string{upper, work, root} {
		say(fmt.Sprintf("mkdir(%q, 0755)", dir), "mkdir "+dir)
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
	}
	escape := strings.NewReplacer(`\`, `\\`, `,`, `\,`, `:`, `\:`) // what separates options and layers
	layers := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", escape.Replace(c.Rootfs), upper, work)
	return mount("overlay", root, "overlay", unix.MS_NODEV, layers)
}
