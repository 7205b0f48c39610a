//go:build linux

package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Locks are flock(2)'s on directories: there is nothing to clean up, and they end with their holder. Whoever
// needs several takes them in this order:
//
//	containers/ID          who changes the container
//	/run/.../engine/ID     the container's monitor, as long as it lives; shared by who looks whether it does
//	volumes                who removes one; shared by who makes a container, until others see which ones it has
//	the image store's      see package image; who has one of these takes none of the others
//	names                  who makes or removes a name

// lock locks a directory; how is LOCK_EX or LOCK_SH, with LOCK_NB to get EWOULDBLOCK for waiting. Whoever had it
// before may have removed the directory: then it is fs.ErrNotExist, or the one that is there by now is locked.
func lock(dir string, how int) (*os.File, error) {
	for {
		file, err := os.OpenFile(dir, unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
		if err != nil {
			return nil, err
		}
		err = flock(file, how)
		if err != nil {
			file.Close()
			return nil, fmt.Errorf("flock %s: %w", dir, err)
		}
		if isAt(file, dir) {
			return file, nil
		}
		file.Close()
	}
}

func flock(file *os.File, how int) error {
	for {
		if err := unix.Flock(int(file.Fd()), how); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// isAt tells whether a path still leads to a file that was opened by it.
func isAt(file *os.File, path string) bool {
	opened, err := file.Stat()
	now, nowErr := os.Lstat(path)
	return err == nil && nowErr == nil && os.SameFile(opened, now)
}

// lock keeps others from changing the container until the file is closed, and reads its state anew.
func (c *Container) lock() (*os.File, error) {
	held, err := lock(c.dir, unix.LOCK_EX)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, notFound(c.Name)
	}
	if err != nil {
		return nil, err
	}
	if err := c.readState(); err != nil {
		held.Close()
		return nil, err
	}
	return held, nil
}

// monitored tells whether a monitor is with the container: it holds a lock as long as it lives. If not, the caller
// shares that lock with others who look, until it closes it; nil where there is not even a directory for it. Who looks
// never is taken for a monitor.
func (c *Container) monitored() (alive bool, held *os.File, err error) {
	held, err = lock(c.engine.runDir(c.ID), unix.LOCK_SH|unix.LOCK_NB)
	switch {
	case errors.Is(err, unix.EWOULDBLOCK):
		return true, nil, nil
	case errors.Is(err, fs.ErrNotExist):
		return false, nil, nil
	}
	return false, held, err
}

// isMonitored is the look alone.
func (c *Container) isMonitored() (bool, error) {
	alive, held, err := c.monitored()
	if held != nil {
		held.Close()
	}
	return alive, err
}

// awaitMonitor waits for the end of the container's monitor, which comes when all is cleared away. It is the one that
// there was when the state was read: somebody else may have started the container anew.
func (c *Container) awaitMonitor() error {
	_, err := c.awaitMonitorUntil(time.Time{})
	return err
}

// awaitMonitorUntil is awaitMonitor until some time, the zero one for ever, and tells whether the end came.
func (c *Container) awaitMonitorUntil(deadline time.Time) (ended bool, err error) {
	started := c.State.StartedAt
	for pause := time.Millisecond; ; pause = min(2*pause, 20*time.Millisecond) {
		if alive, err := c.isMonitored(); err != nil || !alive {
			return err == nil, err
		}
		now := &Container{engine: c.engine, dir: c.dir}
		if err := now.readState(); err == nil && now.State.Status == Running && !now.State.StartedAt.Equal(started) {
			return true, nil
		}
		if !deadline.IsZero() && time.Now().After(deadline) {
			return false, nil
		}
		time.Sleep(pause)
	}
}
