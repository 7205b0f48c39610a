//go:build linux

package image

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// An Image is what a store knows of one.
type Image struct {
	ID      string   // "sha256:HEX", the configuration's digest
	Digest  string   // "sha256:HEX", the manifest's
	Names   []string // in full, with their tags; none: it is dangling
	Digests []string // "REPOSITORY@sha256:HEX", as registries know it
	Size    int64    // of its files, unpacked
	Config  v1.ConfigFile

	manifest    v1.Manifest
	descriptors []v1.Descriptor // those of the index that stand for it
	broken      error           // why it cannot be read
}

// Short is an id as people see it: its first twelve digits.
func Short(id string) string {
	digits := strings.TrimPrefix(id, "sha256:")
	return digits[:min(12, len(digits))]
}

// Name is the image's first name in its short form, or its short id.
func (i *Image) Name() string {
	if len(i.Names) > 0 {
		return ShortName(i.Names[0])
	}
	return Short(i.ID)
}

// PulledDigest is the digest that a registry gave for one of the image's names: that of an index, if there was one.
func (i *Image) PulledDigest(full string) string {
	repository, _, _ := SplitName(full)
	for _, known := range i.Digests {
		if other, _, digest := SplitName(known); other == repository {
			return digest
		}
	}
	return ""
}

// List returns all images, the newest first.
func (s *Store) List() ([]*Image, error) {
	index, err := s.readIndex()
	if err != nil {
		return nil, err
	}
	return s.imagesOf(index), nil
}

func (s *Store) imagesOf(index *v1.IndexManifest) []*Image {
	var images []*Image
	byID := map[string]*Image{}
	for _, d := range index.Manifests {
		if d.MediaType.IsIndex() {
			continue // which others may have put there; here are single images
		}
		img, err := s.readImage(d)
		if err != nil { // it must not be in the way of the others, and can be removed
			img = &Image{ID: d.Digest.String(), Digest: d.Digest.String(), broken: err}
		}
		if known, ok := byID[img.ID]; ok {
			known.add(d)
			continue
		}
		img.add(d)
		byID[img.ID] = img
		images = append(images, img)
	}
	slices.SortStableFunc(images, func(a, b *Image) int { return b.Config.Created.Compare(a.Config.Created.Time) })
	return images
}

// add adds what a descriptor says of the image.
func (i *Image) add(d v1.Descriptor) {
	i.descriptors = append(i.descriptors, d)
	if name := nameOf(d); name != "" && !strings.Contains(name, "@") {
		i.Names = append(i.Names, name)
	}
	if digest := d.Annotations[digestAnnotation]; digest != "" && !slices.Contains(i.Digests, digest) {
		i.Digests = append(i.Digests, digest)
	}
}

// readImage reads what a descriptor stands for.
func (s *Store) readImage(d v1.Descriptor) (*Image, error) {
	content, err := s.readBlob(d.Digest)
	if err != nil {
		return nil, fmt.Errorf("manifest %s: %w", d.Digest, err)
	}
	manifest, err := v1.ParseManifest(bytes.NewReader(content))
	if err != nil {
		return nil, fmt.Errorf("manifest %s: %w", d.Digest, err)
	}
	config, err := s.readConfig(manifest)
	if err != nil {
		return nil, fmt.Errorf("image %s: %w", Short(manifest.Config.Digest.String()), err)
	}
	img := &Image{ID: manifest.Config.Digest.String(), Digest: d.Digest.String(), Config: *config, manifest: *manifest}
	for i, diffID := range config.RootFS.DiffIDs {
		if m, err := s.readMark(diffID); err == nil {
			img.Size += m.Size
		} else {
			img.Size += manifest.Layers[i].Size
		}
	}
	return img, nil
}

func (s *Store) readConfig(manifest *v1.Manifest) (*v1.ConfigFile, error) {
	content, err := s.readBlob(manifest.Config.Digest)
	if err != nil {
		return nil, err
	}
	return parseConfig(content, manifest)
}

// parseConfig reads a configuration, and holds it against the manifest.
func parseConfig(content []byte, manifest *v1.Manifest) (*v1.ConfigFile, error) {
	config, err := v1.ParseConfigFile(bytes.NewReader(content))
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	if len(config.RootFS.DiffIDs) != len(manifest.Layers) {
		return nil, fmt.Errorf("the configuration names %d layers, the manifest %d",
			len(config.RootFS.DiffIDs), len(manifest.Layers))
	}
	for _, digest := range config.RootFS.DiffIDs {
		if digest.Algorithm != "sha256" {
			return nil, fmt.Errorf("diff id %s: only sha256 is known", digest)
		}
	}
	return config, nil
}
