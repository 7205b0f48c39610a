//go:build linux

package image

import (
	"archive/tar"
	"fmt"

	"github.com/docker/go-units"
)

// Bombs: a few kilobytes of gzip can hold a gigabyte of zeros, a tar header a hole of any size. An honest layer
// compresses to a tenth or, if all is text, a hundredth of its size.
const (
	mostEntries = 4 << 20
	freeSize    = 1 << 30 // below this nobody counts
	mostRatio   = 200
)

// holeCost is how much of a hole counts as much as a byte that is written: it costs no room, but the time of making zeros.
const holeCost = 64

// A limit is what a layer may still unpack to.
type limit struct {
	entries int
	size    int64
	whole   int64 // what size was
	holes   int64 // that have not been counted yet
}

// limitFor is for a layer of this size as it was transferred.
func limitFor(transferred int64) limit {
	size := freeSize + mostRatio*min(max(transferred, 0), 1<<40)
	return limit{entries: mostEntries, size: size, whole: size}
}

// take counts an entry, and refuses one that is too large even if there is nothing in it.
func (l *limit) take(header *tar.Header) error {
	if l.entries--; l.entries < 0 {
		return fmt.Errorf("more than %d entries: the archive is a bomb", mostEntries)
	}
	if header.Size < 0 || header.Size/holeCost > l.size {
		return l.exceeded(header.Size)
	}
	return nil
}

// spend counts what was written of a file, and what was left out of it because it is zeros.
func (l *limit) spend(written, hole int64) error {
	l.holes += hole
	l.size -= written + l.holes/holeCost
	l.holes %= holeCost
	if l.size < 0 {
		return l.exceeded(l.whole - l.size)
	}
	return nil
}

func (l *limit) exceeded(size int64) error {
	return fmt.Errorf("%s, where the archive's own size allows for %s in all: the archive is a bomb",
		units.BytesSize(float64(size)), units.BytesSize(float64(l.whole)))
}
