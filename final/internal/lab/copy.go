//go:build linux

package lab

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

var copyCommands = []command{
	{"cp", "copy files: cp [-raf] SOURCE... TARGET", runCp},
	{"mv", "move files: mv [-f] SOURCE... TARGET", runMv},
	{"dd", "copy blocks: dd if=FILE of=FILE bs=SIZE count=N [seek=N] [skip=N]", runDd},
	{"cat", "print files: cat [-n] [FILE...]", runCat},
	{"tee", "copy the input to files and to the output: tee [-a] FILE...", runTee},
}

func runCp(c *call) error {
	o, err := c.options("raRfpdLP", "recursive=r", "archive=a", "force=f")
	if err != nil {
		return err
	}
	if len(o.rest) < 2 {
		return usagef("usage: cp [-raf] SOURCE... TARGET")
	}
	cp := copier{c: c, recursive: o.has('r') || o.has('R') || o.has('a'), keep: o.has('a') || o.has('p'), force: o.has('f')}
	cp.links = o.has('a') || o.has('d') || o.has('P') || cp.recursive && !o.has('L')
	sources, target := o.rest[:len(o.rest)-1], o.rest[len(o.rest)-1]
	if info, err := os.Stat(target); len(sources) > 1 && (err != nil || !info.IsDir()) {
		return fmt.Errorf("%s: not a directory", target)
	}
	for _, source := range sources {
		cp.copy(source, into(target, source))
	}
	return nil
}

type copier struct {
	c                             *call
	recursive, keep, force, links bool
}

func (cp copier) copy(from, to string) {
	var st unix.Stat_t
	stat := unix.Stat
	if cp.links {
		stat = unix.Lstat
	}
	if err := stat(from, &st); err != nil {
		cp.c.complain(&os.PathError{Op: "stat", Path: from, Err: err})
		return
	}
	if there, err := os.Stat(to); err == nil {
		if here, err := os.Stat(from); err == nil && os.SameFile(here, there) {
			cp.c.complain(fmt.Errorf("%s and %s are the same file", from, to))
			return
		}
	}
	var err error
	switch kind := st.Mode & unix.S_IFMT; kind {
	case unix.S_IFDIR:
		if !cp.recursive {
			cp.c.complain(fmt.Errorf("%s: is a directory (use -r)", from))
			return
		}
		cp.directory(from, to, st.Mode)
	case unix.S_IFREG:
		err = cp.regular(from, to, st.Mode)
	case unix.S_IFLNK:
		var target string
		if target, err = os.Readlink(from); err == nil {
			err = cp.replacing(to, func() error { return os.Symlink(target, to) })
		}
	default:
		if !cp.recursive { // `cp /dev/zero x` reads it
			err = cp.regular(from, to, 0o666)
			break
		}
		err = cp.replacing(to, func() error {
			if err := unix.Mknod(to, st.Mode, int(st.Rdev)); err != nil {
				return &os.PathError{Op: "mknod", Path: to, Err: err}
			}
			return nil
		})
	}
	if err == nil && cp.keep {
		err = keepAttributes(to, &st)
	}
	cp.c.complain(err)
}

func (cp copier) directory(from, to string, mode uint32) {
	if err := os.Mkdir(to, os.FileMode(mode&0o777)|0o700); err != nil && !os.IsExist(err) {
		cp.c.complain(err)
		return
	}
	entries, err := os.ReadDir(from)
	cp.c.complain(err)
	for _, e := range entries {
		cp.copy(filepath.Join(from, e.Name()), filepath.Join(to, e.Name()))
	}
}

func (cp copier) regular(from, to string, mode uint32) error {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, os.FileMode(mode&0o777))
	if err != nil && cp.force {
		if err := os.Remove(to); err != nil {
			return err
		}
		dst, err = os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, os.FileMode(mode&0o777))
	}
	if err != nil {
		return err
	}
	_, err = io.Copy(dst, src)
	return errors.Join(err, dst.Close())
}

func (cp copier) replacing(to string, make func() error) error {
	if err := os.Remove(to); err != nil && !os.IsNotExist(err) {
		return err
	}
	return make()
}

// keepAttributes gives the copy the original's owner, mode and times. The owner comes first: chown clears the
// set-id bits.
func keepAttributes(path string, st *unix.Stat_t) error {
	if err := os.Lchown(path, int(st.Uid), int(st.Gid)); err != nil && os.Geteuid() == 0 {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFLNK {
		if err := chmodError(path, st.Mode&0o7777); err != nil {
			return err
		}
	}
	times := []unix.Timespec{st.Atim, st.Mtim}
	if err := unix.UtimesNanoAt(unix.AT_FDCWD, path, times, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return &os.PathError{Op: "utimensat", Path: path, Err: err}
	}
	return nil
}

func runMv(c *call) error {
	o, err := c.options("fn", "force=f")
	if err != nil {
		return err
	}
	if len(o.rest) < 2 {
		return usagef("usage: mv SOURCE... TARGET")
	}
	target := o.rest[len(o.rest)-1]
	for _, source := range o.rest[:len(o.rest)-1] {
		to := into(target, source)
		err := os.Rename(source, to)
		if errors.Is(err, unix.EXDEV) {
			cp := copier{c: c, recursive: true, keep: true, links: true}
			before := c.status
			c.status = 0
			cp.copy(source, to)
			if err = nil; c.status == 0 {
				err = os.RemoveAll(source)
			}
			c.status = max(before, c.status)
		}
		if link, ok := errors.AsType[*os.LinkError](err); ok && errors.Is(link.Err, unix.ENOENT) {
			err = fmt.Errorf("%s: %w", source, link.Err)
		}
		c.complain(err)
	}
	return nil
}

func runDd(c *call) error {
	sizes := map[string]int64{"bs": 512, "count": -1, "seek": 0, "skip": 0}
	from, to := "", ""
	truncate, quiet := os.O_TRUNC, false
	for _, arg := range c.args {
		name, value, ok := strings.Cut(arg, "=")
		_, isSize := sizes[name]
		switch {
		case !ok:
			return usagef("%s: not of the form name=value", arg)
		case name == "if":
			from = value
		case name == "of":
			to = value
		case name == "ibs" || name == "obs":
			name, isSize = "bs", true
			fallthrough
		case isSize:
			n, err := parseSize(value)
			if err != nil {
				return usagef("%s: %v", name, err)
			}
			sizes[name] = n
		case name == "conv" || name == "oflag" || name == "iflag":
			if strings.Contains(value, "notrunc") {
				truncate = 0
			}
		case name == "status":
			quiet = value == "none"
		default:
			return usagef("%s: unknown operand", name)
		}
	}
	in, out := c.in, os.Stdout
	var err error
	if from != "" {
		if in, err = os.Open(from); err != nil {
			return err
		}
		defer in.Close()
	}
	if to != "" {
		if sizes["seek"] > 0 {
			truncate = 0
		}
		if out, err = os.OpenFile(to, os.O_WRONLY|os.O_CREATE|truncate, 0o666); err != nil {
			return err
		}
		defer out.Close()
	}
	if sizes["bs"] < 1 || sizes["bs"] > 1<<30 {
		return usagef("bs=%d: out of range", sizes["bs"])
	}
	return c.copyBlocks(in, out, sizes, quiet)
}

func (c *call) copyBlocks(in io.Reader, out *os.File, sizes map[string]int64, quiet bool) (err error) {
	block := make([]byte, sizes["bs"])
	for range sizes["skip"] {
		if _, err := io.ReadFull(in, block); err != nil {
			break // skipping past the end leaves nothing to copy
		}
	}
	if seek := sizes["seek"]; seek > 0 {
		if _, err := out.Seek(seek*sizes["bs"], io.SeekStart); err != nil {
			return err
		}
	}
	began := time.Now()
	var whole, part, bytes int64
	for n := int64(0); n != sizes["count"]; n++ {
		got, readErr := in.Read(block)
		if got > 0 {
			var put int
			put, err = out.Write(block[:got])
			bytes += int64(put)
			if err != nil {
				break
			}
			if got == len(block) {
				whole++
			} else {
				part++
			}
		}
		if readErr != nil {
			if readErr != io.EOF {
				err = readErr
			}
			break
		}
	}
	if !quiet {
		fmt.Fprintf(c.err, "%d+%d records in\n%d+%d records out\n%d bytes (%s) copied, %s seconds, %s/s\n", whole, part, whole, part,
			bytes, humanSize(bytes), strconv.FormatFloat(time.Since(began).Seconds(), 'f', 6, 64),
			humanSize(int64(float64(bytes)/max(time.Since(began).Seconds(), 1e-9))))
	}
	return err
}

// open opens an operand; "-" is the standard input.
func (c *call) open(path string) (io.ReadCloser, error) {
	if path == "-" {
		return io.NopCloser(c.in), nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	return f, nil
}

// inputs calls f with every operand, or with the standard input if there are none.
func (c *call) inputs(paths []string, f func(name string, r io.Reader) error) {
	if len(paths) == 0 {
		paths = []string{"-"}
	}
	for _, path := range paths {
		r, err := c.open(path)
		if err != nil {
			c.complain(err)
			continue
		}
		c.complain(f(path, r))
		_ = r.Close() // it was only read
	}
}

func runCat(c *call) error {
	o, err := c.options("nAeuv")
	if err != nil {
		return err
	}
	if o.has('n') {
		number := 0
		return c.eachLine(o.rest, func(line string) error {
			number++
			c.printf("%6d\t%s\n", number, line)
			return nil
		})
	}
	c.inputs(o.rest, func(_ string, r io.Reader) error {
		_, err := io.Copy(os.Stdout, r) // unbuffered: what is typed shows at once
		return err
	})
	return nil
}

func runTee(c *call) error {
	o, err := c.options("ai")
	if err != nil {
		return err
	}
	writers := []io.Writer{os.Stdout}
	flag := os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	if o.has('a') {
		flag = os.O_WRONLY | os.O_CREATE | os.O_APPEND
	}
	for _, path := range o.rest {
		f, err := os.OpenFile(path, flag, 0o666)
		if err != nil {
			c.complain(err)
			continue
		}
		defer f.Close()
		writers = append(writers, f)
	}
	_, err = io.Copy(io.MultiWriter(writers...), c.in)
	return err
}
