//go:build linux

package rootfs

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/op"
)

// This file has the calls that only this package makes.

var atFlags = []op.Flag{
	{Value: unix.AT_EMPTY_PATH, Name: "AT_EMPTY_PATH"}, {Value: unix.AT_RECURSIVE, Name: "AT_RECURSIVE"},
	{Value: unix.AT_SYMLINK_NOFOLLOW, Name: "AT_SYMLINK_NOFOLLOW"},
}

// openTree is open_tree(2): a copy of the mount at a path, or of it and those below with AT_RECURSIVE, that
// is mounted nowhere yet. With an empty path it is the mount that dir is at.
func openTree(dir op.Arg, path string, flags int, result *op.Var) op.Op {
	names := append([]op.Flag{
		{Value: unix.OPEN_TREE_CLONE, Name: "OPEN_TREE_CLONE"}, {Value: unix.O_CLOEXEC, Name: "OPEN_TREE_CLOEXEC"},
	}, atFlags...)
	if path == "" {
		flags |= unix.AT_EMPTY_PATH
	}
	return op.Op{Name: "open_tree", Nr: unix.SYS_OPEN_TREE, Args: []op.Arg{
		dir, op.Str(path), op.Flags(unix.OPEN_TREE_CLONE|unix.O_CLOEXEC|flags, names),
	}, Result: result}
}

// moveMount is move_mount(2) of what openTree returned, to the place that a descriptor is at, or to a name in
// it. It follows no symbolic link.
func moveMount(tree, dir op.Arg, name string) op.Op {
	flags := unix.MOVE_MOUNT_F_EMPTY_PATH
	if name == "" {
		flags |= unix.MOVE_MOUNT_T_EMPTY_PATH
	}
	return op.Op{Name: "move_mount", Nr: unix.SYS_MOVE_MOUNT, Args: []op.Arg{
		tree, op.Str(""), dir, op.Str(name), op.Flags(flags, []op.Flag{
			{Value: unix.MOVE_MOUNT_F_EMPTY_PATH, Name: "MOVE_MOUNT_F_EMPTY_PATH"},
			{Value: unix.MOVE_MOUNT_T_EMPTY_PATH, Name: "MOVE_MOUNT_T_EMPTY_PATH"},
		}),
	}}
}

var fileTypes = []op.Flag{ // of inode(7); they are numbers, not bits, so the longer ones are first
	{Value: unix.S_IFBLK, Name: "S_IFBLK"}, {Value: unix.S_IFREG, Name: "S_IFREG"},
	{Value: unix.S_IFCHR, Name: "S_IFCHR"}, {Value: unix.S_IFIFO, Name: "S_IFIFO"},
}

// mknodat is mknodat(2). It follows no symbolic link.
func mknodat(dir op.Arg, name string, mode uint32, device uint64) op.Op {
	kind := op.Flags(mode&unix.S_IFMT, fileTypes).String()
	number := op.Int(device)
	if device != 0 {
		number = number.As(fmt.Sprintf("makedev(%d, %d)", unix.Major(device), unix.Minor(device)))
	}
	return op.Op{Name: "mknodat", Nr: unix.SYS_MKNODAT, Args: []op.Arg{
		dir, op.Str(name), op.Int(mode).As(fmt.Sprintf("%s|%#o", kind, mode&^unix.S_IFMT)), number,
	}}
}

// symlinkat is symlinkat(2).
func symlinkat(target string, dir op.Arg, name string) op.Op {
	return op.Op{Name: "symlinkat", Nr: unix.SYS_SYMLINKAT, Args: []op.Arg{op.Str(target), dir, op.Str(name)}}
}

// umask is umask(2).
func umask(mask int) op.Op {
	return op.Op{Name: "umask", Nr: unix.SYS_UMASK, Args: []op.Arg{op.Int(mask).As(fmt.Sprintf("%#o", mask))}}
}
