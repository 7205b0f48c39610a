//go:build linux

package image

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// A resolved image is one of a registry, found.
type resolved struct {
	from      *repository
	digest    v1.Hash // what the name stands for: the index, if there is one
	content   []byte  // the manifest
	kind      types.MediaType
	manifest  *v1.Manifest
	rawConfig []byte
	config    *v1.ConfigFile
}

// resolve finds the image that a name stands for on a platform. If a store is given, it is asked for the
// configuration first.
func resolve(ctx context.Context, ref name.Reference, o PullOptions, have *Store) (*resolved, error) {
	platform, err := platformOf(o.Platform)
	if err != nil {
		return nil, err
	}
	from, err := connect(ctx, ref.Context(), o.Transport)
	if err != nil {
		return nil, err
	}
	found, err := from.find(ctx, ref.Identifier(), platform)
	if err != nil {
		return nil, err
	}
	if have != nil {
		found.rawConfig, err = have.readBlob(found.manifest.Config.Digest)
	}
	if have == nil || err != nil {
		if found.rawConfig, err = from.smallBlob(ctx, found.manifest.Config); err != nil {
			return nil, fmt.Errorf("configuration: %w", err)
		}
	}
	if found.config, err = parseConfig(found.rawConfig, found.manifest); err != nil {
		return nil, err
	}
	// An index was searched for the platform; a name for a single image gives it whatever it is for.
	if err := checkPlatform(found.config, platform); err != nil {
		return nil, err
	}
	return found, nil
}

// A PlatformError says that an image is for another platform than the one that was asked for.
type PlatformError struct{ Is, Want string }

func (e *PlatformError) Error() string {
	return fmt.Sprintf("the image is for %s, not for %s", e.Is, e.Want)
}

func checkPlatform(config *v1.ConfigFile, want *v1.Platform) error {
	if config.OS != want.OS || config.Architecture != want.Architecture {
		return &PlatformError{config.OS + "/" + config.Architecture, want.String()}
	}
	return nil
}

// CheckPlatform returns a [*PlatformError] if the image is for another platform, as linux/arm64; "" is any.
func (i *Image) CheckPlatform(text string) error {
	if text == "" {
		return nil
	}
	want, err := platformOf(text)
	if err != nil {
		return err
	}
	return checkPlatform(&i.Config, want)
}

// find finds the manifest that a tag or digest stands for on a platform.
func (r *repository) find(ctx context.Context, identifier string, platform *v1.Platform) (*resolved, error) {
	content, kind, err := r.manifest(ctx, identifier)
	if err != nil {
		return nil, err
	}
	found := &resolved{from: r, digest: digestOf(content)}
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
	if found.manifest, err = parseManifest(content); err != nil {
		return nil, err
	}
	if !kind.IsImage() { // the header says nothing, or nonsense
		found.kind = found.manifest.MediaType
	}
	return found, nil
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

func hostPlatform() *v1.Platform { return &v1.Platform{OS: "linux", Architecture: runtime.GOARCH} }

func platformOf(text string) (*v1.Platform, error) {
	if text == "" {
		return hostPlatform(), nil
	}
	platform, err := v1.ParsePlatform(text)
	if err != nil || platform.OS == "" || platform.Architecture == "" {
		return nil, fmt.Errorf("platform %q: not of the form os/architecture", text)
	}
	return platform, nil
}
