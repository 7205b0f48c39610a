//go:build linux

package image

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sys/unix"
)

// Pull gets an image from its registry: the layers that are not here yet, three at a time, each unpacked while it
// comes. Only when all are here, and checked, the name stands for it.
func (s *Store) Pull(ctx context.Context, reference string, o PullOptions) (*Image, error) {
	ref, err := parseName(reference)
	if err != nil {
		return nil, err
	}
	unlock, err := s.lock(blobsLock, unix.LOCK_SH)
	if err != nil {
		return nil, err
	}
	img, err := s.pull(ctx, ref, o)
	unlock()
	if err != nil {
		return nil, pullError(ref, err)
	}
	return img, s.collectIfDue()
}

func (s *Store) pull(ctx context.Context, ref name.Reference, o PullOptions) (*Image, error) {
	found, err := resolve(ctx, ref, o, s)
	if err != nil {
		return nil, err
	}
	say := newProgress(o.Progress, len(found.manifest.Layers))
	err = s.fetchLayers(ctx, found, say)
	say.end()
	if err != nil {
		return nil, err
	}
	return s.keepPulled(ref, found)
}

// fetchLayers gets the layers that are missing. A layer may be in a manifest several times.
func (s *Store) fetchLayers(ctx context.Context, found *resolved, say *progress) error {
	layers, diffIDs := found.manifest.Layers, found.config.RootFS.DiffIDs
	var once []int
	seen := map[v1.Hash]bool{}
	for i, layer := range layers {
		if !seen[layer.Digest] {
			seen[layer.Digest] = true
			once = append(once, i)
			say.add(i, layer)
		}
	}
	return parallel(ctx, len(once), func(ctx context.Context, at int) error {
		i := once[at]
		err := s.fetchLayer(ctx, found.from, layers[i], diffIDs[i], say.lines[i])
		if errors.Is(err, errBadStart) {
			err = s.fetchLayer(ctx, found.from, layers[i], diffIDs[i], say.lines[i])
		}
		return layerError(i, layers, err)
	})
}

// layerError says which layer it is about.
func layerError(i int, layers []v1.Descriptor, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("layer %d of %d (%s): %w", i+1, len(layers), layers[i].Digest, err)
}

// fetchLayer makes sure that a layer is here, as a blob and unpacked.
func (s *Store) fetchLayer(
	ctx context.Context, from *repository, layer v1.Descriptor, diffID v1.Hash, line *line,
) error {
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
		err := s.unpackBlob(ctx, layer, diffID)
		if err != nil && ctx.Err() == nil && s.dropDamaged(layer.Digest) {
			return s.fetchLayer(ctx, from, layer, diffID, line)
		}
		if err != nil {
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
	if fetched != nil && (unpacked == nil || d.resumed || !errors.Is(fetched, context.Canceled)) {
		return fetched // what came was cut or wrong: no wonder that it could not be unpacked
	}
	return unpacked
}

// keepPulled makes the name stand for what was pulled.
func (s *Store) keepPulled(ref name.Reference, found *resolved) (*Image, error) {
	if _, err := s.putBlob(found.rawConfig); err != nil {
		return nil, err
	}
	digest, err := s.putBlob(found.content)
	if err != nil {
		return nil, err
	}
	d := v1.Descriptor{
		MediaType: found.kind, Digest: digest, Size: int64(len(found.content)), Platform: found.config.Platform(),
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
