//go:build linux

package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/image"
)

// RemoveOptions are for Remove.
type RemoveOptions struct {
	Force   bool // a container that runs is killed first
	Volumes bool // the volumes that were made for it, and have no name, go too
}

// Remove removes a container.
func (c *Container) Remove(o RemoveOptions) error {
	for {
		held, err := c.lock()
		if err != nil {
			return err
		}
		alive, run, err := c.monitored()
		if err == nil && !alive {
			err = c.destroy(o.Volumes || c.AutoRemove)
			closeAll(held, run)
			return err
		}
		_, ended := c.endNoted()
		held.Close()
		switch {
		case err != nil:
			return err
		case ended: // its monitor is just clearing away
		case !o.Force:
			return fmt.Errorf("container %s is %s: stop it first (final stop %s), or remove it with --force", c.Name, c.State.Status, c.Name)
		default:
			if err := c.kill(unix.SIGKILL); err != nil && !errors.Is(err, ErrNotRunning) {
				return err
			}
		}
		if err := c.awaitMonitor(); err != nil {
			return err
		}
		if c.AutoRemove && !c.exists() {
			return nil
		}
	}
}

func (c *Container) exists() bool {
	_, err := os.Lstat(c.dir)
	return err == nil
}

func closeAll(files ...*os.File) {
	for _, file := range files {
		if file != nil {
			file.Close()
		}
	}
}

// destroy removes a container that does not run, and whose lock is held. From its first step on nobody finds it
// any more; if we are killed before the last, others see that it is left over.
func (c *Container) destroy(volumes bool) error {
	if c.State.active() || c.State.noted {
		if err := c.clear(); err != nil {
			return err
		}
	}
	hidden := c.engine.hidden(c.ID)
	if c.dir != hidden {
		if err := os.Rename(c.dir, hidden); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		c.dir = hidden
	}
	err := c.engine.releaseName(c.Name, c.ID)
	if volumes {
		err = errors.Join(err, c.removeVolumes())
	}
	_ = os.Remove(c.engine.runDir(c.ID)) // it may have none
	return errors.Join(err, c.engine.removeAll(hidden))
}

// removeAll removes a container's directory. A mount below it makes it fail, with what is mounted intact.
func (e *Engine) removeAll(dir string) error {
	if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return image.Remove(dir)
}

// sweep removes what is left of containers whose creation or removal was ended half-way.
func (e *Engine) sweep() error {
	entries, err := os.ReadDir(e.containers())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, entry := range entries {
		id, hidden := strings.CutPrefix(entry.Name(), ".")
		if !hidden || !isID(id) {
			continue
		}
		dir := filepath.Join(e.containers(), entry.Name())
		held, lockErr := lock(dir, unix.LOCK_EX|unix.LOCK_NB)
		if errors.Is(lockErr, unix.EWOULDBLOCK) || errors.Is(lockErr, fs.ErrNotExist) {
			continue // somebody is at work on it, or it is gone
		}
		if lockErr != nil {
			err = errors.Join(err, lockErr)
			continue
		}
		c := &Container{engine: e, dir: dir}
		c.ID = id
		_ = c.readRecord() // it may not have got one
		c.State = State{}
		err = errors.Join(err, c.destroy(true))
		held.Close()
	}
	return err
}
