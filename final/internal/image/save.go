//go:build linux

package image

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/tree"
)

// Formats of [Store.Save].
const (
	DockerArchive = "docker-archive" // as docker save writes it, which is an OCI layout as well
	OCIArchive    = "oci-archive"
	OCIDir        = "oci-dir"
)

// dockerManifest is an entry of manifest.json, by which Docker and Podman find an archive's images.
//
//	[{"Config": "blobs/sha256/HEX", "RepoTags": ["alpine:latest"], "Layers": ["blobs/sha256/HEX"]}]
type dockerManifest struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// Save writes images, by their names or ids, as an archive: [DockerArchive] or [OCIArchive].
func (s *Store) Save(w io.Writer, format string, references ...string) error {
	archive := tar.NewWriter(w)
	add := func(name string, size int64, content io.Reader) error {
		header := &tar.Header{Name: name, Size: size, Mode: 0o644, Typeflag: tar.TypeReg, ModTime: labTime}
		if err := archive.WriteHeader(header); err != nil {
			return err
		}
		_, err := io.CopyBuffer(struct{ io.Writer }{archive}, content, make([]byte, 1<<20))
		return err
	}
	if err := s.save(add, format, references); err != nil {
		return err // and no end of the archive: a part is not to be taken for the whole
	}
	return archive.Close()
}

// SaveDir writes images as an OCI image layout into a directory, which is made, or is empty.
func (s *Store) SaveDir(dir string, references ...string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	if len(entries) > 0 {
		return fmt.Errorf("save %s: the directory is not empty", dir)
	}
	return s.save(func(name string, size int64, content io.Reader) error {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if err != nil {
			return err
		}
		out := tree.NewHoleWriter(int(f.Fd()))
		_, err = io.Copy(out, content)
		return errors.Join(err, out.End(), f.Close())
	}, OCIDir, references)
}

// addFile takes a file of a layout.
type addFile func(name string, size int64, content io.Reader) error

// save gives the files of a layout to add: those that say what is in it come last, so that a part of it is none.
func (s *Store) save(add addFile, format string, references []string) error {
	unlock, err := s.lock(blobsLock, unix.LOCK_SH)
	if err != nil {
		return err
	}
	defer unlock()
	images, err := s.List()
	if err != nil {
		return err
	}
	index := v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex}
	docker := []dockerManifest{}
	written := map[v1.Hash]bool{}
	for _, reference := range references {
		img, err := FindIn(images, reference)
		if err != nil {
			return err
		}
		names := namedBy(img, reference)
		index.Manifests = append(index.Manifests, savedDescriptors(img, names)...)
		docker = addDocker(docker, img, names)
		for _, d := range img.blobs() {
			if written[d.Digest] {
				continue
			}
			written[d.Digest] = true
			if err := s.saveBlob(add, d); err != nil {
				return fmt.Errorf("image %s: %w", img.Name(), err)
			}
		}
	}
	files := map[string]any{"index.json": index, "oci-layout": map[string]string{"imageLayoutVersion": "1.0.0"}}
	if format == DockerArchive {
		files["manifest.json"] = docker
	}
	return saveJSON(add, files)
}

func saveJSON(add addFile, files map[string]any) error {
	for _, name := range []string{"oci-layout", "index.json", "manifest.json"} {
		value, ok := files[name]
		if !ok {
			continue
		}
		content, err := json.Marshal(value)
		if err != nil {
			return err
		}
		if err := add(name, int64(len(content)), strings.NewReader(string(content))); err != nil {
			return err
		}
	}
	return nil
}

// namedBy are the names that go along: the one that was said, or none for an id.
func namedBy(img *Image, reference string) []string {
	if full, err := FullName(reference); err == nil && slices.Contains(img.Names, full) {
		return []string{full}
	}
	return nil
}

// blobs are all that an image consists of.
func (i *Image) blobs() []v1.Descriptor {
	own := i.descriptors[0]
	return append(slices.Clone(i.manifest.Layers), i.manifest.Config, v1.Descriptor{Digest: own.Digest, Size: own.Size})
}

// savedDescriptors are what index.json says of an image. Podman and skopeo look for the name in full where Docker
// has the tag alone.
func savedDescriptors(img *Image, names []string) (all []v1.Descriptor) {
	d := img.descriptors[0]
	d.Annotations = nil
	if len(names) == 0 {
		return []v1.Descriptor{d}
	}
	for _, full := range names {
		d.Annotations = map[string]string{nameAnnotation: full, dockerAnnotation: full}
		all = append(all, d)
	}
	return all
}

// addDocker adds an image to manifest.json, or another name to one that is there.
func addDocker(all []dockerManifest, img *Image, names []string) []dockerManifest {
	entry := dockerManifest{Config: blobName(img.manifest.Config.Digest), RepoTags: shortNames(names)}
	for _, layer := range img.manifest.Layers {
		entry.Layers = append(entry.Layers, blobName(layer.Digest))
	}
	if at := slices.IndexFunc(all, func(o dockerManifest) bool { return o.Config == entry.Config }); at >= 0 {
		all[at].RepoTags = append(all[at].RepoTags, entry.RepoTags...)
		return all
	}
	return append(all, entry)
}

func blobName(digest v1.Hash) string { return "blobs/sha256/" + digest.Hex }

// saveBlob writes a blob, checked on the way.
func (s *Store) saveBlob(add addFile, d v1.Descriptor) error {
	f, err := os.Open(s.blob(d.Digest))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("blob %s is missing: pull the image again", d.Digest)
	}
	if err != nil {
		return err
	}
	defer f.Close()
	checked := newVerified(f, d.Digest)
	if err := add(blobName(d.Digest), d.Size, checked); err != nil {
		return err
	}
	return checked.verify()
}
