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

// A limit is what a layer may still unpack to.
type limit struct {
	entries int
	size    int64
	whole   int64 // what size was
}

// limitFor is for a layer of this size as it was transferred.
func limitFor(transferred int64) limit {
	size := freeSize + mostRatio*min(max(transferred, 0), 1<<40)
	return limit{entries: mostEntries, size: size, whole: size}
}

// take counts an entry.
func (l *limit) take(header *tar.Header) error {
	if l.entries--; l.entries < 0 {
		return fmt.Errorf("more than %d entries: the archive is a bomb", mostEntries)
	}
	if header.Size < 0 || header.Size > l.size {
		return fmt.Errorf("%s, where the archive's own size allows for %s in all: the archive is a bomb",
			units.BytesSize(float64(header.Size)), units.BytesSize(float64(l.whole)))
	}
	l.size -= header.Size
	return nil
}
