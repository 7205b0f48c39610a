//go:build linux

package engine

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/simple-container/simple-container/final/internal/image"
	"github.com/simple-container/simple-container/final/internal/overlay"
)

// Changes are the files that the container has added, changed and deleted.
func (c *Container) Changes() ([]overlay.Change, error) {
	return overlay.Changes(c.path("upper"), c.lowers())
}

// Size is how many bytes the files have that the container has written, and with its image's.
func (c *Container) Size() (written, all int64, err error) {
	if written, err = overlay.Size(c.path("upper")); err != nil || c.ImageID == "" {
		return written, written, err
	}
	store, err := c.engine.Images()
	if err != nil {
		return 0, 0, err
	}
	img, err := store.Find(c.ImageID)
	if err != nil {
		return 0, 0, err
	}
	return written, written + img.Size, nil
}

// CommitOptions say what becomes of a container's changes.
type CommitOptions struct {
	Name    string // of the image; empty for none
	Author  string
	Comment string
	Changes []string // see [image.Change]
	Pause   bool     // the container's processes stop meanwhile, so that no file is half written
}

// Commit makes an image of the container: of its own image, and what it has changed. What is in volumes is not in it.
func (c *Container) Commit(o CommitOptions) (img *image.Image, err error) {
	store, err := c.engine.Images()
	if err != nil {
		return nil, err
	}
	var parent *image.Image
	if c.ImageID == "" {
		return nil, fmt.Errorf("container %s is made of the directory %s, not of an image: final export and final import make one", c.Name, c.Rootfs)
	}
	if parent, err = store.Find(c.ImageID); err != nil {
		return nil, err
	}
	config := c.commitConfig(parent.Config.Config)
	if err := image.Change(&config, o.Changes); err != nil {
		return nil, err
	}
	if o.Pause && c.State.Status == Running {
		if err := c.Pause(); err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, c.thaw()) }()
	}
	layer, w := io.Pipe()
	go func() { _ = w.CloseWithError(overlay.Tar(w, c.path("upper"))) }() // it returns nil always
	defer layer.Close()
	return store.Commit(parent, layer, image.CommitOptions{
		Name: o.Name, Config: config, Author: o.Author, Comment: o.Comment, CreatedBy: strings.Join(c.Config.Args(), " "),
	})
}

// commitConfig is the image's config with the container's over it.
func (c *Container) commitConfig(config v1.Config) v1.Config {
	own := c.Config
	config.Entrypoint, config.Cmd = own.Entrypoint, own.Cmd
	config.Env = slices.DeleteFunc(slices.Clone(own.Env), func(v string) bool { return !strings.Contains(v, "=") })
	config.WorkingDir, config.User, config.Labels = own.Workdir, own.User, own.Labels
	config.StopSignal, config.Volumes = own.StopSignal, places(own.Volumes)
	config.ExposedPorts = places(own.ExposedPorts)
	return config
}
