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
	if force { // before the lock: who holds it may wait for this process
		if c, err := r.Load(id); err == nil {
			_ = c.signal(unix.SIGKILL)
		}
	}
	held, err := r.lock(id)
	if err != nil {
		return err
	}
	defer held.Close()
	c, err := r.Load(id)
	if err != nil {
		if force { // create was ended before it had noted anything
			return os.RemoveAll(r.dir(id))
		}
		return err
	}
	status, err := c.Status()
	if !c.Complete {
		status = Stopped // we hold the lock, so nobody is at work on it any more
	}
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
	if err := os.RemoveAll(c.dir); err != nil {
		return err
	}
	c.poststop()
	return nil
}

// end ends every process of the container and removes its cgroup and its mounts.
func (c *Container) end() error {
	if err := c.kill(); err != nil {
		return err
	}
	if c.Pid == 0 && len(c.Cgroups) > 0 {
		if err := c.awaitEmpty(); err != nil {
			return err
		}
	}
	err := c.group().Remove(c.runtime.Door)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, c.unmount())
}

// kill ends the container's first process, and waits for that.
func (c *Container) kill() error {
	if !c.alive() {
		return nil
	}
	if err := c.signal(unix.SIGKILL); err != nil && !errors.Is(err, ErrNotRunning) {
		return err
	}
	for deadline := time.Now().Add(patience); c.alive(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			return fmt.Errorf("container %q: process %d: still there %v after SIGKILL", c.ID, c.Pid, patience)
		}
	}
	return nil
}

// awaitEmpty is for a container whose create was ended before it had noted a process. One that it may have
// started ends by itself, and whoever else is in the group is a stranger, of a group that create was about to
// refuse: not ours to kill. But one that was fast, and create slow, waits for start by now, and has no reason to
// end: that it listens says that create had found the group empty, and who is in it is the container's.
func (c *Container) awaitEmpty() error {
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		pids, err := c.group().Pids(true)
		if err != nil || len(pids) == 0 {
			return err
		}
		if c.waits() {
			if err := c.group().Kill(c.runtime.Door, unix.SIGKILL); err != nil {
				return fmt.Errorf("container %q: %w", c.ID, err)
			}
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("container %q: processes %v: in its cgroup, and not started by it", c.ID, pids)
		}
	}
}

// Abandoned returns the ids of containers whose create was ended half-way. Nobody else will remove them.
func (r *Runtime) Abandoned() (ids []string, err error) {
	if err := CheckPlace(r.Root); err != nil {
		return nil, err
	}
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

// DeleteAbandoned removes one of those. If it is none by now, since somebody else has removed it or made another
// one with its id, that is ErrNotExist.
func (r *Runtime) DeleteAbandoned(id string) error {
	held, err := r.lock(id)
	if err != nil {
		return err
	}
	defer held.Close()
	c, err := r.Load(id)
	switch {
	case err != nil:
		return os.RemoveAll(r.dir(id))
	case c.Complete:
		return fmt.Errorf("container %q, half-made: %w", id, ErrNotExist)
	}
	return c.destroy()
}
