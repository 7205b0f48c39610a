//go:build linux

package console

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// Raw takes a terminal's keys: none has a meaning here until giveBack, or the end of this program, however it ends.
func Raw(terminal *os.File) (giveBack func() error, err error) {
	modes, err := unix.IoctlGetTermios(int(terminal.Fd()), unix.TCGETS)
	if err != nil {
		return nil, fmt.Errorf("ioctl %s: TCGETS: %w", terminal.Name(), err)
	}
	guard, err := startGuard(terminal, modes) // it is there first
	if err != nil {
		return nil, err
	}
	if _, err = term.MakeRaw(int(terminal.Fd())); err != nil {
		return nil, errors.Join(fmt.Errorf("ioctl %s: TCSETS: %w", terminal.Name(), err), guard.end())
	}
	return guard.end, nil
}
