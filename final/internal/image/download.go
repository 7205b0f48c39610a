//go:build linux

package image

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// A download is one blob on its way. It grows in a file named by its digest, from which the unpacking reads while
// it grows; one that was cut off, or its process killed, goes on where the file ends.
type download struct {
	blob v1.Descriptor
	file *os.File // locked: there is one download of a blob at a time
	sum  hash.Hash
	seen func(size int64) // is told of each piece, for the progress

	mu      sync.Mutex
	arrived sync.Cond
	size    int64
	resumed bool  // it began with what was there
	end     error // io.EOF once all is there
}

// openDownload waits until nobody else fetches the blob, and returns nil if it is there then.
func (s *Store) openDownload(ctx context.Context, blob v1.Descriptor, seen func(int64)) (*download, error) {
	path := s.images + "/partial/" + blob.Digest.Hex
	f, err := claim(ctx, path, func() (*os.File, error) { return os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) })
	if err != nil {
		return nil, err
	}
	if s.hasBlob(blob.Digest) {
		err := os.Remove(path)
		return nil, errors.Join(err, f.Close())
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, err
	}
	d := &download{blob: blob, file: f, sum: sha256.New(), seen: seen, resumed: info.Size() > 0}
	d.arrived.L = &d.mu
	return d, nil
}

// fetch gets what is missing of the blob and checks it all. Whatever happens, readers come to an end.
func (d *download) fetch(ctx context.Context, from *repository) (err error) {
	defer func() { d.finish(err) }()
	if err := d.resume(); err != nil {
		return err
	}
	rest := &transfer{ctx: ctx, from: from, blob: d.blob, at: d.size, mark: d.size}
	defer rest.close()
	if _, err := io.CopyBuffer(struct{ io.Writer }{d}, rest, make([]byte, 256<<10)); err != nil {
		return err
	}
	if got := hex.EncodeToString(d.sum.Sum(nil)); got != d.blob.Digest.Hex {
		err := fmt.Errorf("the content's digest is sha256:%s, not %s", got, d.blob.Digest)
		if d.resumed {
			err = errors.Join(errBadStart, err)
		}
		return errors.Join(err, os.Remove(d.file.Name()))
	}
	return nil
}

// errBadStart says that the part which was there before may be what was wrong.
var errBadStart = errors.New("the download began with a part of another one")

// resume takes in what an earlier download has left.
func (d *download) resume() error {
	info, err := d.file.Stat()
	if err != nil {
		return err
	}
	if info.Size() > d.blob.Size {
		return d.file.Truncate(0)
	}
	_, err = io.CopyBuffer(struct{ io.Writer }{d.sum}, struct{ io.Reader }{d.file}, make([]byte, 1<<20))
	d.grow(info.Size())
	return err
}

// Write takes in the next piece.
func (d *download) Write(p []byte) (int, error) {
	n, err := d.file.WriteAt(p, d.size)
	_, _ = d.sum.Write(p[:n]) // a hash takes everything
	d.grow(int64(n))
	return n, err
}

func (d *download) grow(n int64) {
	d.mu.Lock()
	d.size += n
	d.mu.Unlock()
	d.arrived.Broadcast()
	d.seen(d.size)
}

func (d *download) finish(err error) {
	if err == nil {
		err = io.EOF
	}
	d.mu.Lock()
	d.end = err
	d.mu.Unlock()
	d.arrived.Broadcast()
}

// keep makes the download a blob.
func (d *download) keep(s *Store) error {
	if err := d.file.Sync(); err != nil {
		return err
	}
	return os.Rename(d.file.Name(), s.blob(d.blob.Digest))
}

// reader reads the blob from its start, as it arrives.
func (d *download) reader() io.Reader { return &arriving{d, 0} }

type arriving struct {
	*download
	at int64
}

func (r *arriving) Read(p []byte) (int, error) {
	r.mu.Lock()
	for r.at == r.size && r.end == nil {
		r.arrived.Wait()
	}
	size, end := r.size, r.end
	r.mu.Unlock()
	if r.at == size {
		return 0, end
	}
	n, err := r.file.ReadAt(p[:min(int64(len(p)), size-r.at)], r.at)
	r.at += int64(n)
	return n, err
}
