//go:build linux

package image

import (
	"fmt"
	"slices"
	"strings"

	"github.com/simple-container/simple-container/final/internal/naming"
)

// noun is what an image is in errors about its name.
const noun = "image"

// IsNotFound tells whether an error says that there is no such image.
func IsNotFound(err error) bool { return naming.IsNotFound(err, noun) }

// Find returns the image that has a name (alpine, alpine:3, REPOSITORY@sha256:DIGEST), an id, or an id that
// begins so. Its error is a [*naming.NotFoundError] or [*naming.AmbiguousError] where there is none.
func (s *Store) Find(reference string) (*Image, error) {
	images, err := s.List()
	if err != nil {
		return nil, err
	}
	return FindIn(images, reference)
}

// FindIn is Find among images that were listed before.
func FindIn(images []*Image, reference string) (*Image, error) {
	img, err := lookup(images, reference)
	if err == nil && img.broken != nil {
		return nil, fmt.Errorf("image %s is damaged: %w "+
			"(pull or load it again, or remove it: final rmi -f %[1]s)", img.Name(), img.broken)
	}
	return img, err
}

// lookup is FindIn also for what is damaged.
func lookup(images []*Image, reference string) (*Image, error) {
	if full, err := FullName(reference); err == nil {
		for _, img := range images {
			if img.isCalled(full) {
				return img, nil
			}
		}
	}
	matching := slices.DeleteFunc(slices.Clone(images), func(img *Image) bool { return !img.hasID(reference) })
	switch len(matching) {
	case 1:
		return matching[0], nil
	case 0:
		return nil, &naming.NotFoundError{Kind: noun, Name: reference, Similar: nearest(images, reference)}
	}
	ambiguous := &naming.AmbiguousError{Kind: noun, Prefix: reference}
	for _, img := range matching {
		ambiguous.IDs = append(ambiguous.IDs, img.ID)
	}
	return nil, ambiguous
}

// isCalled tells whether a full name, with a tag or a digest, is the image's.
func (i *Image) isCalled(full string) bool {
	if slices.Contains(i.Names, full) || slices.Contains(i.Digests, full) {
		return true
	}
	// A digest may also be the manifest's, where the registry gave an index.
	repository, _, digest := SplitName(full)
	return digest != "" && digest == i.Digest && slices.ContainsFunc(i.Digests, func(known string) bool {
		other, _, _ := SplitName(known)
		return other == repository
	})
}

// hasID tells whether the image's id, or its manifest's digest in full, is what reference says.
func (i *Image) hasID(reference string) bool {
	digits, algorithm := strings.CutPrefix(reference, "sha256:")
	if digits == "" || strings.Trim(digits, "0123456789abcdef") != "" {
		return false
	}
	return strings.HasPrefix(i.ID, "sha256:"+digits) || algorithm && i.Digest == reference
}

// nearest returns the name among images that somebody may have meant.
func nearest(images []*Image, reference string) string {
	var candidates []string
	for _, img := range images {
		for _, full := range img.Names {
			short := ShortName(full)
			if repository, tag, _ := SplitName(short); tag != "" && repository == reference {
				return short // another tag of the same
			}
			candidates = append(candidates, short, strings.TrimSuffix(short, ":latest"))
		}
	}
	return naming.Similar(reference, candidates)
}
