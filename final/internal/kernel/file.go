//go:build linux

package kernel

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Write writes a kernel file: in one write call, as these files want it, and never creating it, because a
// missing file is a missing feature.
func (d *Door) Write(path, value string) error {
	call := Call{
		Op: "write", Object: path, Value: fmt.Sprintf("%q", value),
		Shell: "echo " + quote(value) + " > " + quote(path),
	}
	return d.do(call, func() error {
		file, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		_, err = file.WriteString(value)
		return errors.Join(cause(err), file.Close())
	})
}

// Set writes a kernel file and reads it back: the kernel may round a value or ignore it, and neither may
// pass in silence.
func (d *Door) Set(path, value string) error {
	if err := d.Write(path, value); err != nil {
		return err
	}
	got, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read back %s: %w", path, cause(err))
	}
	if got := strings.TrimSpace(string(got)); got != value {
		return fmt.Errorf("write %s %q: the kernel made it %q", path, value, got)
	}
	return nil
}

// Rmdir removes an empty directory or a cgroup. There is no recursive form of it here: below the directory
// may be a mount, and behind that somebody's files.
func (d *Door) Rmdir(path string) error {
	call := Call{Op: "rmdir", Object: path, Shell: "rmdir " + quote(path)}
	return d.do(call, func() error { return unix.Rmdir(path) })
}

// Unlink removes a file.
func (d *Door) Unlink(path string) error {
	call := Call{Op: "unlink", Object: path, Shell: "rm " + quote(path)}
	return d.do(call, func() error { return unix.Unlink(path) })
}
