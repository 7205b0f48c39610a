//go:build linux

package image

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/sys/unix"
)

// The annotations of index.json's descriptors. A manifest with several names is there several times, as the
// OCI image specification has it (image-layout.md); without a name it is dangling.
const (
	nameAnnotation   = "org.opencontainers.image.ref.name" // in full
	digestAnnotation = "simple-container.repo-digest"      // repository@digest as the registry gave it, maybe an index's
	labAnnotation    = "simple-container.lab"              // the program that the lab was made of
	dockerAnnotation = "io.containerd.image.name"          // what Docker's archives have for the full name
)

// readIndex returns index.json's content, which is empty before the first image.
func (s *Store) readIndex() (*v1.IndexManifest, error) {
	path := s.images + "/index.json"
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return &v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: []v1.Descriptor{}}, nil
	}
	if err != nil {
		return nil, err
	}
	var index v1.IndexManifest
	if err := json.Unmarshal(content, &index); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &index, nil
}

// changeIndex lets change edit the index while nobody else does.
func (s *Store) changeIndex(change func(*v1.IndexManifest) error) error {
	unlock, err := s.lock(indexLock, unix.LOCK_EX)
	if err != nil {
		return err
	}
	defer unlock()
	index, err := s.readIndex()
	if err != nil {
		return err
	}
	if err := change(index); err != nil {
		return err
	}
	content, err := json.MarshalIndent(index, "", "  ")
	if err != nil {
		return err
	}
	return writeWhole(s.images+"/index.json", append(content, '\n'))
}

// addName gives a manifest a name, or with "" makes sure that it is there. Whoever had the name before stays
// without.
func addName(index *v1.IndexManifest, d v1.Descriptor, full string) {
	d.Annotations = copyAnnotations(d.Annotations)
	delete(d.Annotations, nameAnnotation)
	if full != "" {
		if old := named(index, full); old >= 0 {
			dropName(index, old)
		}
		d.Annotations[nameAnnotation] = full
	}
	// One that has no name gets this one: it is not dangling any more.
	same := func(o v1.Descriptor) bool { return o.Digest == d.Digest && o.Annotations[nameAnnotation] == "" }
	if nameless := slices.IndexFunc(index.Manifests, same); nameless >= 0 {
		index.Manifests[nameless] = d
		return
	}
	if full == "" && slices.ContainsFunc(index.Manifests, func(o v1.Descriptor) bool { return o.Digest == d.Digest }) {
		return
	}
	index.Manifests = append(index.Manifests, d)
}

// nameOf is a descriptor's name in full. Ours are; skopeo writes what it was told.
func nameOf(d v1.Descriptor) string {
	text := d.Annotations[nameAnnotation]
	if text == "" || strings.Contains(text, "/") {
		return text
	}
	full, err := FullName(text)
	if err != nil {
		return "" // it has none then
	}
	return full
}

// named is the position of the descriptor that has a name, or -1.
func named(index *v1.IndexManifest, full string) int {
	return slices.IndexFunc(index.Manifests, func(d v1.Descriptor) bool { return nameOf(d) == full })
}

// dropName takes the i-th descriptor's name away; the manifest stays.
func dropName(index *v1.IndexManifest, i int) {
	d := index.Manifests[i]
	d.Annotations = copyAnnotations(d.Annotations)
	delete(d.Annotations, nameAnnotation)
	delete(d.Annotations, labAnnotation)
	index.Manifests = slices.Delete(index.Manifests, i, i+1)
	if !slices.ContainsFunc(index.Manifests, func(o v1.Descriptor) bool { return o.Digest == d.Digest }) {
		index.Manifests = append(index.Manifests, d)
	}
}

func copyAnnotations(from map[string]string) map[string]string {
	copied := map[string]string{}
	for key, value := range from {
		copied[key] = value
	}
	return copied
}
