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

func kindName(st *unix.Stat_t) string {
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		return "directory"
	case unix.S_IFLNK:
		return "symbolic link"
	case unix.S_IFCHR:
		return "character special file"
	case unix.S_IFBLK:
		return "block special file"
	case unix.S_IFIFO:
		return "fifo"
	case unix.S_IFSOCK:
		return "socket"
	}
	if st.Size == 0 {
		return "regular empty file"
	}
	return "regular file"
}

func runStat(c *call) error {
	o, err := c.options("Lc:f", "format=c", "dereference=L")
	if err != nil {
		return err
	}
	if len(o.rest) == 0 {
		return usagef("usage: stat [-L] [-c FORMAT] PATH...")
	}
	for _, path := range o.rest {
		if o.has('f') {
			c.complain(statFileSystem(c, path, o))
			continue
		}
		var st unix.Stat_t
		stat := unix.Lstat
		if o.has('L') {
			stat = unix.Stat
		}
		if err := stat(path, &st); err != nil {
			c.complain(&os.PathError{Op: "stat", Path: path, Err: err})
			continue
		}
		if o.has('c') {
			c.println(formatStat(o.value('c', ""), path, &st))
			continue
		}
		c.println(formatStat("  File: %N\n  Size: %-15s Blocks: %-10b IO Block: %-6o %F\n"+
			"Device: %d\tInode: %-11i Links: %h\nAccess: (%a/%A)  Uid: (%u/%U)   Gid: (%g/%G)\nModify: %y\nChange: %z", path, &st))
	}
	return nil
}

func statFileSystem(c *call, path string, o options) error {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return &os.PathError{Op: "statfs", Path: path, Err: err}
	}
	names := map[int64]string{unix.TMPFS_MAGIC: "tmpfs", unix.PROC_SUPER_MAGIC: "proc", unix.SYSFS_MAGIC: "sysfs",
		unix.OVERLAYFS_SUPER_MAGIC: "overlayfs", unix.EXT4_SUPER_MAGIC: "ext2/ext3", unix.CGROUP2_SUPER_MAGIC: "cgroup2fs",
		unix.CGROUP_SUPER_MAGIC: "cgroupfs", unix.XFS_SUPER_MAGIC: "xfs", unix.BTRFS_SUPER_MAGIC: "btrfs",
		unix.DEVPTS_SUPER_MAGIC: "devpts"}
	name := names[int64(st.Type)]
	if name == "" {
		name = "UNKNOWN"
	}
	if o.has('c') {
		c.println(strings.NewReplacer("%T", name, "%t", strconv.FormatInt(int64(st.Type), 16), "%n", path).Replace(o.value('c', "")))
		return nil
	}
	c.printf("  File: %q\n  Type: %s (%x)\nBlocks: Total: %d Free: %d Available: %d of %d bytes\n", path, name,
		int64(st.Type), st.Blocks, st.Bfree, st.Bavail, st.Bsize)
	return nil
}

// formatStat expands the directives of stat -c; a width may stand between % and the letter.
func formatStat(format, path string, st *unix.Stat_t) string {
	value := map[byte]func() string{
		'n': func() string { return path },
		'N': func() string {
			if target, err := os.Readlink(path); err == nil {
				return fmt.Sprintf("'%s' -> '%s'", path, target)
			}
			return path
		},
		'a': func() string { return strconv.FormatUint(uint64(st.Mode&0o7777), 8) },
		'A': func() string { return modeString(st.Mode) },
		'f': func() string { return strconv.FormatUint(uint64(st.Mode), 16) },
		'F': func() string { return kindName(st) },
		's': func() string { return strconv.FormatInt(st.Size, 10) },
		'b': func() string { return strconv.FormatInt(st.Blocks, 10) },
		'B': func() string { return "512" },
		'o': func() string { return strconv.FormatInt(int64(st.Blksize), 10) },
		'u': func() string { return strconv.Itoa(int(st.Uid)) },
		'U': func() string { return userName(int(st.Uid)) },
		'g': func() string { return strconv.Itoa(int(st.Gid)) },
		'G': func() string { return groupName(int(st.Gid)) },
		't': func() string { return strconv.FormatUint(uint64(unix.Major(uint64(st.Rdev))), 16) },
		'T': func() string { return strconv.FormatUint(uint64(unix.Minor(uint64(st.Rdev))), 16) },
		'd': func() string { return strconv.FormatUint(uint64(st.Dev), 10) },
		'D': func() string { return strconv.FormatUint(uint64(st.Dev), 16) },
		'i': func() string { return strconv.FormatUint(st.Ino, 10) },
		'h': func() string { return strconv.FormatUint(uint64(st.Nlink), 10) },
		'X': func() string { return strconv.FormatInt(int64(st.Atim.Sec), 10) },
		'Y': func() string { return strconv.FormatInt(int64(st.Mtim.Sec), 10) },
		'Z': func() string { return strconv.FormatInt(int64(st.Ctim.Sec), 10) },
		'y': func() string { return statTime(st.Mtim) },
		'z': func() string { return statTime(st.Ctim) },
		'x': func() string { return statTime(st.Atim) },
	}
	var out strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] != '%' {
			out.WriteByte(format[i])
			continue
		}
		j := i + 1
		for j < len(format) && strings.IndexByte("-0123456789", format[j]) >= 0 {
			j++
		}
		if j == len(format) {
			out.WriteString(format[i:])
			break
		}
		width, _ := strconv.Atoi(format[i+1 : j]) // none: 0
		switch f, ok := value[format[j]]; {
		case ok:
			fmt.Fprintf(&out, "%*s", width, f())
		case format[j] == '%':
			out.WriteByte('%')
		default:
			out.WriteString(format[i : j+1])
		}
		i = j
	}
	return out.String()
}

func statTime(t unix.Timespec) string {
	return time.Unix(t.Unix()).Format("2006-01-02 15:04:05.000000000 -0700")
}

func runFind(c *call) error {
	var roots []string
	args := c.args
	for len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		roots = append(roots, args[0])
		args = args[1:]
	}
	if len(roots) == 0 {
		roots = []string{"."}
	}
	test, err := parseFind(args)
	if err != nil {
		return err
	}
	for _, root := range roots {
		base := strings.Count(filepath.Clean(root), "/")
		if root == "/" {
			base = 0
		}
		device := uint64(0)
		_ = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error { // errors are complained about inside
			if err != nil {
				c.complain(err)
				return nil
			}
			depth := strings.Count(filepath.Clean(path), "/") - base
			if root == "." && path != "." {
				depth++
			}
			if root == "/" && path == "/" {
				depth = 0
			}
			if info, err := d.Info(); err == nil && test.oneFileSystem {
				dev := uint64(info.Sys().(*syscall.Stat_t).Dev)
				if depth == 0 {
					device = dev
				} else if dev != device && d.IsDir() {
					return fs.SkipDir
				}
			}
			shown := path
			if root == "." && path != "." {
				shown = "./" + path
			}
			if depth >= test.minDepth && test.matches(d) {
				c.printf("%s%s", shown, test.end)
			}
			if d.IsDir() && test.maxDepth >= 0 && depth >= test.maxDepth {
				return fs.SkipDir
			}
			return nil
		})
	}
	return nil
}

type findTest struct {
	names, kinds       []string
	minDepth, maxDepth int
	oneFileSystem      bool
	end                string
}

func parseFind(args []string) (findTest, error) {
	t := findTest{maxDepth: -1, end: "\n"}
	for len(args) > 0 {
		option := args[0]
		args = args[1:]
		switch option {
		case "-print":
			continue
		case "-print0":
			t.end = "\x00"
			continue
		case "-xdev", "-mount":
			t.oneFileSystem = true
			continue
		case "-name", "-type", "-maxdepth", "-mindepth":
		default:
			return t, usagef("unrecognized: %s", option)
		}
		if len(args) == 0 {
			return t, usagef("%s needs a value", option)
		}
		value := args[0]
		args = args[1:]
		var err error
		switch option {
		case "-name":
			if _, err = filepath.Match(value, ""); err == nil {
				t.names = append(t.names, value)
			}
		case "-type":
			t.kinds = append(t.kinds, value)
		case "-maxdepth":
			t.maxDepth, err = strconv.Atoi(value)
		case "-mindepth":
			t.minDepth, err = strconv.Atoi(value)
		}
		if err != nil {
			return t, usagef("%s %s: %v", option, value, err)
		}
	}
	return t, nil
}

func (t findTest) matches(d fs.DirEntry) bool {
	for _, name := range t.names {
		if ok, _ := filepath.Match(name, d.Name()); !ok { // the pattern was checked
			return false
		}
	}
	for _, kind := range t.kinds {
		want := map[string]fs.FileMode{"f": 0, "d": fs.ModeDir, "l": fs.ModeSymlink, "p": fs.ModeNamedPipe, "s": fs.ModeSocket,
			"b": fs.ModeDevice, "c": fs.ModeDevice | fs.ModeCharDevice}
		if mode, ok := want[kind]; !ok || d.Type() != mode {
			return false
		}
	}
	return true
}

func runDu(c *call) error {
	o, err := c.options("shkxam")
	if err != nil {
		return err
	}
	roots := o.rest
	if len(roots) == 0 {
		roots = []string{"."}
	}
	show := func(blocks int64, path string) {
		size := strconv.FormatInt(blocks/2, 10)
		switch {
		case o.has('h'):
			size = humanSize(blocks * 512)
		case o.has('m'):
			size = strconv.FormatInt(blocks/2048, 10)
		}
		c.printf("%s\t%s\n", size, path)
	}
	for _, root := range roots {
		seen := map[[2]uint64]bool{} // hard links count once
		var walk func(path string, top bool) int64
		walk = func(path string, top bool) int64 {
			var st unix.Stat_t
			if err := unix.Lstat(path, &st); err != nil {
				c.complain(&os.PathError{Op: "stat", Path: path, Err: err})
				return 0
			}
			key := [2]uint64{uint64(st.Dev), st.Ino}
			if seen[key] {
				return 0
			}
			seen[key] = true
			sum := st.Blocks
			directory := st.Mode&unix.S_IFMT == unix.S_IFDIR
			if directory {
				entries, err := os.ReadDir(path)
				c.complain(err)
				for _, e := range entries {
					sum += walk(filepath.Join(path, e.Name()), false)
				}
			}
			if top || (directory || o.has('a')) && !o.has('s') {
				show(sum, path)
			}
			return sum
		}
		walk(root, true)
	}
	return nil
}

func runReadlink(c *call) error {
	o, err := c.options("fen")
	if err != nil {
		return err
	}
	if len(o.rest) == 0 {
		return usagef("usage: readlink [-f] PATH...")
	}
	for _, path := range o.rest {
		if o.has('f') || o.has('e') {
			full, err := canonical(path, o.has('e'))
			if err != nil {
				c.status = 1
				continue
			}
			c.println(full)
			continue
		}
		target, err := os.Readlink(path)
		if err != nil {
			c.status = 1 // readlink says nothing: scripts ask it whether something is a link
			continue
		}
		c.println(target)
	}
	return nil
}

// canonical resolves all links. The last component need not exist unless strict.
func canonical(path string, strict bool) (string, error) {
	full, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	resolved, err := filepath.EvalSymlinks(full)
	if err == nil || strict {
		return resolved, err
	}
	parent, err := filepath.EvalSymlinks(filepath.Dir(full))
	return filepath.Join(parent, filepath.Base(full)), err
}

func runRealpath(c *call) error {
	for _, path := range c.args {
		full, err := canonical(path, false)
		if err != nil {
			c.complain(err)
			continue
		}
		c.println(full)
	}
	return nil
}

func runWhich(c *call) error {
	for _, name := range c.args {
		found := false
		for dir := range strings.SplitSeq(os.Getenv("PATH"), ":") {
			path := filepath.Join(dir, name)
			if info, err := os.Stat(path); err == nil && !info.IsDir() && info.Mode()&0o111 != 0 {
				c.println(path)
				found = true
				break
			}
		}
		if !found {
			c.status = 1
		}
	}
	return nil
}

func runDirname(c *call) error {
	if len(c.args) == 0 {
		return usagef("usage: dirname PATH...")
	}
	for _, path := range c.args {
		c.println(filepath.Dir(path))
	}
	return nil
}

func runBasename(c *call) error {
	if len(c.args) == 0 {
		return usagef("usage: basename PATH [SUFFIX]")
	}
	base := filepath.Base(c.args[0])
	if len(c.args) > 1 && base != c.args[1] {
		base = strings.TrimSuffix(base, c.args[1])
	}
	c.println(base)
	return nil
}

func runPwd(c *call) error {
	dir, err := unix.Getwd()
	if err != nil {
		return fmt.Errorf("getcwd: %w", err)
	}
	c.println(dir)
	return nil
}
