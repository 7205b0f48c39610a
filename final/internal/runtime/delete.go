//go:build linux

package runtime

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// patience bounds the wait for a killed process.
const patience = 10 * time.Second

// Delete removes a container that has stopped or was never started, or with force any.
func (r *Runtime) Delete(id string, force bool) error {
	if err := checkID(id); err != nil {
		return err
	}
	dir := r.dir(id)
	held, err := lock(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("container %q: %w", id, ErrNotExist)
	}
	if err != nil {
		return err
	}
	defer held.Close()
	c, err := r.Load(id)
	if err != nil {
		if force { // create was ended before it had noted anything
			return os.RemoveAll(dir)
		}
		return err
	}
	status, err := c.Status()
	if err != nil && !force {
		return err
	}
	if status != Stopped && status != Created && !force {
		return fmt.Errorf("container %q: cannot delete a container that is %s: stop it first, or --force", c.ID, status)
	}
	return c.destroy()
}

// destroy undoes a container, whatever it is doing, and runs the hooks for that. Its lock is held.
func (c *Container) destroy() error {
	if err := c.end(); err != nil {
		return err
	}
	s, err := c.spec()
	switch {
	case err == nil:
		c.poststop(s)
	case !errors.Is(err, fs.ErrNotExist):
		c.runtime.warn([]string{err.Error()})
	}
	return os.RemoveAll(c.dir)
}

// end ends every process of the container and removes its cgroup and its mounts.
func (c *Container) end() error {
	if c.alive() {
		if err := c.signal(unix.SIGKILL); err != nil && !errors.Is(err, ErrNotRunning) {
			return err
		}
		for deadline := time.Now().Add(patience); c.alive(); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				return fmt.Errorf("container %q: process %d: still there %v after SIGKILL", c.ID, c.Pid, patience)
			}
		}
	}
	err := c.group().Remove(c.runtime.Door)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, c.unmount())
}

// Abandoned returns the ids of containers whose create was ended half-way. Nobody else will remove them.
func (r *Runtime) Abandoned() (ids []string, err error) {
	entries, err := os.ReadDir(r.Root)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	for _, entry := range entries {
		c := &Container{runtime: r, dir: r.dir(entry.Name())}
		if checkID(entry.Name()) != nil || !entry.IsDir() || busy(c.dir) {
			continue
		}
		if c.read() != nil || !c.Complete {
			ids = append(ids, entry.Name())
		}
	}
	return ids, err
}
