//go:build linux

package cgroup

import (
	"os"

	"golang.org/x/sys/unix"
)

// A Keeper keeps files open that are read again and again, up to a number. Two hundred groups have some five
// thousand that are worth reading; more than it may keep are opened each time. It also has the one buffer
// that they are read into, so it is for one reader at a time.
type Keeper struct {
	Most int // files to keep; none if 0
	have int
	buf  []byte
}

// keeps tells whether one more file may stay open, and counts it.
func (k *Keeper) keeps() bool {
	if k.have >= k.Most {
		return false
	}
	k.have++
	return true
}

func (k *Keeper) close(fd int) {
	_ = unix.Close(fd) // it was only read
	k.have--
}

// ReadFrom reads a kernel file from its start, most of them in one call. The kernel writes them into a buffer of a
// page or more (seq_file, Documentation/filesystems/seq_file.rst), and a read returns what is in it: what is
// shorter than half a page is the end, since no line is that long.
func (k *Keeper) ReadFrom(fd int) ([]byte, error) {
	if k.buf == nil {
		k.buf = make([]byte, 4*os.Getpagesize())
	}
	for n := 0; ; {
		m, err := unix.Pread(fd, k.buf[n:], int64(n))
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, err
		}
		n += m
		if m < os.Getpagesize()/2 && n < len(k.buf) {
			return k.buf[:n], nil
		}
		if n == len(k.buf) {
			k.buf = append(k.buf, make([]byte, len(k.buf))...)
		}
	}
}
