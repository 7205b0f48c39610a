//go:build linux

package engine

import (
	"errors"
	"io/fs"

	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/runtime"
)

// settle brings to an end what a monitor that was killed has left: there should be one, and nobody holds its lock.
// Somebody else may be at it already, or just starting the container; then there is nothing to do.
func (c *Container) settle() error {
	if !c.unfinished() {
		return nil
	}
	alive, err := c.isMonitored()
	if err != nil || alive {
		return err
	}
	held, err := lock(c.dir, unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer held.Close()
	return c.settleLocked()
}

// settleLocked is settle for who has the container's lock.
func (c *Container) settleLocked() error {
	if err := c.readState(); err != nil {
		return err
	}
	if !c.unfinished() {
		return nil
	}
	alive, run, err := c.monitored()
	if err != nil || alive {
		return err
	}
	defer closeAll(run)
	if err := c.recover(); err != nil {
		return err
	}
	if c.goes() {
		return c.destroy(true)
	}
	return nil
}

// unfinished tells whether there is, or was, a monitor that has something to do still.
func (c *Container) unfinished() bool {
	return c.State.active() || c.State.noted || c.State.AutoRemove && c.State.Status == Exited
}

// End is what the monitor calls for when its container has ended: it holds its own lock still.
func (e *Engine) End(id string) error {
	c, err := e.load(id)
	if err != nil {
		return err
	}
	held, err := c.lock()
	if err != nil {
		return err
	}
	defer held.Close()
	if err := c.clear(); err != nil {
		return err
	}
	if c.goes() {
		return c.destroy(true)
	}
	return nil
}

// recover is clear once more, after it was ended half-way: a network may be left that nobody is on any more.
func (c *Container) recover() error {
	if err := c.clear(); err != nil || !c.isConnected() {
		return err
	}
	return c.engine.Networks().Clean(false, func(string, string) {})
}

// clear takes away all that a container has on the machine but its files, and notes how it ended. It may be called
// again when it was ended half-way. The container's lock is held.
func (c *Container) clear() error {
	e := c.engine
	disconnected := c.disconnect()
	err := e.OCI.Delete(c.ID, true)
	if errors.Is(err, runtime.ErrNotExist) {
		err = nil
	}
	if err := errors.Join(disconnected, err, c.unmountRoot()); err != nil {
		return err
	}
	if err := c.noteEnd(); err != nil {
		return err
	}
	return c.forgetRun()
}
