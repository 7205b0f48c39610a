//go:build linux

package network

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/kernel"
)

// stateDir is what is remembered of networks and connections until the machine is switched off, as are the
// links and rules themselves:
//
//	up/NET/network.json             a network that is up
//	up/NET/endpoints/ID.json        a container's connection
//	up/NET/leases/ADDRESS           a link to ../endpoints/ID.json
//	ports/80-tcp/any                a published port, or an address for any: a link to ../../up/NET/endpoints/ID.json
//	settings/net.ipv6.conf...       what a sysctl was before we changed it
const stateDir = kernel.StateDir + "/network"

var (
	upDir      = filepath.Join(stateDir, "up")
	portsDir   = filepath.Join(stateDir, "ports")
	settingDir = filepath.Join(stateDir, "settings")
)

// A Host is the machine that containers are connected to: the calling process's network namespace.
type Host struct {
	Door *kernel.Door
	Dir  string // has the networks that people created, one file each
}

// lock keeps others, step 04 among them, from changing the network, until the file is closed. As in step 04
// the lock is on kernel.StateDir itself; whoever had it before may have removed that.
func (h *Host) lock() (*os.File, error) {
	for {
		if err := os.MkdirAll(kernel.StateDir, 0o755); err != nil {
			return nil, err
		}
		file, err := os.Open(kernel.StateDir)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for err = unix.EINTR; errors.Is(err, unix.EINTR); {
			err = unix.Flock(int(file.Fd()), unix.LOCK_EX)
		}
		if err != nil {
			file.Close()
			return nil, fmt.Errorf("flock %s: %w", kernel.StateDir, err)
		}
		opened, openedErr := file.Stat()
		now, nowErr := os.Stat(kernel.StateDir)
		if openedErr == nil && nowErr == nil && os.SameFile(opened, now) {
			return file, nil
		}
		file.Close()
	}
}

// write writes a state file: all of it or nothing, whenever we die. Its directory is made if need be.
func (h *Host) write(path string, value any) error {
	text, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return err
	}
	return h.Door.Do(kernel.Call{Op: "write", Object: path}, func() error {
		temporary := path + ".new"
		err := os.WriteFile(temporary, append(text, '\n'), 0o644)
		if errors.Is(err, fs.ErrNotExist) {
			if err = errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.Chmod(filepath.Dir(path), 0o755)); err == nil {
				err = os.WriteFile(temporary, append(text, '\n'), 0o644)
			}
		}
		if err == nil {
			err = os.Chmod(temporary, 0o644) // whatever the umask says: resolvers read it, who are nobody
		}
		if err != nil {
			return err
		}
		return os.Rename(temporary, path)
	})
}

// read reads one.
func read(path string, value any) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, value); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	return nil
}

// claim makes a symbolic link, which is there at once with all that it says, and belongs to whoever made it:
// fs.ErrExist is for the others.
func (h *Host) claim(path, target string) error {
	call := kernel.Call{Op: "symlink", Object: path, Value: target, Shell: "ln -s " + target + " " + path}
	return h.Door.Do(call, func() error {
		err := unix.Symlink(target, path)
		if errors.Is(err, fs.ErrNotExist) {
			if err = os.MkdirAll(filepath.Dir(path), 0o755); err == nil {
				err = unix.Symlink(target, path)
			}
		}
		return err
	})
}

// remove removes a state file, if it is there.
func (h *Host) remove(path string) error {
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return gone(h.Door.Unlink(path))
}

// removeDirs removes directories that have become empty; what is in use stays.
func (h *Host) removeDirs(dirs ...string) error {
	var errs []error
	for _, dir := range dirs {
		if _, err := os.Lstat(dir); err == nil {
			if err := gone(h.Door.Rmdir(dir)); !errors.Is(err, unix.ENOTEMPTY) {
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(errs...)
}

// gone takes it for done that a thing was not there any more.
func gone(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ESRCH) {
		return nil
	}
	return err
}
