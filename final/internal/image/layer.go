//go:build linux

package image

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/tree"
)

// Layers returns the directories of an image's layers, the lowest first, as overlayfs takes them. Those that are
// not unpacked yet are.
func (s *Store) Layers(img *Image) ([]string, error) {
	unlock, err := s.lock(blobsLock, unix.LOCK_SH)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := s.unpackAll(context.Background(), &img.manifest, &img.Config); err != nil {
		return nil, fmt.Errorf("image %s: %w", img.Name(), err)
	}
	var dirs []string
	for _, diffID := range img.Config.RootFS.DiffIDs {
		dirs = append(dirs, s.layer(diffID))
	}
	return dirs, nil
}

// unpackAll unpacks an image's layers from their blobs, where that was not done before.
func (s *Store) unpackAll(ctx context.Context, manifest *v1.Manifest, config *v1.ConfigFile) error {
	var missing []int
	for i, diffID := range config.RootFS.DiffIDs {
		whole, err := s.isWhole(diffID)
		if err != nil {
			return err
		}
		if !whole {
			missing = append(missing, i)
		}
	}
	return parallel(ctx, len(missing), func(ctx context.Context, at int) error {
		i := missing[at]
		layer := manifest.Layers[i]
		if err := s.unpackBlob(ctx, layer, config.RootFS.DiffIDs[i]); err != nil {
			return fmt.Errorf("layer %d of %d (%s): %w", i+1, len(manifest.Layers), layer.Digest, err)
		}
		return nil
	})
}

func (s *Store) unpackBlob(ctx context.Context, layer v1.Descriptor, diffID v1.Hash) error {
	f, err := os.Open(s.blob(layer.Digest))
	if err != nil {
		return err
	}
	defer f.Close()
	return s.unpackLayer(ctx, f, layer.Size, diffID)
}

// unpackLayer unpacks a layer, of which size bytes come out of from, below its diff id. If somebody else is at the
// same layer, it waits for them.
func (s *Store) unpackLayer(ctx context.Context, from io.Reader, size int64, diffID v1.Hash) error {
	place, err := s.claimLayer(ctx, diffID)
	if err != nil || place == nil {
		return err
	}
	defer place.Close()
	m, err := unpackInto(place.Name()+"/layer", cancellable{ctx, from}, size, diffID)
	if err != nil {
		return errors.Join(err, tree.Remove(place.Name()))
	}
	if err := s.writeMark(diffID, m); err != nil {
		return err
	}
	if err := os.Rename(place.Name()+"/layer", s.layer(diffID)); err != nil {
		return err
	}
	return os.Remove(place.Name())
}

// claimLayer makes an empty directory to unpack a layer in, and locks it: the lock lasts as long as the directory
// is open. It returns nil if the layer is there already.
func (s *Store) claimLayer(ctx context.Context, diffID v1.Hash) (*os.File, error) {
	path := s.layers + "/partial/" + diffID.Hex
	place, err := claim(ctx, path, func() (*os.File, error) {
		if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
		return os.Open(path)
	})
	if err != nil {
		return nil, err
	}
	whole, err := s.isWhole(diffID)
	switch {
	case err != nil:
	case whole:
		err = os.Remove(path)
	default: // and what is there was left by one that was killed, or that was cut from its power
		err = errors.Join(tree.Remove(path+"/layer"), tree.Remove(s.layer(diffID)), os.Mkdir(path+"/layer", 0o700),
			os.Chmod(path+"/layer", 0o755)) // whatever the umask says
	}
	if whole || err != nil {
		place.Close()
		return nil, err
	}
	return place, nil
}

// claim opens a file or directory and locks it. As others rename or remove theirs once they are done, what was
// locked must still be what has the name.
func claim(ctx context.Context, path string, open func() (*os.File, error)) (*os.File, error) {
	missed := 0
	for wait := time.Millisecond; ; wait = min(2*wait, 100*time.Millisecond) {
		f, err := open()
		if errors.Is(err, fs.ErrNotExist) && missed < 1000 { // it went between two calls
			missed++
			continue
		}
		if err != nil {
			return nil, err
		}
		err = flock(f, unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			mine, mineErr := f.Stat()
			named, namedErr := os.Lstat(path)
			if mineErr == nil && namedErr == nil && os.SameFile(mine, named) {
				return f, nil
			}
		}
		f.Close()
		if err != nil && !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(wait):
		}
	}
}

// unpackInto unpacks a layer into a new directory, and checks that it is the one with that diff id: the digest of
// the plain archive.
func unpackInto(dir string, from io.Reader, size int64, diffID v1.Hash) (m mark, err error) {
	plain, err := decompress(from)
	if err != nil {
		return m, err
	}
	defer plain.Close()
	sum := sha256.New()
	u, err := newUnpacking(dir, limitFor(size))
	if err != nil {
		return m, err
	}
	defer u.close()
	u.overlay = true
	if err := u.untar(io.TeeReader(plain, sum)); err != nil {
		return m, err
	}
	if _, err := io.Copy(io.Discard, from); err != nil { // so that a bad end is noticed
		return m, err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != diffID.Hex {
		return m, fmt.Errorf("diff id is sha256:%s, the configuration says %s", got, diffID)
	}
	return count(dir)
}
