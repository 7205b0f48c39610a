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

	"github.com/simple-container/simple-container/final/internal/tree"
)

// keptFor is how long a download that was cut off may wait for its continuation.
const keptFor = 24 * time.Hour

// Clean removes what killed pulls have left, with the blobs and layers that no image has, and reports each; for a dry
// run it only reports. While somebody pulls it does nothing.
func (s *Store) Clean(dryRun bool, report func(kind, name string)) error {
	return s.collectWith(collection{dryRun, report})
}

// collect is Clean that nobody watches.
func (s *Store) collect() error {
	return s.collectWith(collection{report: func(string, string) {}})
}

// collectWith does not wait until a pull has ended, but leaves a note, which whoever pulls last finds.
func (s *Store) collectWith(c collection) error {
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
	err = errors.Join(
		c.sweep("download", s.images+"/partial", nil, keptFor), c.sweep("half-made layer", s.layers+"/partial", nil, 0),
	)
	if kept, known := s.reachable(index); known {
		err = errors.Join(err, c.sweep("blob", s.images+"/blobs/sha256", kept, 0),
			c.sweep("layer", s.layers+"/sha256", kept, 0), c.sweep("layer's mark", s.layers+"/marks", kept, 0))
	}
	if err == nil && !c.dryRun {
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

// reachable are the names in blobs and layers that the index leads to. What a damaged image has is not known: as long
// as there is one, nothing is garbage.
func (s *Store) reachable(index *v1.IndexManifest) (kept map[string]bool, known bool) {
	kept = map[string]bool{}
	for _, d := range index.Manifests {
		kept[d.Digest.Hex] = true
		img, err := s.readImage(d)
		if err != nil {
			return nil, false
		}
		kept[img.manifest.Config.Digest.Hex] = true
		for _, layer := range img.manifest.Layers {
			kept[layer.Digest.Hex] = true
		}
		for _, diffID := range img.Config.RootFS.DiffIDs {
			kept[diffID.Hex] = true
		}
	}
	return kept, true
}

// A collection is one round of collecting garbage.
type collection struct {
	dryRun bool
	report func(kind, name string)
}

// sweep removes from a directory what is not kept, if it is old enough.
func (c collection) sweep(kind, dir string, kept map[string]bool, age time.Duration) error {
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
		c.report(kind, entry.Name())
		if !c.dryRun {
			errs = append(errs, err, tree.Remove(filepath.Join(dir, entry.Name())))
		}
	}
	return errors.Join(errs...)
}
