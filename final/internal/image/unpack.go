//go:build linux

package image

import (
	"archive/tar"
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strconv"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"
)

// Unpack applies one layer, a tar archive, plain or compressed with gzip or zstd, to the directory dir, as the
// OCI image specification has it (layer.md): entries replace what lower layers put there, ".wh.NAME" removes
// NAME, ".wh..wh..opq" empties a directory of what lower layers put there. The layer is read to its end.
//
// An entry that does not belong into dir fails the whole, with its name in the error; whatever the archive holds,
// nothing outside of dir is touched.
func Unpack(dir string, layer io.Reader) error {
	plain, err := decompress(layer)
	if err != nil {
		return err
	}
	defer plain.Close()
	if err := untar(dir, plain); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, layer); err != nil {
		return fmt.Errorf("read layer: %w", err)
	}
	return nil
}

// decompress recognises the format by its first bytes: media types are often wrong.
func decompress(layer io.Reader) (io.ReadCloser, error) {
	buffered := bufio.NewReaderSize(layer, 64<<10)
	magic, _ := buffered.Peek(4) // a shorter file is not compressed, and no archive either
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		r, err := gzip.NewReader(buffered)
		if err != nil {
			return nil, fmt.Errorf("gzip: %w", err)
		}
		return r, nil
	case bytes.Equal(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		r, err := zstd.NewReader(buffered, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(1<<30))
		if err != nil {
			return nil, fmt.Errorf("zstd: %w", err)
		}
		return r.IOReadCloser(), nil
	}
	return io.NopCloser(buffered), nil
}

const (
	whiteout       = ".wh."
	whiteoutMeta   = ".wh..wh."
	whiteoutOpaque = ".wh..wh..opq"
)

// An unpacking is one layer on its way into a tree.
type unpacking struct {
	*tree
	// made holds what this layer made or touched: whiteouts are for the layers below.
	made map[inode]bool
	// times are set last: whatever is made in a directory changes its time.
	times []directoryTime
}

type directoryTime struct {
	name string
	at   unix.Timespec
}

// untar applies a plain archive and reads it to its end.
func untar(dir string, plain io.Reader) error {
	t, err := openTree(dir)
	if err != nil {
		return err
	}
	defer t.close()
	u := &unpacking{tree: t, made: map[inode]bool{}}
	archive := tar.NewReader(plain)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("read archive: %w", err)
		}
		if err := u.entry(header, archive); err != nil {
			return fmt.Errorf("entry %q: %w", header.Name, err)
		}
	}
	// The tar format ends before the file does. What follows counts for the digests.
	if _, err := io.Copy(io.Discard, plain); err != nil {
		return fmt.Errorf("read archive: %w", err)
	}
	return u.setTimes()
}

func (u *unpacking) entry(header *tar.Header, content io.Reader) error {
	if header.Typeflag == tar.TypeXGlobalHeader {
		return nil // a comment, such as git archive writes
	}
	name, err := clean(header.Name)
	if err != nil {
		return err
	}
	if name == "." {
		if header.Typeflag != tar.TypeDir {
			return errors.New("the root is not a directory")
		}
		return u.directoryEntry(u.root, ".", name, header)
	}
	parent, base, err := u.parent(name)
	if err != nil {
		return err
	}
	defer unix.Close(parent)
	if strings.HasPrefix(base, whiteout) {
		return u.whiteout(parent, base)
	}
	if header.Typeflag == tar.TypeDir {
		return u.directoryEntry(parent, base, name, header)
	}
	// Whatever is there goes: an entry is not written through a link or into an open file.
	if err := u.remove(parent, base, func(inode) bool { return false }); err != nil {
		return err
	}
	if err := u.make(parent, base, header, content); err != nil {
		return err
	}
	id, _, err := inodeAt(parent, base)
	u.made[id] = true
	return wrap("stat", base, err)
}

// whiteout removes what lower layers left.
func (u *unpacking) whiteout(parent int, base string) error {
	lower := func(id inode) bool { return u.made[id] }
	switch {
	case base == whiteoutOpaque:
		return u.removeBelow(parent, ".", lower)
	case strings.HasPrefix(base, whiteoutMeta):
		return nil // other marks of aufs, which mean nothing here
	}
	hidden := strings.TrimPrefix(base, whiteout)
	if hidden == "" || hidden == "." || hidden == ".." {
		return errHostile
	}
	return u.remove(parent, hidden, lower)
}

func (u *unpacking) directoryEntry(parent int, base, name string, header *tar.Header) error {
	_, mode, err := inodeAt(parent, base)
	if err == nil && mode&unix.S_IFMT != unix.S_IFDIR {
		if err := wrap("unlink", base, unix.Unlinkat(parent, base, 0)); err != nil {
			return err
		}
		err = unix.ENOENT
	}
	if err == unix.ENOENT {
		err = unix.Mkdirat(parent, base, 0o700)
	}
	if err != nil {
		return wrap("mkdir", base, err)
	}
	if err := u.attributes(parent, base, header); err != nil {
		return err
	}
	id, _, err := inodeAt(parent, base)
	u.made[id] = true
	u.times = append(u.times, directoryTime{name, modTime(header)})
	return wrap("stat", base, err)
}

// make creates an entry that is not a directory.
func (u *unpacking) make(parent int, base string, header *tar.Header, content io.Reader) error {
	mode := uint32(header.Mode & 0o7777)
	device := int(unix.Mkdev(uint32(header.Devmajor), uint32(header.Devminor)))
	switch header.Typeflag {
	case tar.TypeReg, tar.TypeGNUSparse:
		if err := writeFile(parent, base, content); err != nil {
			return err
		}
	case tar.TypeLink:
		// The attributes are the target's, which an earlier entry has set.
		return u.hardLink(parent, base, header.Linkname)
	case tar.TypeSymlink:
		// The target is text, and may be anything: it is resolved inside the tree, here and in a container.
		if err := unix.Symlinkat(header.Linkname, parent, base); err != nil {
			return wrap("symlink", base, err)
		}
	case tar.TypeChar:
		if err := unix.Mknodat(parent, base, unix.S_IFCHR|mode, device); err != nil {
			return wrap("mknod", base, err)
		}
	case tar.TypeBlock:
		if err := unix.Mknodat(parent, base, unix.S_IFBLK|mode, device); err != nil {
			return wrap("mknod", base, err)
		}
	case tar.TypeFifo:
		if err := unix.Mknodat(parent, base, unix.S_IFIFO|mode, 0); err != nil {
			return wrap("mkfifo", base, err)
		}
	default:
		return fmt.Errorf("type %q is not known", header.Typeflag)
	}
	if err := u.attributes(parent, base, header); err != nil {
		return err
	}
	at := modTime(header)
	return wrap("set times of", base, unix.UtimesNanoAt(parent, base, []unix.Timespec{at, at}, unix.AT_SYMLINK_NOFOLLOW))
}

func writeFile(parent int, base string, content io.Reader) error {
	fd, err := unix.Openat(parent, base, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return wrap("create", base, err)
	}
	f := os.NewFile(uintptr(fd), base)
	_, err = io.Copy(f, content)
	return errors.Join(err, f.Close())
}

// hardLink links to an earlier entry. The name may be absolute (some builders write it so) and means the tree's
// root. Its parents are resolved inside the tree, and itself not followed: a link to a link is a link.
func (u *unpacking) hardLink(parent int, base, target string) error {
	name, err := clean(strings.TrimLeft(target, "/"))
	if err != nil {
		return fmt.Errorf("link to %q: %w", target, err)
	}
	from, err := u.directory(path.Dir(name))
	if err != nil {
		return wrap("link to", target, err)
	}
	defer unix.Close(from)
	_, mode, err := inodeAt(from, path.Base(name))
	if err == nil && mode&unix.S_IFMT == unix.S_IFDIR {
		err = unix.EISDIR
	}
	if err == nil {
		err = unix.Linkat(from, path.Base(name), parent, base, 0)
	}
	return wrap("link to", target, err)
}

// attributes sets owner, mode and extended attributes, in this order: a change of owner clears the set-id bits
// and security.capability (chown(2), capabilities(7)).
func (u *unpacking) attributes(parent int, base string, header *tar.Header) error {
	if err := unix.Fchownat(parent, base, header.Uid, header.Gid, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return wrap(fmt.Sprintf("chown %d:%d", header.Uid, header.Gid), base, err)
	}
	if header.Typeflag != tar.TypeSymlink {
		// base is no link: it was made just now, or found to be a directory.
		if err := unix.Fchmodat(parent, base, uint32(header.Mode&0o7777), 0); err != nil {
			return wrap(fmt.Sprintf("chmod %o", header.Mode&0o7777), base, err)
		}
	}
	for key, value := range header.PAXRecords {
		name, ok := strings.CutPrefix(key, "SCHILY.xattr.")
		if !ok {
			continue
		}
		// There is no setxattrat before Linux 6.13; the magic link stands for the directory that is open.
		at := "/proc/self/fd/" + strconv.Itoa(parent) + "/" + base
		err := unix.Lsetxattr(at, name, []byte(value), 0)
		if errors.Is(err, unix.ENOTSUP) && name != "security.capability" {
			continue // a file system without them, or a name space that it does not have
		}
		if err != nil {
			return wrap("set attribute "+name+" of", base, err)
		}
	}
	return nil
}

func modTime(header *tar.Header) unix.Timespec {
	at, err := unix.TimeToTimespec(header.ModTime)
	if err != nil {
		return unix.Timespec{} // a time that the kernel cannot hold
	}
	return at
}

func (u *unpacking) setTimes() error {
	for _, t := range u.times {
		fd, err := u.open(t.name, unix.O_RDONLY|unix.O_DIRECTORY)
		if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
			continue // a later entry replaced it
		}
		if err != nil {
			return wrap("open", t.name, err)
		}
		err = unix.UtimesNanoAt(fd, ".", []unix.Timespec{t.at, t.at}, 0)
		_ = unix.Close(fd) // it was opened for reading
		if err != nil {
			return wrap("set times of", t.name, err)
		}
	}
	return nil
}
