//go:build linux

package tree

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// An Archive is a tar archive in the making.
type Archive struct {
	tar   *tar.Writer
	links map[Inode]string // the first names of files with several
}

// NewArchive begins an archive.
func NewArchive(w io.Writer) *Archive {
	return &Archive{tar: tar.NewWriter(w), links: map[Inode]string{}}
}

// Close ends the archive.
func (a *Archive) Close() error { return a.tar.Close() }

// attributePrefix stands before the names of extended attributes in the records of an archive. Everybody uses star's.
const attributePrefix = "SCHILY.xattr."

var types = map[uint32]byte{
	unix.S_IFREG: tar.TypeReg, unix.S_IFDIR: tar.TypeDir, unix.S_IFLNK: tar.TypeSymlink,
	unix.S_IFCHR: tar.TypeChar, unix.S_IFBLK: tar.TypeBlock, unix.S_IFIFO: tar.TypeFifo,
}

// Add writes a file, under the entry's name. Of one with several names in the archive, the second and further are hard
// links. A socket is left out: tar has no type for it, and it means nothing without its server.
func (a *Archive) Add(e Entry) error {
	kind, ok := types[e.Type()]
	if !ok {
		return nil
	}
	h := &tar.Header{
		Typeflag: kind, Name: e.Name, Mode: int64(e.Stat.Mode & 0o7777), Uid: int(e.Stat.Uid), Gid: int(e.Stat.Gid),
		ModTime: time.Unix(e.Stat.Mtim.Unix()), Format: tar.FormatPAX,
	}
	id := InodeOf(&e.Stat)
	if first, ok := a.links[id]; ok && kind != tar.TypeDir {
		h.Typeflag, h.Linkname = tar.TypeLink, first
		return a.write(h)
	}
	if e.Stat.Nlink > 1 {
		a.links[id] = e.Name
	}
	attributes, err := e.Attributes()
	if err != nil {
		return err
	}
	for name, value := range attributes {
		if h.PAXRecords == nil {
			h.PAXRecords = map[string]string{}
		}
		h.PAXRecords[attributePrefix+name] = value
	}
	switch kind {
	case tar.TypeReg:
		return a.file(h, &e)
	case tar.TypeDir:
		h.Name += "/"
	case tar.TypeSymlink:
		h.Linkname, err = e.Link()
	case tar.TypeChar, tar.TypeBlock:
		h.Devmajor, h.Devminor = int64(unix.Major(e.Stat.Rdev)), int64(unix.Minor(e.Stat.Rdev))
	}
	if err != nil {
		return err
	}
	return a.write(h)
}

// Empty writes an empty file that is nowhere, such as a whiteout.
func (a *Archive) Empty(name string, at time.Time) error {
	return a.write(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o600, ModTime: at, Format: tar.FormatPAX})
}

func (a *Archive) write(h *tar.Header) error {
	if err := a.tar.WriteHeader(h); err != nil {
		return fmt.Errorf("%s: %w", h.Name, err)
	}
	return nil
}

// file writes a regular file: as much as it has when it is opened, whether it grows or shrinks meanwhile.
func (a *Archive) file(h *tar.Header, e *Entry) error {
	file, err := e.open(unix.O_RDONLY)
	if errors.Is(err, unix.ENOENT) {
		return nil // it has just gone
	}
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return &os.PathError{Op: "read", Path: e.Name, Err: errors.New("another file has taken its place")}
	}
	h.Size = info.Size()
	if err := a.write(h); err != nil {
		return err
	}
	return copyHoles(a.tar, file, h.Size)
}

// Link is where a symbolic link leads.
func (e *Entry) Link() (string, error) {
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(e.Parent, e.Base, buf)
	if err != nil {
		return "", &os.PathError{Op: "readlink", Path: e.Name, Err: err}
	}
	return string(buf[:n]), nil
}
