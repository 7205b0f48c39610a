//go:build linux

package image

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/sys/unix"
)

// Load takes in the images of an archive that `docker save`, `podman save` or skopeo has written: Docker's format or
// an OCI image layout, plain or compressed. Of an image for several platforms it takes this machine's.
func (s *Store) Load(archive io.Reader) ([]*Image, error) {
	unlock, err := s.lock(blobsLock, unix.LOCK_SH)
	if err != nil {
		return nil, err
	}
	defer unlock()
	dir, err := os.MkdirTemp(s.images+"/partial", "load-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }() // if it stays, the next collection has it
	l := &loading{store: s, spool: spool{dir: dir, files: map[string]spooled{}, links: map[string]string{}}}
	if err := l.spool.read(archive); err != nil {
		return nil, err
	}
	switch {
	case l.has("index.json"):
		err = l.layout()
	case l.has("manifest.json"):
		err = l.docker()
	case l.has("repositories"):
		err = errors.New("the archive is in docker save's format of before 2016")
	default:
		err = errors.New("no index.json and no manifest.json in it: it is not an archive of images" +
			" (final import makes an image of a root file system)")
	}
	return l.images, err
}

// LoadDir is Load for an OCI image layout in a directory.
func (s *Store) LoadDir(dir string) ([]*Image, error) {
	archive, wait := streamTree(dir)
	images, err := s.Load(archive)
	return images, errors.Join(err, wait(err))
}

// A loading is an archive on its way into a store.
type loading struct {
	spool
	store  *Store
	images []*Image
}

// layout takes in what index.json names.
func (l *loading) layout() error {
	content, err := l.content("index.json")
	if err != nil {
		return err
	}
	index, err := v1.ParseIndexManifest(bytes.NewReader(content))
	if err != nil {
		return fmt.Errorf("index.json: %w", err)
	}
	for _, d := range index.Manifests {
		if d.Annotations["vnd.docker.reference.type"] != "" {
			continue // an attestation
		}
		if err := l.manifest(d, nameIn(d.Annotations)); err != nil {
			return fmt.Errorf("%s: %w", d.Digest, err)
		}
	}
	return nil
}

// nameIn is the name that a descriptor's annotations give. What is no name, or only a tag, is none.
func nameIn(annotations map[string]string) string {
	for _, key := range []string{dockerAnnotation, nameAnnotation} {
		text := annotations[key]
		if text == "" || key == nameAnnotation && strings.Trim(text, "v.0123456789") == "" || text == "latest" {
			continue
		}
		if full, err := FullName(text); err == nil {
			return full
		}
	}
	return ""
}

// manifest takes in one image of a layout, or of an index in it.
func (l *loading) manifest(d v1.Descriptor, full string) error {
	content, err := l.content(blobName(d.Digest))
	if err != nil {
		return err
	}
	if isIndex(content, d.MediaType) {
		chosen, err := choose(content, hostPlatform())
		if err != nil {
			return err
		}
		d = chosen
		if content, err = l.content(blobName(d.Digest)); err != nil {
			return err
		}
	}
	if err := verify(content, d.Digest); err != nil {
		return err
	}
	manifest, err := parseManifest(content)
	if err != nil {
		return err
	}
	raw, err := l.content(blobName(manifest.Config.Digest))
	if err != nil {
		return err
	}
	config, err := parseConfig(raw, manifest)
	if err != nil {
		return err
	}
	for _, blob := range append([]v1.Descriptor{{Digest: d.Digest}, manifest.Config}, manifest.Layers...) {
		if err := l.adopt(blobName(blob.Digest), blob.Digest); err != nil {
			return err
		}
	}
	kept := v1.Descriptor{MediaType: d.MediaType, Digest: d.Digest, Size: int64(len(content)), Platform: config.Platform()}
	return l.keep(kept, manifest, config, full)
}

// docker takes in what manifest.json names. Such an archive has no manifests: they are made.
func (l *loading) docker() error {
	content, err := l.content("manifest.json")
	if err != nil {
		return err
	}
	var entries []dockerManifest
	if err := json.Unmarshal(content, &entries); err != nil {
		return fmt.Errorf("manifest.json: %w", err)
	}
	for _, entry := range entries {
		if err := l.dockerImage(entry); err != nil {
			return fmt.Errorf("manifest.json: %s: %w", entry.Config, err)
		}
	}
	return nil
}

func (l *loading) dockerImage(entry dockerManifest) error {
	raw, err := l.content(entry.Config)
	if err != nil {
		return err
	}
	manifest := &v1.Manifest{SchemaVersion: 2, MediaType: types.OCIManifestSchema1}
	for _, name := range entry.Layers {
		file, err := l.find(name)
		if err != nil {
			return err
		}
		if err := l.adopt(name, file.digest); err != nil {
			return err
		}
		layer, _, err := l.store.describe(file.digest, file.size)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		manifest.Layers = append(manifest.Layers, layer)
	}
	config, err := parseConfig(raw, manifest)
	if err != nil {
		return err
	}
	d, err := l.store.keepManifest(manifest, raw, config.Platform())
	if err != nil {
		return err
	}
	names := []string{""}
	if len(entry.RepoTags) > 0 {
		names = nil
	}
	for _, tag := range entry.RepoTags {
		full, err := FullName(tag)
		if err != nil {
			return err
		}
		names = append(names, full)
	}
	return l.keep(d, manifest, config, names...)
}

// keep unpacks an image's layers, which checks them, and gives it its names.
func (l *loading) keep(d v1.Descriptor, manifest *v1.Manifest, config *v1.ConfigFile, names ...string) error {
	if err := l.store.unpackAll(context.Background(), manifest, config); err != nil {
		return err
	}
	for i, full := range names {
		img, err := l.store.nameImage(d, full)
		if err != nil {
			return err
		}
		if i == len(names)-1 {
			l.add(img)
		}
	}
	return nil
}

// add notes an image, once for all its names.
func (l *loading) add(img *Image) {
	for i, known := range l.images {
		if known.ID == img.ID {
			l.images[i] = img
			return
		}
	}
	l.images = append(l.images, img)
}

// adopt makes a file of the archive a blob, if it is the one with that digest.
func (l *loading) adopt(name string, digest v1.Hash) error {
	if l.store.hasBlob(digest) {
		return nil
	}
	file, err := l.find(name)
	if err != nil {
		return err
	}
	if file.digest != digest {
		return fmt.Errorf("%s: the content's digest is %s", name, file.digest)
	}
	return os.Rename(file.path, l.store.blob(digest))
}

// content returns a small file of the archive, wherever it is by now.
func (l *loading) content(name string) ([]byte, error) {
	file, err := l.find(name)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(file.path)
	if errors.Is(err, os.ErrNotExist) {
		f, err = os.Open(l.store.blob(file.digest)) // adopted for another image
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readJSON(f)
}

func (l *loading) has(name string) bool { return l.files[name].path != "" }

// find returns a file of the archive, through links to others.
func (l *loading) find(name string) (spooled, error) {
	at := path.Clean(name)
	for range 8 {
		if file, ok := l.files[at]; ok {
			return file, nil
		}
		target, ok := l.links[at]
		if !ok {
			break
		}
		at = target
	}
	return spooled{}, fmt.Errorf("%q is not in the archive", name)
}
