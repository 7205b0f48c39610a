//go:build linux

package op

import (
	"encoding/binary"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// This file has the calls that more than one package makes; what only one makes it writes down itself.

// MountFlags are the flags of mount(2), with their options in mount(8).
var MountFlags = []Flag{
	{unix.MS_RDONLY, "MS_RDONLY"}, {unix.MS_NOSUID, "MS_NOSUID"}, {unix.MS_NODEV, "MS_NODEV"},
	{unix.MS_NOEXEC, "MS_NOEXEC"}, {unix.MS_SYNCHRONOUS, "MS_SYNCHRONOUS"}, {unix.MS_REMOUNT, "MS_REMOUNT"},
	{unix.MS_MANDLOCK, "MS_MANDLOCK"}, {unix.MS_DIRSYNC, "MS_DIRSYNC"}, {unix.MS_NOSYMFOLLOW, "MS_NOSYMFOLLOW"},
	{unix.MS_NOATIME, "MS_NOATIME"}, {unix.MS_NODIRATIME, "MS_NODIRATIME"}, {unix.MS_BIND, "MS_BIND"},
	{unix.MS_MOVE, "MS_MOVE"}, {unix.MS_REC, "MS_REC"}, {unix.MS_SILENT, "MS_SILENT"},
	{unix.MS_UNBINDABLE, "MS_UNBINDABLE"}, {unix.MS_PRIVATE, "MS_PRIVATE"}, {unix.MS_SLAVE, "MS_SLAVE"},
	{unix.MS_SHARED, "MS_SHARED"}, {unix.MS_RELATIME, "MS_RELATIME"}, {unix.MS_I_VERSION, "MS_I_VERSION"},
	{unix.MS_STRICTATIME, "MS_STRICTATIME"}, {unix.MS_LAZYTIME, "MS_LAZYTIME"},
}

// openFlags are the flags of open(2) that plans use.
var openFlags = []Flag{
	{unix.O_PATH, "O_PATH"}, {unix.O_DIRECTORY, "O_DIRECTORY"}, {unix.O_NOFOLLOW, "O_NOFOLLOW"},
	{unix.O_CLOEXEC, "O_CLOEXEC"}, {unix.O_RDWR, "O_RDWR"}, {unix.O_WRONLY, "O_WRONLY"}, {unix.O_CREAT, "O_CREAT"},
	{unix.O_EXCL, "O_EXCL"}, {unix.O_NOCTTY, "O_NOCTTY"}, {unix.O_NONBLOCK, "O_NONBLOCK"},
}

var resolveFlags = []Flag{
	{unix.RESOLVE_IN_ROOT, "RESOLVE_IN_ROOT"}, {unix.RESOLVE_BENEATH, "RESOLVE_BENEATH"},
	{unix.RESOLVE_NO_MAGICLINKS, "RESOLVE_NO_MAGICLINKS"}, {unix.RESOLVE_NO_SYMLINKS, "RESOLVE_NO_SYMLINKS"},
	{unix.RESOLVE_NO_XDEV, "RESOLVE_NO_XDEV"},
}

// Mount is mount(2). Empty strings are passed as null pointers.
func Mount(source, target Arg, fstype string, flags uintptr, data string) Op {
	return Op{Name: "mount", Nr: unix.SYS_MOUNT, Args: []Arg{
		source, target, optional(fstype), Flags(flags, MountFlags), optional(data),
	}}
}

func optional(s string) Arg {
	if s == "" {
		return Null()
	}
	return Str(s)
}

// Open is openat(2) of an absolute path or one below the working directory, with O_CLOEXEC.
func Open(path string, flags int, result *Var) Op {
	return Op{Name: "openat", Nr: unix.SYS_OPENAT, Args: []Arg{
		AtFdcwd(), Str(path), Flags(flags|unix.O_CLOEXEC, openFlags), Int(0).As("0"),
	}, Result: result}
}

// Openat2 is openat2(2), with O_CLOEXEC: it opens a path below a directory. resolve says what the way there must not
// lead through (RESOLVE_*).
func Openat2(dir Arg, path string, flags, resolve int, result *Var) Op {
	how := Words(uint64(flags|unix.O_CLOEXEC), 0, uint64(resolve)) // struct open_how
	how.kind = openHow
	return Op{Name: "openat2", Nr: unix.SYS_OPENAT2, Args: []Arg{
		dir, Str(path), Ref(how), Int(unix.SizeofOpenHow),
	}, Result: result}
}

// AtFdcwd stands for the working directory where a call wants a directory's descriptor.
func AtFdcwd() Arg { return Int(unix.AT_FDCWD).As("AT_FDCWD") }

// Words returns 8-byte numbers, one after the other, such as the fields of a structure.
func Words(words ...uint64) *Data {
	d := &Data{Bytes: make([]byte, 0, 8*len(words))}
	for _, w := range words {
		d.Bytes = binary.NativeEndian.AppendUint64(d.Bytes, w)
	}
	return d
}

// Struct returns a structure of the kernel, given as a value without pointers in the layout that C has for it.
func Struct[T any](value T) *Data {
	return &Data{Bytes: unsafe.Slice((*byte)(unsafe.Pointer(&value)), unsafe.Sizeof(value))}
}

// Close is close(2).
func Close(fd Arg) Op { return Op{Name: "close", Nr: unix.SYS_CLOSE, Args: []Arg{fd}} }

// CloseRange is close_range(2) (since Linux 5.9), from a descriptor to the highest there can be.
func CloseRange(first int, flags int) Op {
	return Op{Name: "close_range", Nr: unix.SYS_CLOSE_RANGE, Args: []Arg{
		Int(first), Int(^uint32(0)).As("~0"), Flags(flags, []Flag{{unix.CLOSE_RANGE_CLOEXEC, "CLOSE_RANGE_CLOEXEC"}}),
	}}
}

// Dup gives a descriptor a number (dup3(2)). Whatever had the number is closed.
func Dup(fd Arg, number int, flags int) Op {
	return Op{Name: "dup3", Nr: unix.SYS_DUP3, Args: []Arg{fd, Int(number), Flags(flags, openFlags)}}
}

// Mkdirat is mkdirat(2).
func Mkdirat(dir Arg, name string, mode uint32) Op {
	return Op{Name: "mkdirat", Nr: unix.SYS_MKDIRAT, Args: []Arg{dir, Str(name), Int(mode).As(fmt.Sprintf("%#o", mode))}}
}

// Fchdir is fchdir(2).
func Fchdir(dir Arg) Op { return Op{Name: "fchdir", Nr: unix.SYS_FCHDIR, Args: []Arg{dir}} }

// Chdir is chdir(2).
func Chdir(path string) Op { return Op{Name: "chdir", Nr: unix.SYS_CHDIR, Args: []Arg{Str(path)}} }

// Write is write(2).
func Write(fd Arg, text string) Op {
	return Op{Name: "write", Nr: unix.SYS_WRITE, Args: []Arg{fd, Str(text), Int(len(text))}}
}

// Read is read(2) of at most as many bytes as the buffer has. Result 0 is the end of the file.
func Read(fd Arg, buffer *Data) Op {
	return Op{Name: "read", Nr: unix.SYS_READ, Args: []Arg{fd, Ref(buffer), Int(len(buffer.Bytes))}}
}

// Prctl is prctl(2). name is the constant's.
func Prctl(name string, option int, args ...Arg) Op {
	o := Op{Name: "prctl", Nr: unix.SYS_PRCTL, Args: make([]Arg, 0, 5)}
	o.Args = append(append(o.Args, Int(option).As(name)), args...)
	for len(o.Args) < 5 {
		o.Args = append(o.Args, Int(0)) // some options want the rest to be 0
	}
	return o
}

// Exit is exit_group(2).
func Exit(code int) Op {
	return Op{Name: "exit_group", Nr: unix.SYS_EXIT_GROUP, Args: []Arg{Int(code)}}
}

// Setns is setns(2): it joins the namespaces that a descriptor stands for. kind is 0 for whichever it is, or
// with a pidfd the CLONE_NEW* of those to join.
func Setns(fd Arg, kind int) Op {
	return Op{Name: "setns", Nr: unix.SYS_SETNS, Args: []Arg{fd, Flags(kind, CloneFlags)}}
}

// CloneFlags are the flags of clone(2) that plans use.
var CloneFlags = []Flag{
	{unix.CLONE_NEWUSER, "CLONE_NEWUSER"}, {unix.CLONE_NEWPID, "CLONE_NEWPID"}, {unix.CLONE_NEWNS, "CLONE_NEWNS"},
	{unix.CLONE_NEWNET, "CLONE_NEWNET"}, {unix.CLONE_NEWIPC, "CLONE_NEWIPC"}, {unix.CLONE_NEWUTS, "CLONE_NEWUTS"},
	{unix.CLONE_NEWCGROUP, "CLONE_NEWCGROUP"}, {unix.CLONE_NEWTIME, "CLONE_NEWTIME"}, {unix.CLONE_PARENT, "CLONE_PARENT"},
}

// Fail ends the list's part for failures: it sends the report to a descriptor, and exits.
func (l *List) Fail(fd Arg, code int) {
	l.Failure = []Op{
		{Name: "write", Nr: unix.SYS_WRITE, Args: []Arg{fd, Ref(l.Report()).As("[the report]"), Int(ReportSize)}},
		Exit(code),
	}
}
