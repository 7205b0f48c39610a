//go:build linux

// Package image gets images from registries and archives, keeps them, and unpacks their layers: each for itself, as
// overlayfs wants it, in a [Store]; or all into one directory, for a root file system without a store.
package image

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"

	"github.com/docker/go-units"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// PullOptions are for [Store.Pull] and [Pull]. The zero value pulls for this machine and says nothing.
type PullOptions struct {
	Platform  string            // "linux/arm64" or "linux/arm/v7"; "" is linux and the architecture of this program
	Progress  io.Writer         // gets a line for each layer; nil: none
	Transport http.RoundTripper // nil: the usual one, which honours HTTPS_PROXY
}

// Pull gets an image by its name, as Docker knows it ("alpine" is docker.io/library/alpine:latest), and unpacks
// its layers into the directory dir. Every byte is checked against the digests that the manifest and the
// configuration name. After an error dir holds a part of the image.
func Pull(ctx context.Context, reference, dir string, o PullOptions) error {
	ref, err := parseName(reference)
	if err != nil {
		return err
	}
	found, err := resolve(ctx, ref, o, nil)
	if err != nil {
		return pullError(ref, err)
	}
	layers := found.manifest.Layers
	for i, layer := range layers {
		if err := found.unpackOver(ctx, dir, layer, found.config.RootFS.DiffIDs[i]); err != nil {
			return pullError(ref, layerError(i, layers, err))
		}
		if o.Progress != nil {
			fmt.Fprintf(o.Progress, "layer %d of %d  %s  %s\n",
				i+1, len(layers), Short(layer.Digest.String()), units.HumanSize(float64(layer.Size)))
		}
	}
	return nil
}

// unpackOver unpacks a layer over those in dir, and checks both its names: the digest of what is transferred, and the
// diff id, that of the plain archive.
func (r *resolved) unpackOver(ctx context.Context, dir string, layer v1.Descriptor, diffID v1.Hash) error {
	body := &transfer{ctx: ctx, from: r.from, blob: layer}
	defer body.close()
	transferred := newVerified(body, layer.Digest)
	plain, err := decompress(transferred)
	if err != nil {
		return err
	}
	defer plain.Close()
	u, err := newUnpacking(dir, limitFor(layer.Size))
	if err != nil {
		return err
	}
	defer u.close()
	sum := sha256.New()
	if err := u.untar(io.TeeReader(plain, sum)); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, transferred); err != nil {
		return err
	}
	if err := transferred.verify(); err != nil {
		return err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != diffID.Hex {
		return fmt.Errorf("diff id is sha256:%s, the configuration says %s", got, diffID)
	}
	return nil
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
