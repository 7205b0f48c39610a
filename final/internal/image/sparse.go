//go:build linux

package image

import (
	"archive/tar"
	"bytes"
	"strings"

	"golang.org/x/sys/unix"
)

// isSparse tells whether an archive has only the parts of a file that are not zero. The reader fills in the rest,
// which may be a terabyte of nothing: on the disk it must be nothing again.
func isSparse(header *tar.Header) bool {
	if header.Typeflag == tar.TypeGNUSparse {
		return true
	}
	for key := range header.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return true
		}
	}
	return false
}

var zeros [4096]byte

// writeAt writes a part of a file; with holes, blocks of zeros are left out.
func writeAt(fd int, part []byte, at int64, holes bool) error {
	for len(part) > 0 {
		n := len(part)
		if holes {
			n = min(n, len(zeros))
		}
		if !holes || !bytes.Equal(part[:n], zeros[:n]) {
			var err error
			n, err = unix.Pwrite(fd, part[:n], at)
			if err == unix.EINTR {
				continue
			}
			if err != nil {
				return err
			}
		}
		part, at = part[n:], at+int64(n)
	}
	return nil
}

// regular looks at a regular file: its size, and whether it has several names.
func regular(path string) (size int64, id inode, several bool, err error) {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return 0, id, false, wrap("stat", path, err)
	}
	return st.Size, inode{uint64(st.Dev), st.Ino}, st.Nlink > 1, nil
}
