//go:build linux

package image

import (
	"archive/tar"
	"bufio"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/tree"
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

// untar applies a plain archive of a size that nobody knows, and reads it to its end.
func untar(dir string, plain io.Reader) error {
	u, err := newUnpacking(dir, limit{entries: mostEntries, size: 1 << 62, whole: 1 << 62})
	if err != nil {
		return err
	}
	defer u.close()
	return u.untar(plain)
}

// An unpacking is one layer on its way into a directory: one that holds the lower layers already, or the layer alone in
// the form that overlayfs puts on top of others.
type unpacking struct {
	*target
	overlay bool
	limit   limit
	// made holds what this layer made or touched, for whiteouts. In the overlay form that is all there is.
	made map[tree.Inode]bool
	// parents are directories that entries were put in, open, so that the next entry need not go the whole way.
	parents map[string]int
	stale   bool // one of them may not be where its name leads any more
	// times are set last: whatever is made in a directory changes its time.
	times  []directoryTime
	buffer []byte
}

type directoryTime struct {
	name string
	at   unix.Timespec
}

func newUnpacking(dir string, most limit) (*unpacking, error) {
	t, err := openTarget(dir)
	if err != nil {
		return nil, err
	}
	return &unpacking{
		target: t, limit: most, made: map[tree.Inode]bool{}, parents: map[string]int{}, buffer: make([]byte, 256<<10),
	}, nil
}

func (u *unpacking) close() {
	u.forget()
	u.target.close()
}

// untar applies a plain archive and reads it to its end.
func (u *unpacking) untar(plain io.Reader) error {
	plain = bufio.NewReaderSize(plain, 256<<10)
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
	if err := u.limit.take(header); err != nil {
		return err
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
	dir, base := path.Split(name)
	parent, err := u.parentOf(path.Clean("./" + dir))
	if err != nil {
		return err
	}
	if strings.HasPrefix(base, whiteout) {
		return u.whiteout(parent, base)
	}
	if header.Typeflag == tar.TypeDir {
		return u.directoryEntry(parent, base, name, header)
	}
	err = u.make(parent, base, header, content)
	if errors.Is(err, unix.EEXIST) {
		if err = u.clear(parent, base); err == nil {
			err = u.make(parent, base, header, content)
		}
	}
	if err != nil {
		return err
	}
	return u.note(parent, base)
}

// clear removes whatever is there: an entry is not written through a link or into an open file.
func (u *unpacking) clear(parent int, base string) error {
	_, mode, err := tree.InodeAt(parent, base)
	if err != nil {
		return wrap("stat", base, err)
	}
	u.stale = u.stale || mode&unix.S_IFMT != unix.S_IFREG
	return tree.RemoveAt(parent, base, func(tree.Inode) bool { return false })
}

// note remembers what this layer has made.
func (u *unpacking) note(parent int, base string) error {
	if u.overlay {
		return nil
	}
	id, _, err := tree.InodeAt(parent, base)
	u.made[id] = true
	return wrap("stat", base, err)
}

// mostParents is how many directories are kept open.
const mostParents = 128

// parentOf returns a directory of the target, made if it is missing. It stays the unpacking's.
func (u *unpacking) parentOf(dir string) (int, error) {
	if u.stale || len(u.parents) >= mostParents {
		u.forget()
	}
	if fd, ok := u.parents[dir]; ok {
		return fd, nil
	}
	fd, err := u.makeDirectories(dir)
	if err == nil {
		u.parents[dir] = fd
	}
	return fd, err
}

func (u *unpacking) forget() {
	for _, fd := range u.parents {
		_ = unix.Close(fd) // handles without data
	}
	clear(u.parents)
	u.stale = false
}

// makeDirectories opens a directory, and makes it and those above it where they are missing: layers may leave them
// out. The caller closes the descriptor.
func (u *unpacking) makeDirectories(dir string) (int, error) {
	fd, err := u.directory(dir)
	if err != unix.ENOENT && (err != unix.ENOTDIR || !u.overlay) {
		return fd, wrap("open", dir, err)
	}
	up, err := u.makeDirectories(path.Dir(dir))
	if err != nil {
		return -1, err
	}
	defer unix.Close(up)
	base := path.Base(dir)
	if u.overlay && isHidden(up, base) {
		err = reappear(up, base)
	} else {
		err = makeDirectory(up, base)
	}
	if err != nil {
		return -1, err
	}
	fd, err = u.directory(dir)
	return fd, wrap("open", dir, err)
}

func makeDirectory(parent int, base string) error {
	if err := unix.Mkdirat(parent, base, 0o755); err != nil {
		// EEXIST: a file, or a symbolic link to nowhere. What is below it has no place.
		return wrap("mkdir", base, err)
	}
	return wrap("chmod", base, unix.Fchmodat(parent, base, 0o755, 0)) // whatever the umask says
}

func (u *unpacking) directoryEntry(parent int, base, name string, header *tar.Header) error {
	err := error(unix.EEXIST)
	if base != "." {
		err = unix.Mkdirat(parent, base, 0o700)
	}
	if err == unix.EEXIST {
		err = u.becomeDirectory(parent, base)
	}
	if err != nil {
		return wrap("mkdir", base, err)
	}
	if err := u.attributes(parent, base, header); err != nil {
		return err
	}
	u.times = append(u.times, directoryTime{name, tree.ModTime(header)})
	return u.note(parent, base)
}

// becomeDirectory makes a directory of what is there. One that is a directory already keeps what it holds.
func (u *unpacking) becomeDirectory(parent int, base string) error {
	_, mode, err := tree.InodeAt(parent, base)
	if err != nil || mode&unix.S_IFMT == unix.S_IFDIR {
		return err
	}
	u.stale = true
	if u.overlay && isHidden(parent, base) {
		return reappear(parent, base)
	}
	if err := unix.Unlinkat(parent, base, 0); err != nil {
		return err
	}
	return unix.Mkdirat(parent, base, 0o700)
}
