//go:build linux

package lab

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

var fileCommands = []command{
	{"mkdir", "make directories: mkdir [-p] [-m MODE] DIR...", runMkdir},
	{"rmdir", "remove empty directories: rmdir DIR...", runRmdir},
	{"rm", "remove files: rm [-rf] PATH...", runRm},
	{"touch", "make a file or set its time: touch [-c] FILE...", runTouch},
	{"ln", "make links: ln [-sf] TARGET NAME", runLn},
	{"chmod", "change modes: chmod [-R] MODE PATH...", runChmod},
	{"chown", "change owners: chown [-Rh] USER[:GROUP] PATH...", runChown},
	{"mktemp", "make a temporary file: mktemp [-d]", runMktemp},
	{"truncate", "set a file's size: truncate -s SIZE FILE...", runTruncate},
	{"sync", "write what is cached to disk", runSync},
}

func runMkdir(c *call) error {
	o, err := c.options("pm:", "parents=p", "mode=m")
	if err != nil {
		return err
	}
	mode, err := strconv.ParseUint(o.value('m', "777"), 8, 12)
	if err != nil {
		return usagef("%q is not an octal mode", o.value('m', ""))
	}
	for _, dir := range o.rest {
		if o.has('p') {
			if err := os.MkdirAll(filepath.Dir(dir), 0o777); err != nil {
				c.complain(err)
				continue
			}
		}
		if err := unix.Mkdir(dir, uint32(mode)); err != nil {
			if info, statErr := os.Stat(dir); o.has('p') && statErr == nil && info.IsDir() {
				continue
			}
			c.complain(&os.PathError{Op: "mkdir", Path: dir, Err: err})
			continue
		}
		if o.has('m') {
			c.complain(chmodError(dir, uint32(mode))) // whatever the umask says
		}
	}
	return nil
}

func chmodError(path string, mode uint32) error {
	if err := unix.Chmod(path, mode); err != nil {
		return &os.PathError{Op: "chmod", Path: path, Err: err}
	}
	return nil
}

func runRmdir(c *call) error {
	for _, dir := range c.args {
		if err := unix.Rmdir(dir); err != nil {
			c.complain(&os.PathError{Op: "rmdir", Path: dir, Err: err})
		}
	}
	return nil
}

func runRm(c *call) error {
	o, err := c.options("rRfiv", "recursive=r", "force=f")
	if err != nil {
		return err
	}
	if len(o.rest) == 0 && !o.has('f') {
		return usagef("usage: rm [-rf] PATH...")
	}
	recursive := o.has('r') || o.has('R')
	for _, path := range o.rest {
		if base := filepath.Base(path); base == "." || base == ".." || filepath.Clean(path) == "/" {
			c.complain(fmt.Errorf("%s: refusing to remove it", path))
			continue
		}
		info, err := os.Lstat(path)
		switch {
		case os.IsNotExist(err) && o.has('f'):
			continue
		case err != nil:
			c.complain(err)
			continue
		case info.IsDir() && !recursive:
			c.complain(fmt.Errorf("%s: is a directory", path))
			continue
		case info.IsDir():
			err = os.RemoveAll(path)
		default:
			err = os.Remove(path)
		}
		c.complain(err)
	}
	return nil
}

func runTouch(c *call) error {
	o, err := c.options("cad:m", "no-create=c")
	if err != nil {
		return err
	}
	now := time.Now()
	if o.has('d') {
		seconds, err := strconv.ParseInt(strings.TrimPrefix(o.value('d', ""), "@"), 10, 64)
		if err != nil {
			return usagef("%q: only @SECONDS is understood", o.value('d', ""))
		}
		now = time.Unix(seconds, 0)
	}
	for _, path := range o.rest {
		err := os.Chtimes(path, now, now)
		if os.IsNotExist(err) {
			if o.has('c') {
				continue
			}
			var f *os.File
			if f, err = os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o666); err == nil {
				err = f.Close()
			}
			if err == nil && o.has('d') {
				err = os.Chtimes(path, now, now)
			}
		}
		c.complain(err)
	}
	return nil
}

// into returns the path for a source under a target that may be a directory.
func into(target, source string) string {
	if info, err := os.Stat(target); err == nil && info.IsDir() {
		return filepath.Join(target, filepath.Base(source))
	}
	return target
}

func runLn(c *call) error {
	o, err := c.options("sfn", "symbolic=s", "force=f")
	if err != nil {
		return err
	}
	if len(o.rest) == 0 {
		return usagef("usage: ln [-sf] TARGET... NAME")
	}
	sources, target := o.rest, "."
	if len(o.rest) > 1 {
		sources, target = o.rest[:len(o.rest)-1], o.rest[len(o.rest)-1]
	}
	for _, source := range sources {
		name := target
		if !o.has('n') {
			name = into(target, source)
		}
		if o.has('f') {
			if err := os.Remove(name); err != nil && !os.IsNotExist(err) {
				c.complain(err)
				continue
			}
		}
		if o.has('s') {
			c.complain(os.Symlink(source, name))
		} else {
			c.complain(os.Link(source, name))
		}
	}
	return nil
}

// each calls f for every path, and with recursive for everything below it.
func (c *call) each(paths []string, recursive bool, f func(path string) error) {
	for _, path := range paths {
		if !recursive {
			c.complain(f(path))
			continue
		}
		_ = filepath.WalkDir(path, func(at string, _ fs.DirEntry, err error) error { // errors are complained about inside
			if err == nil {
				err = f(at)
			}
			c.complain(err)
			return nil
		})
	}
}

func runChmod(c *call) error {
	args := c.args
	recursive := len(args) > 0 && args[0] == "-R"
	if recursive {
		args = args[1:]
	}
	if len(args) < 2 {
		return usagef("usage: chmod [-R] MODE PATH...")
	}
	change, err := parseMode(args[0])
	if err != nil {
		return err
	}
	c.each(args[1:], recursive, func(path string) error {
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return &os.PathError{Op: "stat", Path: path, Err: err}
		}
		if recursive && st.Mode&unix.S_IFMT == unix.S_IFLNK {
			return nil
		}
		if err := unix.Stat(path, &st); err != nil {
			return &os.PathError{Op: "stat", Path: path, Err: err}
		}
		return chmodError(path, change(st.Mode))
	})
	return nil
}

// parseMode reads "755" or symbolic clauses such as "u+x,go-w" (chmod(1)) into a function of the mode so far.
func parseMode(text string) (func(uint32) uint32, error) {
	if n, err := strconv.ParseUint(text, 8, 12); err == nil {
		return func(uint32) uint32 { return uint32(n) }, nil
	}
	var changes []func(uint32) uint32
	for clause := range strings.SplitSeq(text, ",") {
		at := strings.IndexAny(clause, "+-=")
		if at < 0 || strings.Trim(clause[:at], "ugoa") != "" || strings.Trim(clause[at+1:], "rwxXst") != "" {
			return nil, usagef("invalid mode %q", text)
		}
		who, op, what := clause[:at], clause[at], clause[at+1:]
		changes = append(changes, func(mode uint32) uint32 { return applyMode(mode, who, op, what) })
	}
	return func(mode uint32) uint32 {
		mode &= 0o7777 | unix.S_IFMT
		for _, change := range changes {
			mode = change(mode)
		}
		return mode & 0o7777
	}, nil
}

func applyMode(mode uint32, who string, op byte, what string) uint32 {
	all := who == "" || strings.Contains(who, "a")
	var mask, bits uint32
	for _, class := range []struct {
		letter string
		shift  uint
		setID  uint32
	}{{"u", 6, unix.S_ISUID}, {"g", 3, unix.S_ISGID}, {"o", 0, 0}} {
		if !all && !strings.Contains(who, class.letter) {
			continue
		}
		mask |= 7<<class.shift | class.setID
		for _, letter := range what {
			switch letter {
			case 'r':
				bits |= 4 << class.shift
			case 'w':
				bits |= 2 << class.shift
			case 'x':
				bits |= 1 << class.shift
			case 'X':
				if mode&0o111 != 0 || mode&unix.S_IFMT == unix.S_IFDIR {
					bits |= 1 << class.shift
				}
			case 's':
				bits |= class.setID
			case 't':
				bits |= unix.S_ISVTX
			}
		}
	}
	switch op {
	case '+':
		return mode | bits
	case '-':
		return mode &^ bits
	}
	return mode&^mask | bits
}

func runChown(c *call) error {
	o, err := c.options("Rh", "recursive=R")
	if err != nil {
		return err
	}
	if len(o.rest) < 2 {
		return usagef("usage: chown [-R] USER[:GROUP] PATH...")
	}
	user, group, _ := strings.Cut(o.rest[0], ":")
	uid, gid := -1, -1
	if user != "" {
		if uid, err = findID("/etc/passwd", user); err != nil {
			return err
		}
	}
	if group != "" {
		if gid, err = findID("/etc/group", group); err != nil {
			return err
		}
	}
	chown := os.Chown
	if o.has('h') || o.has('R') {
		chown = os.Lchown
	}
	c.each(o.rest[1:], o.has('R'), func(path string) error { return chown(path, uid, gid) })
	return nil
}

func runMktemp(c *call) error {
	o, err := c.options("d")
	if err != nil {
		return err
	}
	if o.has('d') {
		dir, err := os.MkdirTemp("", "tmp.")
		c.println(dir)
		return err
	}
	f, err := os.CreateTemp("", "tmp.")
	if err != nil {
		return err
	}
	c.println(f.Name())
	return f.Close()
}

func runTruncate(c *call) error {
	o, err := c.options("s:c")
	if err != nil {
		return err
	}
	size, err := parseSize(o.value('s', ""))
	if err != nil {
		return usagef("%v", err)
	}
	for _, path := range o.rest {
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o666)
		if err != nil {
			c.complain(err)
			continue
		}
		c.complain(f.Truncate(size))
		c.complain(f.Close())
	}
	return nil
}

func runSync(*call) error {
	unix.Sync()
	return nil
}
