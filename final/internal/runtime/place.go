//go:build linux

package runtime

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// CheckPlace refuses a directory for states that is another user's, or that others may write to: what a state says
// is believed, and its hooks are run. One that is not there yet is as good as one's own.
func CheckPlace(dir string) error {
	var stat unix.Stat_t
	err := unix.Stat(dir, &stat)
	switch user := os.Geteuid(); {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("stat %s: %w", dir, err)
	case stat.Uid != uint32(user):
		return fmt.Errorf("%s: it belongs to user %d, and this is user %d, who is not to trust what it says: "+
			"use a directory of your own (final --root DIR)", dir, stat.Uid, user)
	case stat.Mode&0o002 != 0, stat.Mode&0o020 != 0 && stat.Gid != uint32(os.Getegid()):
		return fmt.Errorf("%s: others may write to it (mode %04o), and put there what would be run: "+
			"use a directory of your own (final --root DIR)", dir, stat.Mode&0o7777)
	}
	return nil
}

// makePlace makes the directory, if it is not there. The sticky bit keeps what is below $XDG_RUNTIME_DIR from those who
// clear away there what has not been touched for hours (XDG Base Directory Specification).
func makePlace(dir string) error {
	_, there := os.Stat(dir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if errors.Is(there, fs.ErrNotExist) && rootless() {
		if err := os.Chmod(dir, 0o700|os.ModeSticky); err != nil {
			return err
		}
	}
	return CheckPlace(dir)
}
