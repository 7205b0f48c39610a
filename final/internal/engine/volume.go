//go:build linux

package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/image"
	"github.com/simple-container/simple-container/final/internal/kernel"
	"github.com/simple-container/simple-container/final/internal/ocispec"
	"github.com/simple-container/simple-container/final/internal/tree"
)

// A volume is a directory that outlives containers:
//
//	DATA-ROOT/volumes/NAME/volume.json
//	                       data/
//
// It has no list of its users: containers name it in their records.
type volume struct {
	Name      string
	Created   time.Time
	Anonymous bool // made for one container: with that it goes
	Labels    map[string]string
}

func (e *Engine) volumeData(name string) string { return filepath.Join(e.volumes(), name, "data") }

// makeVolumes makes the volumes that are not there yet, and finds out where each is.
func (c *Container) makeVolumes() error {
	for i := range c.Mounts {
		m := &c.Mounts[i]
		if m.Type != ocispec.Volume {
			continue
		}
		anonymous := m.Name == ""
		if anonymous {
			m.Name = newID()
		}
		v := volume{Name: m.Name, Created: time.Now().UTC(), Anonymous: anonymous, Labels: m.Labels}
		if err := c.engine.makeVolume(v); err != nil {
			return fmt.Errorf("volume %s: %w", m.Name, err)
		}
		m.Source = c.engine.volumeData(m.Name)
	}
	return nil
}

// makeVolume makes a volume under another name and moves it to its own, so that it is whole. One that is there
// already, or that somebody else has just made, is as good.
func (e *Engine) makeVolume(v volume) (err error) {
	dir := filepath.Join(e.volumes(), v.Name)
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	beside, err := os.MkdirTemp(e.volumes(), ".new-")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, tree.Remove(beside))
		}
	}()
	// Not the one of MkdirTemp: containers' users may enter.
	if err := errors.Join(os.Chmod(beside, 0o711), os.Mkdir(filepath.Join(beside, "data"), 0o755)); err != nil {
		return err
	}
	if err := writeJSON(filepath.Join(beside, "volume.json"), v); err != nil {
		return err
	}
	err = os.Rename(beside, dir)
	if errors.Is(err, fs.ErrExist) || errors.Is(err, unix.ENOTEMPTY) {
		return tree.Remove(beside)
	}
	return err
}

// removeVolumes removes the container's volumes that were made for it alone, and that no other container names. Others
// do not find the container any more, or not yet.
func (c *Container) removeVolumes() (err error) {
	for _, m := range c.Mounts {
		if m.Type != ocispec.Volume || m.Name == "" {
			continue
		}
		var v volume
		readErr := readJSON(filepath.Join(c.engine.volumes(), m.Name, "volume.json"), &v)
		if readErr != nil || !v.Anonymous {
			continue // gone, or somebody's
		}
		if removeErr := c.engine.removeVolume(m.Name); !errors.Is(removeErr, errInUse) {
			err = errors.Join(err, removeErr)
		}
	}
	return err
}

// fillVolumes copies what the image has at a volume's place into it, if it is new and empty, and makes the
// directories of the host that are to be made.
func (c *Container) fillVolumes() error {
	for _, m := range c.Mounts {
		switch {
		case m.Type == ocispec.Bind:
			if err := prepareSource(m); err != nil {
				return err
			}
		case m.Type == ocispec.Volume && !m.NoCopy:
			if err := c.fillVolume(m); err != nil {
				return fmt.Errorf("volume %s: %w", m.Name, err)
			}
		}
	}
	return nil
}

func prepareSource(m ocispec.Mount) error {
	_, err := os.Stat(m.Source)
	if errors.Is(err, fs.ErrNotExist) && m.Create {
		return os.MkdirAll(m.Source, 0o755)
	}
	if err != nil {
		return fmt.Errorf("mount %s: %w", m.Target, err)
	}
	return nil
}

func (c *Container) fillVolume(m ocispec.Mount) error {
	entries, err := os.ReadDir(m.Source)
	if err != nil || len(entries) > 0 {
		return err
	}
	place, err := openIn(c.path("rootfs"), m.Target, unix.O_PATH|unix.O_DIRECTORY)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) {
		first := int(c.Options.Userns.First) // 0 without a user namespace
		return os.Chown(m.Source, first, first)
	}
	if err != nil {
		return err
	}
	defer place.Close()
	return image.Copy(fmt.Sprintf("/proc/self/fd/%d/.", place.Fd()), m.Source)
}

// mismatch explains the failure of a mount of a file over a directory, or of a directory over a file: all that the
// kernel says of it is EINVAL.
func (c *Container) mismatch(err error) error {
	if !errors.Is(err, unix.EINVAL) {
		return err
	}
	kind := map[bool]string{true: "directory", false: "file"}
	for _, m := range c.Mounts {
		source, statErr := os.Stat(m.Source)
		if m.Type == ocispec.Tmpfs || statErr != nil {
			continue
		}
		place, openErr := openIn(c.path("rootfs"), m.Target, unix.O_PATH)
		if openErr != nil {
			continue // it was made for the mount
		}
		target, statErr := place.Stat()
		place.Close()
		if statErr == nil && source.IsDir() != target.IsDir() {
			return fmt.Errorf("mount %s: %s is a %s, and what is there in the image a %s: %w",
				m.Target, m.Source, kind[source.IsDir()], kind[target.IsDir()], err)
		}
	}
	return err
}

// openIn opens a path below a root, as a process with that root would: links lead nowhere else.
func openIn(root, path string, flags uint64) (*os.File, error) {
	inside, err := tree.Open(root)
	if err != nil {
		return nil, err
	}
	defer inside.Close()
	return inside.Open(path, flags)
}

// openRegularIn opens a file for reading. What is none is not touched: some devices do things when they are opened, and
// whoever made the image, or is root in the container, may have put one there.
func openRegularIn(root, path string) (*os.File, error) {
	handle, err := openIn(root, path, unix.O_PATH)
	if err != nil {
		return nil, err
	}
	defer handle.Close()
	if info, err := handle.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(err, fmt.Errorf("%s: not a regular file", path))
	}
	return os.Open(fmt.Sprintf("/proc/self/fd/%d", handle.Fd()))
}

// bindVolumes mounts the volumes on a root file system of a container that does not run, for who copies files.
func (c *Container) bindVolumes() error {
	for _, m := range c.Mounts {
		if m.Type == ocispec.Tmpfs {
			continue
		}
		place, err := makePlace(c.path("rootfs"), m)
		if errors.Is(err, unix.EEXIST) {
			continue // a link to nowhere is in the way: what it leads to is there when the container has run
		}
		if err != nil {
			return err
		}
		err = c.engine.bind(m, place)
		place.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// makePlace opens the place for a mount below a root, and makes it if it is not there, as the runtime would.
func makePlace(root string, m ocispec.Mount) (*os.File, error) {
	inside, err := tree.Open(root)
	if err != nil {
		return nil, err
	}
	defer inside.Close()
	place, err := inside.Open(m.Target, unix.O_PATH)
	if !errors.Is(err, unix.ENOENT) {
		return place, err
	}
	none := func(*os.File, string) error { return nil }
	if info, err := os.Stat(m.Source); err != nil || info.IsDir() {
		return inside.MakeDirectory(m.Target, none)
	}
	parent, err := inside.MakeDirectory(path.Dir(m.Target), none)
	if err != nil {
		return nil, err
	}
	defer parent.Close()
	if err := unix.Mknodat(int(parent.Fd()), path.Base(m.Target), unix.S_IFREG|0o644, 0); err != nil {
		return nil, &os.PathError{Op: "mknod", Path: m.Target, Err: err}
	}
	return inside.Open(m.Target, unix.O_PATH)
}

// bind mounts a volume on a place that is open, with what is mounted in it. One that is only to be read is so for us, too.
func (e *Engine) bind(m ocispec.Mount, place *os.File) error {
	source, err := e.Door.OpenTree(m.Source, true)
	if err != nil {
		return err
	}
	defer source.Close()
	if m.ReadOnly {
		if err := e.onlyRead(source); err != nil {
			return err
		}
	}
	call := kernel.Call{Op: "move_mount", Object: m.Source, Value: m.Target, Shell: "mount --rbind " + m.Source + " rootfs" + m.Target}
	return e.Door.Do(call, func() error {
		return unix.MoveMount(int(source.Fd()), "", int(place.Fd()), "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH)
	})
}

// onlyRead makes mounts, one and those in it, read-only. Before Linux 5.12 there is no way to do that to what is not
// mounted anywhere yet.
func (e *Engine) onlyRead(mounts *os.File) error {
	if err := kernel.MountSetattr(); err != nil {
		return fmt.Errorf("%s: is mounted read-only: to copy, start the container first: %w", mounts.Name(), err)
	}
	call := kernel.Call{Op: "mount_setattr", Object: mounts.Name(), Value: "AT_RECURSIVE MOUNT_ATTR_RDONLY"}
	return e.Door.Do(call, func() error {
		attributes := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
		return unix.MountSetattr(int(mounts.Fd()), "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &attributes)
	})
}
