//go:build linux

package image

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/naming"
)

// A Removed is what Remove did, in Docker's words.
type Removed struct {
	Untagged []string // names, in their short form
	Deleted  string   // the image's id, or "" if it is still there
}

// An InUseError says that containers were made of an image.
type InUseError struct {
	Image      string
	Containers []string
}

func (e *InUseError) Error() string {
	return fmt.Sprintf("image %s is used by container %s: remove it first (final rm), or force it"+
		" (rmi -f takes the names away)", e.Image, strings.Join(e.Containers, ", "))
}

// Tag gives an image one more name. Who had it before stays without.
func (s *Store) Tag(reference, newName string) error {
	full, err := FullName(newName)
	if err != nil {
		return err
	}
	if strings.Contains(full, "@") {
		return fmt.Errorf("image name %q: a digest is not given but computed", newName)
	}
	return s.changeIndex(func(index *v1.IndexManifest) error {
		img, err := FindIn(s.imagesOf(index), reference)
		if err != nil {
			return err
		}
		addName(index, img.descriptors[0], full)
		return nil
	})
}

// Remove takes a name away from its image; the last one, or the id, removes the image with the layers that no
// other has. By id, several names are only removed with force. What containers use stays: with force it is left
// without a name.
func (s *Store) Remove(reference string, force bool) (removed Removed, err error) {
	err = s.changeIndex(func(index *v1.IndexManifest) error {
		img, err := lookup(s.imagesOf(index), reference)
		if err != nil {
			return err
		}
		removed, err = s.remove(index, img, reference, force)
		return err
	})
	if err != nil || removed.Deleted == "" {
		return removed, err
	}
	return removed, s.collect()
}

func (s *Store) remove(index *v1.IndexManifest, img *Image, reference string, force bool) (removed Removed, err error) {
	names := img.Names
	if full, err := FullName(reference); err == nil && slices.Contains(img.Names, full) {
		names = []string{full}
	} else if len(names) > 1 && !force {
		return removed, fmt.Errorf("image %s has several names: %s: name one, or force it",
			Short(img.ID), strings.Join(shortNames(names), ", "))
	}
	if img.broken != nil && !force {
		return removed, fmt.Errorf("image %s is damaged, and whether containers use it is not known: force it (rmi -f)",
			img.Name())
	}
	users, err := s.users(img.ID)
	if err != nil {
		return removed, err
	}
	last := len(names) == len(img.Names)
	if last && len(users) > 0 && !(force && len(names) > 0) {
		return removed, &InUseError{Image: img.Name(), Containers: users}
	}
	for _, full := range names {
		dropName(index, named(index, full))
		removed.Untagged = append(removed.Untagged, ShortName(full))
	}
	if !last || len(users) > 0 {
		return removed, nil
	}
	ours := func(d v1.Descriptor) bool {
		return slices.ContainsFunc(img.descriptors, func(o v1.Descriptor) bool { return o.Digest == d.Digest })
	}
	index.Manifests = slices.DeleteFunc(index.Manifests, ours)
	removed.Deleted = img.ID
	return removed, nil
}

func (s *Store) users(id string) ([]string, error) {
	if s.Users == nil {
		return nil, nil
	}
	return s.Users(id)
}

func shortNames(full []string) (short []string) {
	for _, name := range full {
		short = append(short, ShortName(name))
	}
	return short
}

// Use calls record, which makes a container of the image known to [Store.Users], while nobody can remove the image.
// If somebody has, since it was found, that is a [*naming.NotFoundError].
func (s *Store) Use(img *Image, record func() error) error {
	unlock, err := s.lock(indexLock, unix.LOCK_SH)
	if err != nil {
		return err
	}
	defer unlock()
	if _, err := s.Find(img.ID); err != nil {
		return err
	}
	for _, diffID := range img.Config.RootFS.DiffIDs {
		if whole, err := s.isWhole(diffID); err != nil || !whole {
			return errors.Join(err, &naming.NotFoundError{Kind: noun, Name: img.Name()})
		}
	}
	return record()
}
