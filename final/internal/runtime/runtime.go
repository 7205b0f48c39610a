//go:build linux

// Package runtime is the OCI life cycle on a bundle: create, start, state, kill, delete, exec, pause,
// update, events, as containerd, Podman and CRI-O ask for them.
//
// It owns the state directory (one folder per container: state.json, written by rename, config.json as it
// was at create, and start.sock as long as the container waits to be started) and the handshake with the
// container side; it asks plan for the list of kernel calls and executor to carry it out. These paths are
// hot: no package with a costly initialisation, no helper program. Step 01 shows the idea (run.go, child.go).
package runtime

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/kernel"
	"github.com/simple-container/simple-container/final/internal/op"
)

// A Runtime is a set of containers: those with a state directory below Root.
type Runtime struct {
	Root    string       // absolute; made when the first container is
	Door    *kernel.Door // to the kernel
	Systemd bool         // cgroups are made by systemd, over D-Bus
	Reexec  bool         // the container side is package boot, even where the stub can be

	// edit, if not nil, changes the list of a container side before that begins. It is there for tests: to
	// make a certain op fail.
	edit func(*op.List)
}

func (r *Runtime) warn(warnings []string) {
	for _, warning := range warnings {
		if r.Door.Warn != nil {
			r.Door.Warn(warning)
		}
	}
}

// The errors that callers tell apart, in the words that engines look for.
var (
	ErrNotExist   = errors.New("container does not exist")
	ErrExist      = errors.New("container with given ID already exists")
	ErrNotRunning = errors.New("container not running")
)

// A Container is one of a runtime's.
type Container struct {
	runtime *Runtime
	dir     string
	hooked  bool // hooks have been run
	devices netDevices
	sent    sent // while some run, if we may not look for the namespaces
	record
}

func (r *Runtime) dir(id string) string { return filepath.Join(r.Root, id) }

// checkID refuses what cannot be a directory's name, or would not be understood in a cgroup's.
func checkID(id string) error {
	allowed := func(c rune) bool {
		return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("_+-.", c)
	}
	switch {
	case id == "":
		return errors.New("container id: empty")
	case len(id) > 255:
		return fmt.Errorf("container id %q: %d bytes, want at most 255", id, len(id))
	case id[0] == '.' || strings.ContainsFunc(id, func(c rune) bool { return !allowed(c) }):
		return fmt.Errorf("container id %q: want letters, digits and _ + - . only, and no . first", id)
	}
	return nil
}

// Load finds a container.
func (r *Runtime) Load(id string) (*Container, error) {
	if err := checkID(id); err != nil {
		return nil, err
	}
	if err := CheckPlace(r.Root); err != nil {
		return nil, err
	}
	c := &Container{runtime: r, dir: r.dir(id)}
	err := c.read()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("container %q: %w", id, ErrNotExist)
	}
	return c, err
}

// List returns all containers, those that are half-way gone left out.
func (r *Runtime) List() ([]*Container, error) {
	if err := CheckPlace(r.Root); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(r.Root)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var list []*Container
	for _, entry := range entries {
		c, err := r.Load(entry.Name())
		if err != nil {
			continue // made or deleted while we look, or no container's
		}
		list = append(list, c)
	}
	return list, nil
}

// lock keeps others from changing a container, until the file is closed. It is a lock on the directory itself:
// there is nothing to clean up, and it ends with its holder (flock(2)). Whoever had it before may have removed the
// directory, and another one may be there by now: that is the one to lock.
func (r *Runtime) lock(id string) (*os.File, error) {
	if err := CheckPlace(r.Root); err != nil {
		return nil, err
	}
	for dir := r.dir(id); ; {
		fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("container %q: %w", id, ErrNotExist)
		}
		if err != nil {
			return nil, fmt.Errorf("open %s: %w", dir, err)
		}
		file := os.NewFile(uintptr(fd), dir)
		err = unix.Flock(int(file.Fd()), unix.LOCK_EX)
		if err != nil && !errors.Is(err, unix.EINTR) {
			file.Close()
			return nil, fmt.Errorf("flock %s: %w", dir, err)
		}
		if err == nil && isAt(file, dir) {
			return file, nil
		}
		file.Close()
	}
}

// isAt tells whether a path still leads to a file that was opened by it.
func isAt(file *os.File, path string) bool {
	opened, err := file.Stat()
	now, nowErr := os.Stat(path)
	return err == nil && nowErr == nil && os.SameFile(opened, now)
}

// busy tells whether somebody holds the lock.
func busy(dir string) bool {
	file, err := os.Open(dir)
	if err != nil {
		return false
	}
	defer file.Close()
	return errors.Is(unix.Flock(int(file.Fd()), unix.LOCK_SH|unix.LOCK_NB), unix.EWOULDBLOCK)
}
