//go:build linux

package engine

import (
	"context"
	"maps"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/simple-container/simple-container/final/internal/image"
	"github.com/simple-container/simple-container/final/internal/ocispec"
)

// useImage finds the image that was asked for, pulls it if need be, and has its layers unpacked.
func (c *Container) useImage(ctx context.Context, o CreateOptions) error {
	store, err := c.engine.Images()
	if err != nil {
		return err
	}
	img, err := findImage(ctx, store, o)
	if err != nil {
		return err
	}
	c.image, c.Image, c.ImageID = img, o.Image, img.ID
	c.Config = o.Over(configOf(img.Config.Config))
	c.Layers, err = store.Layers(img)
	return err
}

func findImage(ctx context.Context, store *image.Store, o CreateOptions) (*image.Image, error) {
	switch {
	case o.Image == image.LabName: // which is inside this program
		return store.Lab()
	case o.Wish == PullAlways && o.Pull != nil:
		return o.Pull(ctx, store, o.Image)
	}
	img, err := store.Find(o.Image)
	switch {
	case !image.IsNotFound(err):
		return img, err
	case o.Wish == PullNever || o.Pull == nil:
		return nil, err
	}
	return o.Pull(ctx, store, o.Image)
}

// configOf is what an image wants, in the words of package ocispec.
func configOf(c v1.Config) ocispec.Config {
	return ocispec.Config{
		Entrypoint: c.Entrypoint, Cmd: c.Cmd, Env: c.Env, Workdir: c.WorkingDir, User: c.User,
		Volumes: slices.Sorted(maps.Keys(c.Volumes)), ExposedPorts: slices.Sorted(maps.Keys(c.ExposedPorts)),
		Labels: c.Labels, StopSignal: c.StopSignal,
	}
}
