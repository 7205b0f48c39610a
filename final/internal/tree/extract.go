//go:build linux

package tree

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// An Extraction says how an archive is read into a directory.
type Extraction struct {
	// Owners leaves files the owners that the archive says, counted from UID and GID on: 0 there is UID here. Without
	// it all belong to UID and GID, and no set-id bit or file capability comes along: it would be somebody else's.
	Owners   bool
	UID, GID int
}

// Extract reads an archive into the directory dir of the tree, and all of it. A file replaces what has its name, but a
// directory replaces nothing else, and nothing else a directory. Names that lead out of dir are refused; symbolic links
// on the way lead where the tree has them lead.
func (t *Tree) Extract(dir string, archive io.Reader, o Extraction) error {
	x := &extracting{Tree: t, dir: dir, o: o}
	entries := tar.NewReader(archive)
	for {
		h, err := entries.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("read archive: %w", err)
		}
		if err := x.entry(h, entries); err != nil {
			return fmt.Errorf("entry %q: %w", h.Name, err)
		}
	}
	if _, err := io.Copy(io.Discard, archive); err != nil {
		return fmt.Errorf("read archive: %w", err)
	}
	return x.setTimes()
}

// ExtractBelow is Extract into an open directory, in which no symbolic link is followed.
func ExtractBelow(dir *os.File, archive io.Reader, o Extraction) error {
	return below(dir).Extract(".", archive, o)
}

// extracting is an archive on its way into a tree.
type extracting struct {
	*Tree
	dir   string
	o     Extraction
	times []directoryTime // set last: whatever is made in a directory changes its time
}

type directoryTime struct {
	dir string
	at  unix.Timespec
}

func (x *extracting) entry(h *tar.Header, content io.Reader) error {
	if h.Typeflag == tar.TypeXGlobalHeader {
		return nil // a comment, such as git archive writes
	}
	name, err := x.inside(h.Name)
	if err != nil {
		return err
	}
	if name == x.dir {
		return nil // the directory itself stays as it is
	}
	parent, err := x.parent(path.Dir(name))
	if err != nil {
		return err
	}
	defer parent.Close()
	base := path.Base(name)
	if h.Typeflag == tar.TypeDir {
		return x.directory(parent, base, name, h)
	}
	return x.replace(parent, base, h, content)
}

// replace makes a file in the place of what is there. What is mounted there stays mounted: by unlink(2) it would go,
// since for the kernel only the mounts of our own namespace are in use.
func (x *extracting) replace(parent *os.File, base string, h *tar.Header, content io.Reader) error {
	mounted, err := isMountPoint(int(parent.Fd()), base)
	switch {
	case err != nil:
		return err
	case mounted && h.Typeflag == tar.TypeReg:
		return overwrite(parent, base, content)
	case mounted:
		return unix.EBUSY
	}
	err = unix.Unlinkat(int(parent.Fd()), base, 0)
	if errors.Is(err, unix.EISDIR) {
		return errors.New("a directory is there, which no file replaces")
	}
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return err
	}
	return x.make(parent, base, h, content)
}

// overwrite writes into a file that something is mounted on, as /etc/hosts is in a container: it stays the file that
// it is, with its owner.
func overwrite(parent *os.File, base string, content io.Reader) error {
	e, err := At(parent, base, base)
	if err != nil {
		return err
	}
	file, err := e.open(unix.O_WRONLY)
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = unix.EBUSY // a device, perhaps
	}
	if err == nil {
		err = file.Truncate(0)
	}
	if err == nil {
		_, err = io.Copy(file, content)
	}
	return errors.Join(err, file.Close())
}

// inside is the path of a name of the archive in the tree.
func (x *extracting) inside(name string) (string, error) {
	for part := range strings.SplitSeq(name, "/") {
		if part == ".." {
			return "", errors.New(`the name leads out of the archive: it has a ".."`)
		}
	}
	return path.Join(x.dir, name), nil
}

// parent opens a directory, making it and those above it where they are missing.
func (x *extracting) parent(dir string) (*os.File, error) {
	return x.Tree.MakeDirectory(dir, func(up *os.File, base string) error { return x.own(up, base, &tar.Header{}) })
}

func (x *extracting) directory(parent *os.File, base, name string, h *tar.Header) error {
	err := unix.Mkdirat(int(parent.Fd()), base, 0o700)
	if errors.Is(err, unix.EEXIST) {
		e, err := At(parent, base, name)
		if err == nil && e.Type() != unix.S_IFDIR {
			err = errors.New("a file is there, which no directory replaces")
		}
		return err // one that was there stays as it is
	}
	if err != nil {
		return err
	}
	if err := x.attributes(parent, base, h); err != nil {
		return err
	}
	x.times = append(x.times, directoryTime{name, ModTime(h)})
	return nil
}

// make creates an entry that is not a directory.
func (x *extracting) make(parent *os.File, base string, h *tar.Header, content io.Reader) (err error) {
	fd, mode := int(parent.Fd()), uint32(h.Mode&0o777)
	device := int(unix.Mkdev(uint32(h.Devmajor), uint32(h.Devminor)))
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeGNUSparse:
		err = writeFile(fd, base, content)
	case tar.TypeLink:
		return x.link(parent, base, h.Linkname) // the attributes are the first name's
	case tar.TypeSymlink:
		err = unix.Symlinkat(h.Linkname, fd, base)
	case tar.TypeChar:
		err = unix.Mknodat(fd, base, unix.S_IFCHR|mode, device)
	case tar.TypeBlock:
		err = unix.Mknodat(fd, base, unix.S_IFBLK|mode, device)
	case tar.TypeFifo:
		err = unix.Mknodat(fd, base, unix.S_IFIFO|mode, 0)
	default:
		err = fmt.Errorf("type %q is not known", h.Typeflag)
	}
	if err == nil {
		err = x.attributes(parent, base, h)
	}
	if err != nil {
		return err
	}
	at := ModTime(h)
	return unix.UtimesNanoAt(fd, base, []unix.Timespec{at, at}, unix.AT_SYMLINK_NOFOLLOW)
}

func writeFile(parent int, base string, content io.Reader) error {
	fd, err := unix.Openat(parent, base, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	file := NewHoleWriter(fd)
	if _, err := io.Copy(file, content); err != nil {
		return err
	}
	return file.End()
}

// link makes a hard link to an earlier entry of the archive.
func (x *extracting) link(parent *os.File, base, target string) error {
	name, err := x.inside(target)
	if err != nil {
		return err
	}
	from, err := x.Tree.Directory(path.Dir(name))
	if err != nil {
		return err
	}
	defer from.Close()
	return unix.Linkat(int(from.Fd()), path.Base(name), int(parent.Fd()), base, 0)
}

// attributes sets owner, mode and extended attributes, in this order: a change of owner clears the set-id bits and
// security.capability (chown(2), capabilities(7)).
func (x *extracting) attributes(parent *os.File, base string, h *tar.Header) error {
	if err := x.own(parent, base, h); err != nil {
		return err
	}
	mode := uint32(h.Mode & 0o7777)
	if !x.o.Owners {
		mode &^= unix.S_ISUID | unix.S_ISGID
	}
	if h.Typeflag != tar.TypeSymlink {
		if err := chmod(parent, base, mode); err != nil {
			return err
		}
	}
	for key, value := range h.PAXRecords {
		name, ok := strings.CutPrefix(key, attributePrefix)
		if !ok || isForeign(name) || name == "security.capability" && !x.o.Owners {
			continue
		}
		err := unix.Lsetxattr(Through(int(parent.Fd()), base), name, []byte(value), 0)
		if err != nil && !errors.Is(err, unix.ENOTSUP) {
			return fmt.Errorf("set attribute %s: %w", name, err)
		}
	}
	return nil
}

// own gives the file to its owner.
func (x *extracting) own(parent *os.File, base string, h *tar.Header) error {
	uid, gid := x.o.UID, x.o.GID
	if x.o.Owners {
		uid, gid = uid+h.Uid, gid+h.Gid
	}
	return unix.Fchownat(int(parent.Fd()), base, uid, gid, unix.AT_SYMLINK_NOFOLLOW)
}

// chmod sets the permissions of what is no symbolic link. fchmodat(2) follows one, which somebody may have put there
// meanwhile: so the file is held, and its permissions set through the descriptor.
func chmod(parent *os.File, base string, mode uint32) error {
	fd, err := unix.Openat(int(parent.Fd()), base, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT == unix.S_IFLNK {
		return errors.New("another file has taken its place")
	}
	return unix.Chmod(fmt.Sprintf("/proc/self/fd/%d", fd), mode)
}

// ModTime is when a file of an archive was changed.
func ModTime(h *tar.Header) unix.Timespec {
	at, err := unix.TimeToTimespec(h.ModTime)
	if err != nil {
		return unix.Timespec{} // a time that the kernel cannot hold
	}
	return at
}

func (x *extracting) setTimes() error {
	for _, t := range x.times {
		dir, err := x.Tree.Open(t.dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW)
		if err != nil {
			continue // a later entry, or somebody else, replaced it
		}
		err = unix.UtimesNanoAt(int(dir.Fd()), ".", []unix.Timespec{t.at, t.at}, 0)
		dir.Close()
		if err != nil {
			return &os.PathError{Op: "set times of", Path: t.dir, Err: err}
		}
	}
	return nil
}
