//go:build linux

package tree

import (
	"bytes"
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// What nobody has written of a file is a hole: it reads as zeros, and takes no room on the disk. A tar archive has the
// zeros: there are formats that leave them out, but not everybody reads them, and the digest of a layer is that of the
// plain one. So an empty database of 10 GB is 10 GB on its way, and must be nothing again where it arrives.

// A HoleWriter writes a new file from its beginning on, and leaves holes where there would be nothing but zeros.
type HoleWriter struct {
	fd      int
	size    int64
	end     int64 // of what was written last
	written int64
}

// NewHoleWriter is for a file that is open for writing, and empty.
func NewHoleWriter(fd int) *HoleWriter { return &HoleWriter{fd: fd} }

// Written is how much of the file is not in holes.
func (w *HoleWriter) Written() int64 { return w.written }

// A hole is a piece of the file, so that there are not too many of them, or what one call has of it if that is no less
// than a block of a disk.
const (
	piece = 64 << 10
	block = 4 << 10
)

// split returns what p has of the first piece, and whether that is a hole.
func (w *HoleWriter) split(p []byte, at int64) (n int, hole bool) {
	n = min(len(p), piece-int(at%piece))
	return n, n >= block && bytes.Equal(p[:n], nothing[:n])
}

var nothing [piece]byte

func (w *HoleWriter) Write(p []byte) (done int, err error) {
	for done < len(p) {
		n, hole := w.split(p[done:], w.size)
		if hole {
			done, w.size = done+n, w.size+int64(n)
			continue
		}
		for done+n < len(p) { // in one call as much as there is
			more, hole := w.split(p[done+n:], w.size+int64(n))
			if hole {
				break
			}
			n += more
		}
		n, err = unix.Pwrite(w.fd, p[done:done+n], w.size)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return done, os.NewSyscallError("pwrite", err)
		}
		done, w.size, w.written = done+n, w.size+int64(n), w.written+int64(n)
		w.end = w.size
	}
	return done, nil
}

// End gives the file its size: the last hole has no byte behind it.
func (w *HoleWriter) End() error {
	if w.end == w.size {
		return nil
	}
	return os.NewSyscallError("ftruncate", unix.Ftruncate(w.fd, w.size))
}

// copyHoles copies size bytes of a file, without reading its holes (SEEK_DATA, lseek(2)). A file that has become shorter
// ends with zeros, as if it had been cut and grown.
func copyHoles(to io.Writer, file *os.File, size int64) error {
	for at := int64(0); at < size; {
		data, end := nextData(file, at, size)
		if _, err := io.CopyN(to, zeros{}, data-at); err != nil {
			return err
		}
		n, err := io.Copy(to, io.NewSectionReader(file, data, end-data))
		if err == nil && n < end-data {
			_, err = io.CopyN(to, zeros{}, end-data-n)
		}
		if err != nil {
			return err
		}
		at = end
	}
	return nil
}

// nextData finds the next part of a file that is no hole. Without holes, or where a file system tells of none, it is all.
func nextData(file *os.File, at, size int64) (data, end int64) {
	data, err := file.Seek(at, unix.SEEK_DATA)
	if errors.Is(err, unix.ENXIO) {
		return size, size // a hole to the end
	}
	if err != nil {
		return at, size
	}
	end, err = file.Seek(data, unix.SEEK_HOLE)
	if err != nil || end <= data {
		end = size
	}
	return min(data, size), min(end, size)
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }
