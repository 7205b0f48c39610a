//go:build linux

package image

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sys/unix"
)

// keptFor is how long a download that was cut off may wait for its continuation.
const keptFor = 24 * time.Hour

// collect removes the blobs and layers that no image has. While somebody pulls it does nothing but leave a note,
// which whoever pulls last finds: nobody waits for a download to end.
func (s *Store) collect() error {
	unlock, err := s.lock(blobsLock, unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return os.WriteFile(s.garbageNote(), nil, 0o600)
	}
	if err != nil {
		return err
	}
	defer unlock()
	unlockIndex, err := s.lock(indexLock, unix.LOCK_EX)
	if err != nil {
		return err
	}
	defer unlockIndex()
	index, err := s.readIndex()
	if err != nil {
		return err
	}
	kept, err := s.reachable(index)
	if err != nil {
		return err
	}
	err = errors.Join(
		sweep(s.images+"/blobs/sha256", kept, 0), sweep(s.images+"/partial", nil, keptFor),
		sweep(s.layers+"/sha256", kept, 0), sweep(s.layers+"/marks", kept, 0), sweep(s.layers+"/partial", nil, 0),
	)
	if err == nil {
		_ = os.Remove(s.garbageNote()) // mostly there is none
	}
	return err
}

func (s *Store) garbageNote() string { return s.images + "/garbage" }

// collectIfDue collects what could not be while somebody pulled.
func (s *Store) collectIfDue() error {
	if _, err := os.Stat(s.garbageNote()); err != nil {
		return nil
	}
	return s.collect()
}

// reachable are the names in blobs and layers that the index leads to.
func (s *Store) reachable(index *v1.IndexManifest) (map[string]bool, error) {
	kept := map[string]bool{}
	for _, d := range index.Manifests {
		img, err := s.readImage(d)
		if err != nil {
			return nil, err
		}
		kept[d.Digest.Hex], kept[img.manifest.Config.Digest.Hex] = true, true
		for _, layer := range img.manifest.Layers {
			kept[layer.Digest.Hex] = true
		}
		for _, diffID := range img.Config.RootFS.DiffIDs {
			kept[diffID.Hex] = true
		}
	}
	return kept, nil
}

// sweep removes from a directory what is not kept, if it is old enough.
func sweep(dir string, kept map[string]bool, age time.Duration) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var errs []error
	for _, entry := range entries {
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) || kept[entry.Name()] {
			continue
		}
		// A download is named by its digest. Other files on their way have nobody who would go on.
		if err == nil && age > 0 && time.Since(info.ModTime()) < age && !strings.Contains(entry.Name(), "-") {
			continue
		}
		errs = append(errs, err, Remove(filepath.Join(dir, entry.Name())))
	}
	return errors.Join(errs...)
}
