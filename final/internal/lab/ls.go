//go:build linux

package lab

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

var listCommands = []command{
	{"ls", "list directories: ls [-1adFhilnrRSt] [PATH...]", runLs},
	{"stat", "print a file's attributes: stat [-L] [-c FORMAT] PATH...", runStat},
	{"find", "find files: find [DIR...] [-name GLOB] [-type T] [-maxdepth N] [-mindepth N] [-print0]", runFind},
	{"du", "print what directories hold: du [-shk] [PATH...]", runDu},
	{"readlink", "print where a link points: readlink [-f] PATH...", runReadlink},
	{"realpath", "print a path without links: realpath PATH...", runRealpath},
	{"which", "find a program in PATH: which NAME...", runWhich},
	{"dirname", "strip the last part of a path", runDirname},
	{"basename", "strip all but the last part of a path: basename PATH [SUFFIX]", runBasename},
	{"pwd", "print the working directory", runPwd},
}

// An entry is a file as ls shows it.
type entry struct {
	name string // as it was asked for
	path string
	info fs.FileInfo
}

func (e entry) stat() *syscall.Stat_t { return e.info.Sys().(*syscall.Stat_t) }

func runLs(c *call) error {
	o, err := c.options("1aAdFhilnrRStLpx", "all=a", "human-readable=h", "almost-all=A", "recursive=R", "directory=d",
		"color=p", "numeric-uid-gid=n", "inode=i")
	if err != nil {
		return err
	}
	paths := o.rest
	if len(paths) == 0 {
		paths = []string{"."}
	}
	var files, directories []entry
	for _, path := range paths {
		info, err := os.Lstat(path)
		if err == nil && info.Mode()&os.ModeSymlink != 0 && !o.has('l') && !o.has('d') || o.has('L') {
			if target, followed := os.Stat(path); followed == nil {
				info = target
			}
		}
		if err != nil {
			c.complain(err)
			continue
		}
		e := entry{path, path, info}
		if info.IsDir() && !o.has('d') {
			directories = append(directories, e)
		} else {
			files = append(files, e)
		}
	}
	l := lister{c, o}
	l.print(files)
	for i, d := range directories {
		if len(files) > 0 || i > 0 {
			c.println()
		}
		l.directory(d.path, len(paths) > 1 || o.has('R'))
	}
	return nil
}

type lister struct {
	c *call
	o options
}

func (l lister) directory(path string, titled bool) {
	if titled {
		l.c.printf("%s:\n", path)
	}
	found, err := os.ReadDir(path)
	if err != nil {
		l.c.complain(err)
		return
	}
	var names []string
	if l.o.has('a') {
		names = append(names, ".", "..")
	}
	for _, d := range found {
		if !strings.HasPrefix(d.Name(), ".") || l.o.has('a') || l.o.has('A') {
			names = append(names, d.Name())
		}
	}
	var entries []entry
	for _, name := range names {
		at := path + "/" + name
		info, err := os.Lstat(at)
		if err != nil {
			l.c.complain(err)
			continue
		}
		entries = append(entries, entry{name, at, info})
	}
	if l.o.has('l') || l.o.has('n') {
		blocks := int64(0)
		for _, e := range entries {
			blocks += e.stat().Blocks
		}
		l.c.printf("total %d\n", blocks/2)
	}
	l.print(entries)
	if !l.o.has('R') {
		return
	}
	for _, e := range entries {
		if e.info.IsDir() && e.name != "." && e.name != ".." {
			l.c.println()
			l.directory(filepath.Join(path, e.name), true)
		}
	}
}

func (l lister) print(entries []entry) {
	switch {
	case l.o.has('S'):
		slices.SortStableFunc(entries, func(a, b entry) int { return int(b.info.Size() - a.info.Size()) })
	case l.o.has('t'):
		slices.SortStableFunc(entries, func(a, b entry) int { return b.info.ModTime().Compare(a.info.ModTime()) })
	}
	if l.o.has('r') {
		slices.Reverse(entries)
	}
	if l.o.has('l') || l.o.has('n') {
		l.long(entries)
		return
	}
	var names []string
	for _, e := range entries {
		names = append(names, l.inode(e)+e.name+l.mark(e))
	}
	width := 0
	if !l.o.has('1') {
		width, _, _ = term.GetSize(1) // not a terminal: 0, one name a line
	}
	columns(l.c, names, width)
}

// columns prints names below each other, in as many columns as fit the width.
func columns(c *call, names []string, width int) {
	longest := 0
	for _, n := range names {
		longest = max(longest, len(n)+2)
	}
	count := 1
	if longest > 0 {
		count = max(1, width/longest)
	}
	rows := (len(names) + count - 1) / count
	for r := range rows {
		var line strings.Builder
		for i := r; i < len(names); i += rows {
			fmt.Fprintf(&line, "%-*s", longest, names[i])
		}
		c.println(strings.TrimRight(line.String(), " "))
	}
}

func (l lister) inode(e entry) string {
	if !l.o.has('i') {
		return ""
	}
	return strconv.FormatUint(e.stat().Ino, 10) + " "
}

func (l lister) mark(e entry) string {
	switch {
	case !l.o.has('F'):
		return ""
	case e.info.IsDir():
		return "/"
	case e.info.Mode()&os.ModeSymlink != 0:
		return "@"
	case e.info.Mode()&os.ModeNamedPipe != 0:
		return "|"
	case e.info.Mode()&os.ModeSocket != 0:
		return "="
	case e.info.Mode()&0o111 != 0:
		return "*"
	}
	return ""
}

func (l lister) long(entries []entry) {
	rows := make([][]string, len(entries))
	for i, e := range entries {
		st := e.stat()
		owner, group := userName(int(st.Uid)), groupName(int(st.Gid))
		if l.o.has('n') {
			owner, group = strconv.Itoa(int(st.Uid)), strconv.Itoa(int(st.Gid))
		}
		size := strconv.FormatInt(e.info.Size(), 10)
		switch {
		case st.Mode&unix.S_IFMT == unix.S_IFCHR || st.Mode&unix.S_IFMT == unix.S_IFBLK:
			size = fmt.Sprintf("%d, %3d", unix.Major(uint64(st.Rdev)), unix.Minor(uint64(st.Rdev)))
		case l.o.has('h'):
			size = humanSize(e.info.Size())
		}
		name := e.name + l.mark(e)
		if target, err := os.Readlink(e.path); err == nil {
			name = e.name + " -> " + target
		}
		rows[i] = []string{l.inode(e) + modeString(st.Mode), strconv.FormatUint(uint64(st.Nlink), 10), owner, group, size,
			fileDate(e.info.ModTime()), name}
	}
	var widths [7]int
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], len(cell))
		}
	}
	for _, row := range rows {
		l.c.printf("%-*s %*s %-*s %-*s %*s %s %s\n", widths[0], row[0], widths[1], row[1], widths[2], row[2], widths[3], row[3],
			widths[4], row[4], row[5], row[6])
	}
}

func fileDate(t time.Time) string {
	if age := time.Since(t); age > 180*24*time.Hour || age < -time.Hour {
		return t.Format("Jan _2  2006")
	}
	return t.Format("Jan _2 15:04")
}

// modeString is drwxr-xr-x as ls writes it: s and S for set-id bits, t and T for the sticky bit.
func modeString(mode uint32) string {
	kinds := map[uint32]byte{unix.S_IFDIR: 'd', unix.S_IFLNK: 'l', unix.S_IFCHR: 'c', unix.S_IFBLK: 'b', unix.S_IFIFO: 'p', unix.S_IFSOCK: 's'}
	out := []byte("----------")
	if kind, ok := kinds[mode&unix.S_IFMT]; ok {
		out[0] = kind
	}
	for i := range 9 {
		if mode&(1<<(8-i)) != 0 {
			out[i+1] = "rwx"[i%3]
		}
	}
	for _, special := range []struct {
		bit         uint32
		at          int
		with, alone byte
	}{{unix.S_ISUID, 3, 's', 'S'}, {unix.S_ISGID, 6, 's', 'S'}, {unix.S_ISVTX, 9, 't', 'T'}} {
		if mode&special.bit == 0 {
			continue
		}
		if out[special.at] == 'x' {
			out[special.at] = special.with
		} else {
			out[special.at] = special.alone
		}
	}
	return string(out)
}
