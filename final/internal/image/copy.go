//go:build linux

package image

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Copy copies the directory from with all attributes into the directory dir. It stays on from's file system: of
// what is mounted below, only the mount points are copied.
func Copy(from, dir string) error {
	archive, wait := streamTree(from)
	err := Unpack(dir, archive)
	if err := errors.Join(err, wait(err)); err != nil {
		return fmt.Errorf("copy %s: %w", from, err)
	}
	return nil
}

// streamTree streams a directory as an archive. wait returns the writer's error once the reader has ended.
func streamTree(dir string) (archive io.Reader, wait func(reading error) error) {
	r, w := io.Pipe()
	failed := make(chan error, 1)
	go func() {
		err := archiveTree(w, dir)
		_ = w.CloseWithError(err) // nil means the end; it returns nil always
		failed <- err
	}()
	return r, func(reading error) error {
		_ = r.CloseWithError(errors.Join(reading, io.ErrClosedPipe)) // so that the writer ends if the reader has
		if err := <-failed; reading == nil {
			return err
		}
		return nil
	}
}

// archiveTree writes a directory as a tar archive.
func archiveTree(w io.Writer, from string) error {
	archive := tar.NewWriter(w)
	links := map[inode]string{}
	var device uint64
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := os.Lstat(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		st := info.Sys().(*syscall.Stat_t)
		if name == "." {
			device = uint64(st.Dev)
		}
		if err := archiveEntry(archive, path, name, info, links); err != nil {
			return err
		}
		if d.IsDir() && uint64(st.Dev) != device {
			return fs.SkipDir
		}
		return nil
	})
	return errors.Join(err, archive.Close())
}

func archiveEntry(archive *tar.Writer, path, name string, info fs.FileInfo, links map[inode]string) error {
	if info.Mode()&fs.ModeSocket != 0 {
		return nil // tar has no type for it, and it means nothing without its server
	}
	target := ""
	if info.Mode()&fs.ModeSymlink != 0 {
		var err error
		if target, err = os.Readlink(path); err != nil {
			return err
		}
	}
	header, err := tar.FileInfoHeader(info, target)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	header.Name, header.Format = name, tar.FormatPAX
	header.Uname, header.Gname = "", "" // the host's names
	st := info.Sys().(*syscall.Stat_t)
	id := inode{uint64(st.Dev), st.Ino}
	if first, ok := links[id]; ok && !info.IsDir() {
		header.Typeflag, header.Linkname, header.Size = tar.TypeLink, first, 0
		return archive.WriteHeader(header)
	}
	if st.Nlink > 1 {
		links[id] = name
	}
	if header.PAXRecords, err = readAttributes(path); err != nil {
		return err
	}
	if err := archive.WriteHeader(header); err != nil || header.Typeflag != tar.TypeReg {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	// Not more than the header says: a log may have grown.
	_, err = io.CopyN(archive, f, header.Size)
	return err
}

// readAttributes returns a file's extended attributes as tar records.
func readAttributes(path string) (map[string]string, error) {
	size, err := unix.Llistxattr(path, nil)
	if errors.Is(err, unix.ENOTSUP) || err == nil && size == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, wrap("list attributes of", path, err)
	}
	list := make([]byte, size)
	if size, err = unix.Llistxattr(path, list); err != nil {
		return nil, wrap("list attributes of", path, err)
	}
	records := map[string]string{}
	for name := range strings.SplitSeq(strings.TrimRight(string(list[:size]), "\x00"), "\x00") {
		value := make([]byte, 64<<10) // the kernel's limit (xattr(7))
		n, err := unix.Lgetxattr(path, name, value)
		if err != nil {
			return nil, wrap("get attribute "+name+" of", path, err)
		}
		records["SCHILY.xattr."+name] = string(value[:n])
	}
	return records, nil
}
