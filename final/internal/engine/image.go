//go:build linux

package engine

import (
	"context"
	"errors"
	"fmt"
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

// findImage finds the image that was asked for, for the platform that was asked for: one that is here for another is as
// good as none.
func findImage(ctx context.Context, store *image.Store, o CreateOptions) (*image.Image, error) {
	if o.Wish == PullAlways && o.Pull != nil && o.Image != image.LabName {
		return o.Pull(ctx, store, o.Image)
	}
	find := store.Find
	if o.Image == image.LabName { // which is inside this program
		find = func(string) (*image.Image, error) { return store.Lab() }
	}
	img, err := find(o.Image)
	other := false
	if err == nil {
		err = img.CheckPlatform(o.Platform)
		if _, other = errors.AsType[*image.PlatformError](err); other {
			err = fmt.Errorf("image %s: %w", o.Image, err)
		}
	}
	switch {
	case err == nil:
		return img, nil
	case !image.IsNotFound(err) && !other || o.Image == image.LabName || o.Wish == PullNever || o.Pull == nil:
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
