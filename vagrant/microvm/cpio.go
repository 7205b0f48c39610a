//go:build linux

package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
)

// File types and a bit of st_mode, inode(7). These are the archive's, whatever the
// system that writes it calls them.
const (
	typeDir     = 0o040000
	typeFile    = 0o100000
	typeSymlink = 0o120000
	typeChar    = 0o020000

	setuid = 0o004000
)

// archive writes an initramfs: a cpio archive in the "newc" format, which the
// kernel unpacks before it runs /init
// (Documentation/driver-api/early-userspace/buffer-format.rst).
//
// Written by hand because a device node in it is only a number: no root is
// needed, which it would be to make one for cpio(1) to find. One entry is
//
//	070701 ino mode uid gid nlink mtime size devmajor devminor rdevmajor rdevminor namesize check
//	name NUL, padded to 4 bytes
//	data, padded to 4 bytes
//
// with every number as eight hex digits. Owner is root throughout and the
// time stays 0, so the same files give the same bytes.
type archive struct {
	w     *bufio.Writer
	inode int
	size  int64
	dirs  map[string]bool // written so far; the kernel wants a parent before its entries
}

func newArchive(w io.Writer) *archive {
	return &archive{w: bufio.NewWriterSize(w, 1<<20), dirs: map[string]bool{"": true, ".": true}}
}

// dir adds a directory and its parents, once each.
func (a *archive) dir(name string) error {
	name = clean(name)
	if a.dirs[name] {
		return nil
	}
	if err := a.dir(path.Dir(name)); err != nil {
		return err
	}
	a.dirs[name] = true
	return a.entry(name, typeDir|0o755, device{}, 0, nil)
}

// file adds a regular file.
func (a *archive) file(name string, perm os.FileMode, size int64, data io.Reader) error {
	if err := a.parent(name); err != nil {
		return err
	}
	mode := typeFile | uint32(perm.Perm())
	if perm&os.ModeSetuid != 0 { // Go has it elsewhere than the kernel
		mode |= setuid
	}
	return a.entry(name, mode, device{}, size, data)
}

// text adds a regular file with the content given.
func (a *archive) text(name, content string) error {
	return a.file(name, 0o644, int64(len(content)), strings.NewReader(content))
}

// copy adds the host's file src as name.
func (a *archive) copy(name, src string) error {
	f, err := os.Open(src)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	return a.file(name, info.Mode(), info.Size(), f)
}

// symlink adds a symbolic link to target.
func (a *archive) symlink(name, target string) error {
	if err := a.parent(name); err != nil {
		return err
	}
	return a.entry(name, typeSymlink|0o777, device{}, int64(len(target)), strings.NewReader(target))
}

// A device is the number of a character device.
type device struct{ major, minor uint32 }

// char adds a character device.
func (a *archive) char(name string, perm uint32, number device) error {
	if err := a.parent(name); err != nil {
		return err
	}
	return a.entry(name, typeChar|perm, number, 0, nil)
}

// close writes the trailer that ends the archive.
func (a *archive) close() error {
	if err := a.entry("TRAILER!!!", 0, device{}, 0, nil); err != nil {
		return err
	}
	return a.w.Flush()
}

func (a *archive) parent(name string) error { return a.dir(path.Dir(clean(name))) }

func (a *archive) entry(name string, mode uint32, rdev device, size int64, data io.Reader) error {
	name = clean(name)
	a.inode++
	n, err := fmt.Fprintf(a.w, "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%s\x00",
		a.inode, mode, 0, 0, 1, 0, size, 0, 0, rdev.major, rdev.minor, len(name)+1, 0, name)
	if err != nil {
		return err
	}
	if err := a.pad(int64(n)); err != nil || data == nil {
		return err
	}
	copied, err := io.Copy(a.w, data)
	if err != nil {
		return fmt.Errorf("archive %s: %w", name, err)
	}
	if copied != size {
		return fmt.Errorf("archive %s: %d bytes, want %d", name, copied, size)
	}
	return a.pad(copied)
}

// pad counts n bytes as written and rounds up to the next multiple of four.
func (a *archive) pad(n int64) error {
	padding := -n & 3
	a.size += n + padding
	_, err := a.w.Write(make([]byte, padding))
	return err
}

// clean makes a name relative, as the archive's names are.
func clean(name string) string { return strings.TrimPrefix(path.Clean(name), "/") }
