//go:build linux

package engine

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// keepFile is a directory: a container with --rm stays after its end as long as somebody has it locked.
const keepFile = "keep"

// Restart stops the container and starts it again. With --rm it stays in between. If somebody else has started it
// meanwhile, that is as good.
func (c *Container) Restart(stop func() error) error {
	if err := os.Mkdir(c.path(keepFile), 0o700); errors.Is(err, fs.ErrNotExist) {
		return notFound(c.Name)
	} else if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	kept, err := lock(c.path(keepFile), unix.LOCK_SH)
	if err != nil {
		return err
	}
	defer kept.Close()
	if err := stop(); err != nil {
		return err
	}
	_, err = c.Start(nil)
	if errors.Is(err, ErrRunning) {
		return nil
	}
	return err
}

// goes tells whether the container goes, now that it has ended.
func (c *Container) goes() bool {
	if !c.AutoRemove {
		return false
	}
	held, err := lock(c.path(keepFile), unix.LOCK_EX|unix.LOCK_NB)
	closeAll(held)
	return !errors.Is(err, unix.EWOULDBLOCK)
}
