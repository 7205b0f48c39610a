//go:build linux

package tree

import (
	"errors"
	"io/fs"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// An Entry is a file in a directory that is open.
type Entry struct {
	Parent int    // the descriptor of the directory
	Base   string // the name there
	Name   string // the path from where the walk began
	Stat   unix.Stat_t
}

// Type is one of S_IFDIR, S_IFREG and so on (inode(7)).
func (e *Entry) Type() uint32 { return e.Stat.Mode & unix.S_IFMT }

// At looks at a file in an open directory, and does not follow it.
func At(parent *os.File, base, name string) (e Entry, err error) {
	e = Entry{Parent: int(parent.Fd()), Base: base, Name: name}
	if err := unix.Fstatat(e.Parent, base, &e.Stat, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return e, &os.PathError{Op: "stat", Path: name, Err: err}
	}
	return e, nil
}

// SkipDirectory, returned by visit, leaves out what is in the directory.
var SkipDirectory = errors.New("skip this directory")

// Walk calls visit for an entry and, if it is a directory, for all below it: in the order of names, a directory before
// what is in it. What has gone meanwhile is passed over. Mounts are walked like anything else.
func Walk(e Entry, visit func(Entry) error) error {
	err := visit(e)
	if errors.Is(err, SkipDirectory) {
		return nil
	}
	if err != nil || e.Type() != unix.S_IFDIR {
		return err
	}
	dir, names, err := e.Names()
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
		return nil // it was a directory a moment ago
	}
	if err != nil {
		return err
	}
	defer dir.Close()
	for _, base := range names {
		name := base
		if e.Name != "." && e.Name != "" {
			name = e.Name + "/" + base
		}
		below, err := At(dir, base, name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = Walk(below, visit)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// kernels are the file systems whose files are the kernel's words, and nobody's data (statfs(2)).
var kernels = []int64{
	unix.PROC_SUPER_MAGIC, unix.SYSFS_MAGIC, unix.CGROUP_SUPER_MAGIC, unix.CGROUP2_SUPER_MAGIC, unix.DEVPTS_SUPER_MAGIC,
	unix.SECURITYFS_MAGIC, unix.DEBUGFS_MAGIC, unix.TRACEFS_MAGIC, unix.BPF_FS_MAGIC, 0x19800202, // of mqueue
}

// IsKernels tells whether a directory is of such a file system, as /proc is.
func (e *Entry) IsKernels() bool {
	dir, err := e.open(unix.O_PATH | unix.O_DIRECTORY)
	if err != nil {
		return false // it has just gone
	}
	defer dir.Close()
	var st unix.Statfs_t
	return unix.Fstatfs(int(dir.Fd()), &st) == nil && slices.Contains(kernels, int64(st.Type))
}

// Names opens a directory and reads what is in it, sorted.
func (e *Entry) Names() (dir *os.File, names []string, err error) {
	if dir, err = e.open(unix.O_RDONLY | unix.O_DIRECTORY); err != nil {
		return nil, nil, err
	}
	names, err = dir.Readdirnames(-1)
	if err != nil {
		dir.Close()
		return nil, nil, err
	}
	slices.Sort(names)
	return dir, names, nil
}

// open opens the entry, and nothing that it points to. A pipe or a device does not make it wait.
func (e *Entry) open(flags int) (*os.File, error) {
	fd, err := unix.Openat(e.Parent, e.Base, flags|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: e.Name, Err: err}
	}
	return os.NewFile(uintptr(fd), e.Name), nil
}

// mountOf is the number of the mount that a file is on (statx(2), since Linux 5.8; before, 0 for all). With an empty
// name it is the directory itself.
func mountOf(parent int, base string) (uint64, error) {
	var st unix.Statx_t
	err := unix.Statx(parent, base, unix.AT_SYMLINK_NOFOLLOW|unix.AT_EMPTY_PATH, unix.STATX_MNT_ID, &st)
	return st.Mnt_id, err
}

// isMountPoint tells whether something is mounted at a name in a directory.
func isMountPoint(parent int, base string) (bool, error) {
	there, err := mountOf(parent, base)
	if errors.Is(err, unix.ENOENT) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	here, err := mountOf(parent, "")
	return here != there, err
}
