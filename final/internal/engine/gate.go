//go:build linux

package engine

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// gateFile is a directory: a container waits before its command as long as somebody has it locked.
const gateFile = "gate"

// Hold keeps the container, once it is made and before its command begins, waiting until the file is closed, if only
// because this program ended. A trace begins in between.
func (c *Container) Hold() (*os.File, error) {
	if err := os.Mkdir(c.path(gateFile), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return lock(c.path(gateFile), unix.LOCK_EX)
}

// pass waits for whoever holds the container.
func (c *Container) pass() error {
	held, err := lock(c.path(gateFile), unix.LOCK_SH)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer held.Close()
	return os.Remove(c.path(gateFile))
}
