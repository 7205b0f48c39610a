//go:build linux

// Package image gets images from registries and unpacks their layers.
package image

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"

	"github.com/docker/go-units"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// PullOptions are for [Store.Pull], [Pull] and [Resolve]. The zero value pulls for this machine and says nothing.
type PullOptions struct {
	Platform  string            // "linux/arm64" or "linux/arm/v7"; "" is linux and the architecture of this program
	Progress  io.Writer         // gets a line for each layer; nil: none
	Transport http.RoundTripper // nil: the usual one, which honours HTTPS_PROXY
}

// A RegistryError says which registry did not give what was asked of it.
type RegistryError struct {
	Registry string
	Err      error
}

func (e *RegistryError) Error() string { return fmt.Sprintf("registry %s: %v", e.Registry, e.Err) }
func (e *RegistryError) Unwrap() error { return e.Err }

// Pull gets an image by its name, as Docker knows it ("alpine" is docker.io/library/alpine:latest), and unpacks
// its layers into the directory dir. Every byte is checked against the digests that the manifest and the
// configuration name. Registries on loopback are spoken to in plain HTTP. After an error dir holds a part of the
// image.
func Pull(ctx context.Context, reference, dir string, o PullOptions) error {
	img, err := Resolve(ctx, reference, o)
	if err != nil {
		return err
	}
	return UnpackImage(img, dir, o.Progress)
}

// Resolve finds the image that a name stands for on a platform. Layers are fetched when they are read.
func Resolve(ctx context.Context, reference string, o PullOptions) (v1.Image, error) {
	ref, err := name.ParseReference(reference)
	if err != nil {
		return nil, fmt.Errorf("image name %q: %w", reference, err)
	}
	platform, err := platformOf(o.Platform)
	if err != nil {
		return nil, err
	}
	options := []remote.Option{remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain), remote.WithPlatform(*platform)}
	if o.Transport != nil {
		options = append(options, remote.WithTransport(o.Transport))
	}
	img, err := remote.Image(ref, options...)
	if err != nil {
		return nil, &RegistryError{ref.Context().RegistryStr(), err}
	}
	config, err := img.ConfigFile()
	if err != nil {
		return nil, &RegistryError{ref.Context().RegistryStr(), err}
	}
	// An index was searched for the platform; a name for a single image gives it whatever it is for.
	if config.OS != platform.OS || config.Architecture != platform.Architecture {
		return nil, fmt.Errorf("image %s is for %s/%s, not for %s", reference, config.OS, config.Architecture, platform)
	}
	return img, nil
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

// UnpackImage unpacks an image's layers, the lowest first, into dir.
func UnpackImage(img v1.Image, dir string, progress io.Writer) error {
	layers, err := img.Layers()
	if err != nil {
		return fmt.Errorf("read manifest: %w", err)
	}
	config, err := img.ConfigFile()
	if err != nil {
		return fmt.Errorf("read configuration: %w", err)
	}
	if len(config.RootFS.DiffIDs) != len(layers) {
		return fmt.Errorf("the configuration names %d layers, the manifest %d", len(config.RootFS.DiffIDs), len(layers))
	}
	for i, layer := range layers {
		digest, err := layer.Digest()
		if err != nil {
			return fmt.Errorf("layer %d of %d: %w", i+1, len(layers), err)
		}
		size, err := unpackLayer(layer, config.RootFS.DiffIDs[i], dir)
		if err != nil {
			return fmt.Errorf("layer %d of %d (%s): %w", i+1, len(layers), digest, err)
		}
		if progress != nil {
			fmt.Fprintf(progress, "layer %d of %d  %s  %s\n", i+1, len(layers), digest.Hex[:12], units.HumanSize(float64(size)))
		}
	}
	return nil
}

// unpackLayer checks both names of a layer: the digest of what is transferred, which the reader does that
// Compressed returns once it is read to the end, and the diff id, the digest of the plain archive.
func unpackLayer(layer v1.Layer, diffID v1.Hash, dir string) (size int64, err error) {
	compressed, err := layer.Compressed()
	if err != nil {
		return 0, err
	}
	defer compressed.Close()
	counted := &countingReader{from: compressed}
	plain, err := decompress(counted)
	if err != nil {
		return 0, err
	}
	defer plain.Close()
	sum := sha256.New()
	if err := untar(dir, io.TeeReader(plain, sum)); err != nil {
		return 0, err
	}
	if _, err := io.Copy(io.Discard, counted); err != nil {
		return 0, err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != diffID.Hex {
		return 0, fmt.Errorf("diff id is sha256:%s, the configuration says %s", got, diffID)
	}
	return counted.n, nil
}

type countingReader struct {
	from io.Reader
	n    int64
}

func (r *countingReader) Read(p []byte) (int, error) {
	n, err := r.from.Read(p)
	r.n += int64(n)
	return n, err
}

// UnpackFile unpacks an archive of a root file system, as `docker export` writes it, plain or compressed.
func UnpackFile(file, dir string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := Unpack(dir, f); err != nil {
		return fmt.Errorf("unpack %s: %w", file, err)
	}
	// What `docker save` writes is an image, whose layers are archives inside of the archive.
	for _, mark := range []string{"/manifest.json", "/oci-layout"} {
		_, isImage := os.Lstat(dir + mark)
		_, hasRoot := os.Lstat(dir + "/etc")
		if isImage == nil && hasRoot != nil {
			return fmt.Errorf("%s is a saved image, not a root file system: `docker export` of a container writes one", file)
		}
	}
	return nil
}
