//go:build linux

package image

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/sys/unix"
)

// A build is an image that is made here: a parent's layers, and one more.
type build struct {
	parent      *Image // nil: none
	layer       io.Reader
	config      v1.ConfigFile // without its rootfs and history, which are computed
	history     v1.History
	name        string // in full, or "" for none
	annotations map[string]string
}

// CommitOptions say what becomes of a container's changes.
type CommitOptions struct {
	Name      string    // "" leaves the image without one
	Config    v1.Config // for containers that are made of it
	Author    string
	Comment   string
	CreatedBy string // the container's command
}

// Commit makes an image of a parent's layers and one more, an archive with whiteouts as package overlay writes it.
// A nil parent is one without layers.
func (s *Store) Commit(parent *Image, layer io.Reader, o CommitOptions) (*Image, error) {
	full := ""
	if o.Name != "" {
		var err error
		if full, err = FullName(o.Name); err != nil {
			return nil, err
		}
	}
	unlock, err := s.lock(blobsLock, unix.LOCK_SH)
	if err != nil {
		return nil, err
	}
	defer unlock()
	now := v1.Time{Time: time.Now().UTC()}
	b := build{parent: parent, layer: layer, name: full,
		history: v1.History{Created: now, Author: o.Author, Comment: o.Comment, CreatedBy: o.CreatedBy}}
	if parent != nil {
		b.config = *parent.Config.DeepCopy()
	} else {
		b.config = v1.ConfigFile{OS: "linux", Architecture: hostPlatform().Architecture}
	}
	b.config.Created, b.config.Author, b.config.Config = now, o.Author, o.Config
	b.config.Container, b.config.DockerVersion = "", ""
	return s.assemble(b)
}

// assemble keeps a build. The caller holds the lock of blobs.
func (s *Store) assemble(b build) (*Image, error) {
	layer, diffID, err := s.addLayer(b.layer)
	if err != nil {
		return nil, err
	}
	config := b.config
	manifest := v1.Manifest{SchemaVersion: 2, MediaType: types.OCIManifestSchema1}
	config.RootFS = v1.RootFS{Type: "layers"}
	if b.parent != nil {
		manifest.Layers = ociLayers(b.parent.manifest.Layers)
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, b.parent.Config.RootFS.DiffIDs...)
	}
	manifest.Layers = append(manifest.Layers, layer)
	config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, diffID)
	config.History = append(config.History, b.history)
	content, err := json.Marshal(config)
	if err != nil {
		return nil, err
	}
	d, err := s.keepManifest(&manifest, content, config.Platform())
	if err != nil {
		return nil, err
	}
	d.Annotations = b.annotations
	return s.nameImage(d, b.name)
}

// keepManifest keeps an image's configuration and the manifest that names it, and returns the descriptor for the
// index.
func (s *Store) keepManifest(manifest *v1.Manifest, config []byte, platform *v1.Platform) (d v1.Descriptor, err error) {
	digest, err := s.putBlob(config)
	if err != nil {
		return d, err
	}
	manifest.Config = v1.Descriptor{MediaType: types.OCIConfigJSON, Digest: digest, Size: int64(len(config))}
	content, err := json.Marshal(manifest)
	if err != nil {
		return d, err
	}
	if digest, err = s.putBlob(content); err != nil {
		return d, err
	}
	return v1.Descriptor{MediaType: manifest.MediaType, Digest: digest, Size: int64(len(content)), Platform: platform}, nil
}

// addLayer keeps a layer's archive, compressed or not, and unpacks it.
func (s *Store) addLayer(from io.Reader) (layer v1.Descriptor, diffID v1.Hash, err error) {
	digest, size, err := s.addBlob(from)
	if err != nil {
		return layer, diffID, err
	}
	layer, diffID, err = s.describe(digest, size)
	if err != nil {
		return layer, diffID, err
	}
	whole, err := s.isWhole(diffID)
	if err != nil || whole {
		return layer, diffID, err
	}
	return layer, diffID, s.unpackBlob(context.Background(), layer, diffID)
}

// describe looks at a layer's blob: how it is compressed, and what its diff id is.
func (s *Store) describe(digest v1.Hash, size int64) (layer v1.Descriptor, diffID v1.Hash, err error) {
	layer = v1.Descriptor{Digest: digest, Size: size}
	f, err := os.Open(s.blob(digest))
	if err != nil {
		return layer, diffID, err
	}
	defer f.Close()
	plain, kind, err := decompressAs(f)
	if err != nil {
		return layer, diffID, err
	}
	defer plain.Close()
	layer.MediaType = kind
	if kind == types.OCIUncompressedLayer {
		return layer, digest, nil
	}
	sum := sha256.New()
	_, err = io.Copy(sum, plain)
	return layer, v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(sum.Sum(nil))}, err
}

// ociLayers are layers in OCI's words: a manifest has either its media types, or Docker's.
func ociLayers(layers []v1.Descriptor) (oci []v1.Descriptor) {
	words := map[types.MediaType]types.MediaType{
		types.DockerLayer: types.OCILayer, types.DockerUncompressedLayer: types.OCIUncompressedLayer,
	}
	for _, layer := range layers {
		if word, ok := words[layer.MediaType]; ok {
			layer.MediaType = word
		}
		oci = append(oci, layer)
	}
	return oci
}
