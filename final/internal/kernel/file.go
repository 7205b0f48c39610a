//go:build linux

package kernel

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Write writes a kernel file: in one write call, as these files want it, and never creating it, because a
// missing file is a missing feature.
func (d *Door) Write(path, value string) error {
	return d.WriteEach(path, value)
}

// WriteEach writes several values to a kernel file that takes one at a time, such as a table.
func (d *Door) WriteEach(path string, values ...string) error {
	fd := -1
	defer func() {
		if fd >= 0 {
			_ = unix.Close(fd) // kernel files have nothing to flush: what write said was all
		}
	}()
	for _, value := range values {
		err := d.Do(writing(path, value), func() (err error) {
			if fd < 0 {
				if fd, err = open(path, unix.O_WRONLY); err != nil {
					return err
				}
			}
			return write(fd, value)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Set writes a kernel file and reads it back: the kernel may round a value or ignore it, and neither may
// pass in silence.
func (d *Door) Set(path, value string) error {
	return d.SetAs(path, value, func(got string) bool { return got == value })
}

// SetAs is Set for a file that says a value in other words than it takes: same tells whether it is the same.
func (d *Door) SetAs(path, value string, same func(got string) bool) error {
	got := ""
	err := d.Do(writing(path, value), func() error {
		fd, err := open(path, unix.O_RDWR)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		if err := write(fd, value); err != nil {
			return err
		}
		text, err := readFrom(fd)
		got = strings.TrimSpace(string(text))
		return err
	})
	if err != nil {
		return err
	}
	if !same(got) {
		return fmt.Errorf("write %s %q: the kernel made it %q", path, value, got)
	}
	return nil
}

// ReadFile returns what a small kernel file says, without the line's end.
func ReadFile(path string) (string, error) {
	text, err := Contents(path)
	return strings.TrimSpace(string(text)), err
}

// Contents returns all that a file has, the kernel's or our own.
func Contents(path string) ([]byte, error) {
	fd, err := open(path, unix.O_RDONLY)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	defer unix.Close(fd)
	text, err := readFrom(fd)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return text, nil
}

// WriteFile writes a file of our own, which is made if it is missing.
func WriteFile(path string, text []byte, mode uint32) (err error) {
	fd, err := open(path, unix.O_WRONLY|unix.O_CREAT|unix.O_TRUNC, mode)
	if err != nil {
		return fmt.Errorf("open %s: %w", path, err)
	}
	defer func() {
		if err = errors.Join(err, unix.Close(fd)); err != nil {
			err = fmt.Errorf("write %s: %w", path, err)
		}
	}()
	for len(text) > 0 {
		n, err := unix.Write(fd, text)
		if err != nil && err != unix.EINTR {
			return err
		}
		text = text[max(n, 0):]
	}
	return nil
}

func writing(path, value string) Call {
	return Call{
		Op: "write", Object: path, Value: fmt.Sprintf("%q", value),
		Shell: "echo " + quote(value) + " > " + quote(path),
	}
}

// Files are opened, read and written by system calls of their own, because package os would make half a dozen
// more for each, to find out whether it can poll them.
func open(path string, flags int, mode ...uint32) (fd int, err error) {
	for {
		fd, err = unix.Open(path, flags|unix.O_CLOEXEC, append(mode, 0)[0])
		if err != unix.EINTR {
			return fd, err
		}
	}
}

// Openat2 is openat2(2), which is made again where the kernel wants it. It says EAGAIN of a path with .. in it whenever
// somebody renames or mounts something meanwhile, anywhere: it cannot tell then whether the way there was safe.
func Openat2(dir int, path string, how unix.OpenHow) (fd int, err error) {
	for {
		fd, err = unix.Openat2(dir, path, &how)
		if err != unix.EAGAIN && err != unix.EINTR {
			return fd, err
		}
	}
}

// write is repeated when a signal interrupts it, and Go sends itself many: memory.limit_in_bytes of cgroup v1
// gives up at any.
func write(fd int, value string) error {
	for {
		_, err := unix.Write(fd, []byte(value))
		if err != unix.EINTR {
			return err
		}
	}
}

// readFrom reads a file from its start, whatever has been written.
func readFrom(fd int) ([]byte, error) {
	var most [4096]byte // of nearly all there are
	buf, n := most[:], 0
	for {
		m, err := unix.Pread(fd, buf[n:], int64(n))
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, err
		}
		if n += m; m == 0 {
			return bytes.Clone(buf[:n]), nil
		}
		if n == len(buf) {
			buf = slices.Concat(buf, make([]byte, len(buf)))
		}
	}
}

// Mkdir makes a directory, or a cgroup.
func (d *Door) Mkdir(path string) error {
	call := Call{Op: "mkdir", Object: path, Shell: "mkdir " + quote(path)}
	return d.Do(call, func() error { return unix.Mkdir(path, 0o755) })
}

// Chown gives a file to a user, and leaves its group. A symbolic link is not followed.
func (d *Door) Chown(path string, uid int) error {
	call := Call{
		Op: "fchownat", Object: path, Value: fmt.Sprintf("%d AT_SYMLINK_NOFOLLOW", uid),
		Shell: fmt.Sprintf("chown -h %d %s", uid, quote(path)),
	}
	return d.Do(call, func() error { return unix.Fchownat(unix.AT_FDCWD, path, uid, -1, unix.AT_SYMLINK_NOFOLLOW) })
}

// Skip says that something which was asked for is not done, and why: it is no call, but it should not pass
// in silence.
func (d *Door) Skip(what, reason string) {
	d.say(Call{Op: "skip", Object: what + ":", Value: reason})
	if d.Warn != nil {
		d.Warn(what + ": " + reason)
	}
}

// Rmdir removes an empty directory or a cgroup. There is no recursive form of it here: below the directory
// may be a mount, and behind that somebody's files.
func (d *Door) Rmdir(path string) error {
	call := Call{Op: "rmdir", Object: path, Shell: "rmdir " + quote(path)}
	return d.Do(call, func() error { return unix.Rmdir(path) })
}

// Unlink removes a file.
func (d *Door) Unlink(path string) error {
	call := Call{Op: "unlink", Object: path, Shell: "rm " + quote(path)}
	return d.Do(call, func() error { return unix.Unlink(path) })
}
