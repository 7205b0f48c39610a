//go:build linux

package image

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/tree"
)

// make creates an entry that is not a directory.
func (u *unpacking) make(parent int, base string, header *tar.Header, content io.Reader) error {
	mode := uint32(header.Mode & 0o7777)
	device := int(unix.Mkdev(uint32(header.Devmajor), uint32(header.Devminor)))
	switch header.Typeflag {
	case tar.TypeReg, tar.TypeGNUSparse:
		if err := u.writeFile(parent, base, header, content); err != nil {
			return err
		}
	case tar.TypeLink:
		// The attributes are the target's, which an earlier entry has set.
		return u.hardLink(parent, base, header.Linkname)
	case tar.TypeSymlink:
		// The target is text, and may be anything: it is resolved inside the target, here and in a container.
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
	at := tree.ModTime(header)
	return wrap("set times of", base, unix.UtimesNanoAt(parent, base, []unix.Timespec{at, at}, unix.AT_SYMLINK_NOFOLLOW))
}

func (u *unpacking) writeFile(parent int, base string, header *tar.Header, content io.Reader) (err error) {
	fd, err := unix.Openat(parent, base, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return wrap("create", base, err)
	}
	defer func() {
		if closed := unix.Close(fd); err == nil {
			err = wrap("close", base, closed)
		}
	}()
	file := tree.NewHoleWriter(fd)
	for left := header.Size; left > 0; {
		chunk := u.buffer[:min(int64(len(u.buffer)), left)]
		if _, err := io.ReadFull(content, chunk); err != nil {
			return fmt.Errorf("read archive: %w", err)
		}
		before := file.Written()
		if _, err := file.Write(chunk); err != nil {
			return wrap("write", base, err)
		}
		written := file.Written() - before
		if err := u.limit.spend(written, int64(len(chunk))-written); err != nil {
			return err
		}
		left -= int64(len(chunk))
	}
	return wrap("truncate", base, file.End())
}

// hardLink links to an earlier entry. The name may be absolute (some builders write it so) and means the
// target's root. Its parents are resolved inside that, and itself not followed: a link to a link is a link.
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
	_, mode, err := tree.InodeAt(from, path.Base(name))
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
		if u.overlay && isOverlays(name) {
			continue
		}
		err := unix.Lsetxattr(tree.Through(parent, base), name, []byte(value), 0)
		if errors.Is(err, unix.ENOTSUP) && name != "security.capability" {
			continue // a file system without them, or a name space that it does not have
		}
		if err != nil {
			return wrap("set attribute "+name+" of", base, err)
		}
	}
	return nil
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
