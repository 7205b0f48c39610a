//go:build linux

package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/tree"
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
		held.Close()
		switch {
		case err != nil:
			return err
		case !c.State.active(): // its monitor is just clearing away
			err = c.awaitMonitor()
		case !o.Force:
			return fmt.Errorf("container %s is %s: stop it first (final stop %s), or remove it with --force", c.Name, c.State.Status, c.Name)
		default:
			err = c.killMonitored()
		}
		if err != nil {
			return err
		}
		if c.AutoRemove && !c.exists() {
			return nil
		}
	}
}

// killMonitored kills the container until its monitor has ended. That may be making it still: whoever wanted it started
// was killed, and there is nothing to kill yet.
func (c *Container) killMonitored() error {
	for begin := time.Now(); time.Since(begin) < killPatience; {
		if err := c.kill(unix.SIGKILL); err != nil && !errors.Is(err, ErrNotRunning) {
			return err
		}
		if c.endsWithin(time.Second) {
			return nil
		}
	}
	return c.awaitKilled(0)
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
		if err := c.recover(); err != nil {
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
	return tree.Remove(dir)
}

// removeHalfMade removes a container whose creation or removal was ended half-way, if nobody is at it.
func (e *Engine) removeHalfMade(id string) error {
	held, err := lock(e.hidden(id), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return fs.ErrNotExist
	}
	if err != nil {
		return err
	}
	defer held.Close()
	c := &Container{engine: e, dir: e.hidden(id)}
	_ = c.readRecord() // it may not have got one
	c.ID, c.State = id, State{}
	return c.destroy(true)
}
