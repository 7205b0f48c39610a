//go:build linux

package image

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/sys/unix"
)

// Pull gets an image from its registry: the layers that are not here yet, three at a time, each unpacked while it
// comes. Only when all are here, and checked, the name stands for it.
func (s *Store) Pull(ctx context.Context, reference string, o PullOptions) (*Image, error) {
	ref, err := parseName(reference)
	if err != nil {
		return nil, err
	}
	platform, err := platformOf(o.Platform)
	if err != nil {
		return nil, err
	}
	unlock, err := s.lock(blobsLock, unix.LOCK_SH)
	if err != nil {
		return nil, err
	}
	img, err := s.pull(ctx, ref, platform, o)
	unlock()
	if err != nil {
		return nil, &PullError{Name: ShortName(fullName(ref)), Repository: repositoryOf(ref.Context()), Err: err}
	}
	return img, s.collectIfDue()
}

func (s *Store) pull(ctx context.Context, ref name.Reference, platform *v1.Platform, o PullOptions) (*Image, error) {
	from, err := connect(ctx, ref.Context(), o.Transport)
	if err != nil {
		return nil, err
	}
	found, err := from.resolve(ctx, ref.Identifier(), platform)
	if err != nil {
		return nil, err
	}
	if !s.hasBlob(found.manifest.Config.Digest) {
		if found.config, err = from.smallBlob(ctx, found.manifest.Config); err != nil {
			return nil, fmt.Errorf("configuration: %w", err)
		}
	} else if found.config, err = s.readBlob(found.manifest.Config.Digest); err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	config, err := parseConfig(found.config, found.manifest)
	if err != nil {
		return nil, err
	}
	// An index was searched for the platform; a name for a single image gives it whatever it is for.
	if config.OS != platform.OS || config.Architecture != platform.Architecture {
		return nil, fmt.Errorf("the image is for %s/%s, not for %s", config.OS, config.Architecture, platform)
	}
	say := newProgress(o.Progress, len(found.manifest.Layers))
	err = s.fetchLayers(ctx, from, found.manifest, config, say)
	say.end()
	if err != nil {
		return nil, err
	}
	return s.keepPulled(ref, found, config)
}

// A resolved image is one of a registry, found.
type resolved struct {
	digest   v1.Hash // what the name stands for: the index, if there is one
	content  []byte  // the manifest
	manifest *v1.Manifest
	kind     types.MediaType
	config   []byte
}

// resolve finds the manifest that a tag or digest stands for on a platform.
func (r *repository) resolve(ctx context.Context, identifier string, platform *v1.Platform) (*resolved, error) {
	content, kind, err := r.manifest(ctx, identifier)
	if err != nil {
		return nil, err
	}
	found := &resolved{digest: digestOf(content)}
	if isIndex(content, kind) {
		chosen, err := choose(content, platform)
		if err != nil {
			return nil, err
		}
		if content, kind, err = r.manifest(ctx, chosen.Digest.String()); err != nil {
			return nil, err
		}
	}
	found.content, found.kind = content, kind
	found.manifest, err = parseManifest(content)
	return found, err
}

func parseManifest(content []byte) (*v1.Manifest, error) {
	manifest, err := v1.ParseManifest(bytes.NewReader(content))
	if err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	if manifest.SchemaVersion != 2 || manifest.Config.Digest.Hex == "" {
		return nil, errors.New("manifest: it is in a format of before 2017, or no image's")
	}
	for _, d := range append(slices.Clone(manifest.Layers), manifest.Config) {
		if d.Digest.Algorithm != "sha256" || d.Size < 0 {
			return nil, fmt.Errorf("manifest: %s of %d bytes: only sha256 is known", d.Digest, d.Size)
		}
	}
	return manifest, nil
}

// isIndex tells an index from a manifest. The header is the registry's word; the content has its own.
func isIndex(content []byte, kind types.MediaType) bool {
	if kind.IsIndex() || kind.IsImage() {
		return kind.IsIndex()
	}
	index, err := v1.ParseIndexManifest(bytes.NewReader(content))
	return err == nil && len(index.Manifests) > 0
}

// choose picks an index's image for a platform.
func choose(content []byte, platform *v1.Platform) (v1.Descriptor, error) {
	index, err := v1.ParseIndexManifest(bytes.NewReader(content))
	if err != nil {
		return v1.Descriptor{}, fmt.Errorf("index: %w", err)
	}
	var have []string
	for _, d := range index.Manifests {
		if d.Platform == nil || d.Platform.OS == "unknown" {
			continue // an attestation
		}
		if d.Platform.Satisfies(*platform) {
			return d, nil
		}
		have = append(have, d.Platform.String())
	}
	return v1.Descriptor{}, fmt.Errorf("no image for the platform %s: there are %q", platform, have)
}

// fetchLayers gets the layers that are missing. A layer may be in a manifest several times.
func (s *Store) fetchLayers(ctx context.Context, from *repository, m *v1.Manifest, config *v1.ConfigFile, say *progress) error {
	var once []int
	seen := map[v1.Hash]bool{}
	for i, layer := range m.Layers {
		if !seen[layer.Digest] {
			seen[layer.Digest] = true
			once = append(once, i)
			say.add(i, layer)
		}
	}
	return parallel(ctx, len(once), func(ctx context.Context, at int) error {
		i := once[at]
		err := s.fetchLayer(ctx, from, m.Layers[i], config.RootFS.DiffIDs[i], say.lines[i])
		if errors.Is(err, errBadStart) {
			err = s.fetchLayer(ctx, from, m.Layers[i], config.RootFS.DiffIDs[i], say.lines[i])
		}
		if err != nil {
			return fmt.Errorf("layer %d of %d (%s): %w", i+1, len(m.Layers), m.Layers[i].Digest, err)
		}
		return nil
	})
}

// fetchLayer makes sure that a layer is here, as a blob and unpacked.
func (s *Store) fetchLayer(ctx context.Context, from *repository, layer v1.Descriptor, diffID v1.Hash, line *line) error {
	whole, err := s.isWhole(diffID)
	if err != nil {
		return err
	}
	if s.hasBlob(layer.Digest) {
		if whole {
			line.done("Already exists")
			return nil
		}
		line.say("Extracting")
		if err := s.unpackBlob(ctx, layer, diffID); err != nil {
			return err
		}
		line.done("Pull complete")
		return nil
	}
	d, err := s.openDownload(ctx, layer, line.arrived)
	if err != nil {
		return err
	}
	if d == nil { // somebody else has fetched it meanwhile
		return s.fetchLayer(ctx, from, layer, diffID, line)
	}
	defer d.file.Close()
	if err := s.receiveLayer(ctx, d, from, diffID); err != nil {
		return err
	}
	line.done("Pull complete")
	return nil
}

// receiveLayer downloads a layer, and unpacks it while it comes.
func (s *Store) receiveLayer(ctx context.Context, d *download, from *repository, diffID v1.Hash) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var fetching sync.WaitGroup
	var fetched error
	fetching.Go(func() {
		if fetched = d.fetch(ctx, from); fetched == nil {
			fetched = d.keep(s)
		}
	})
	unpacked := s.unpackLayer(ctx, d.reader(), d.blob.Size, diffID)
	if unpacked != nil && !d.resumed { // else it may be the front that was wrong: the digest will tell
		cancel()
	}
	fetching.Wait()
	if fetched != nil && (unpacked == nil || d.resumed || errors.Is(unpacked, fetched)) {
		return fetched
	}
	return unpacked
}

// keepPulled makes the name stand for what was pulled.
func (s *Store) keepPulled(ref name.Reference, found *resolved, config *v1.ConfigFile) (*Image, error) {
	if _, err := s.putBlob(found.config); err != nil {
		return nil, err
	}
	digest, err := s.putBlob(found.content)
	if err != nil {
		return nil, err
	}
	d := v1.Descriptor{
		MediaType: found.kind, Digest: digest, Size: int64(len(found.content)), Platform: config.Platform(),
		Annotations: map[string]string{digestAnnotation: repositoryOf(ref.Context()) + "@" + found.digest.String()},
	}
	return s.nameImage(d, fullName(ref))
}

// nameImage gives a manifest that is in the store a name, and returns the image.
func (s *Store) nameImage(d v1.Descriptor, full string) (*Image, error) {
	if err := s.changeIndex(func(index *v1.IndexManifest) error { addName(index, d, full); return nil }); err != nil {
		return nil, err
	}
	img, err := s.readImage(d)
	if err != nil {
		return nil, err
	}
	return s.Find(img.ID)
}
