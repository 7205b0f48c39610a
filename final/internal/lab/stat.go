//go:build linux

package lab

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

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
