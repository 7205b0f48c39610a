//go:build linux

package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/image"
	"github.com/simple-container/simple-container/final/internal/ocispec"
)

// CreateOptions are what a person asked for.
type CreateOptions struct {
	ocispec.Options

	Image    string // a name or an id
	Platform string // that it is for, as linux/arm64; empty for any that is here, or this machine's
	// Rootfs, if not empty, is a directory that takes the place of the image. It is the lowest layer: the container
	// does not write to it.
	Rootfs string

	Wishes Wishes // of its connection

	Name        string // empty invents one
	AutoRemove  bool   // the container goes when it has ended
	Once        bool   // its standard input ends with the client that ends it
	StopTimeout *int   // seconds from the stop signal to SIGKILL; nil is 10

	// Pull gets an image that the store has not, or that is always wanted anew. nil gets none.
	Pull func(ctx context.Context, store *image.Store, reference string) (*image.Image, error)
	Wish PullWish
}

// A PullWish is when an image is to be pulled.
type PullWish string

const (
	PullMissing PullWish = "missing"
	PullAlways  PullWish = "always"
	PullNever   PullWish = "never"
)

// Create makes a container, and does not start it. What fails leaves nothing behind.
func (e *Engine) Create(ctx context.Context, o CreateOptions) (c *Container, err error) {
	if err := e.makeDirectories(); err != nil {
		return nil, err
	}
	c = &Container{engine: e, Record: Record{
		ID: newID(), Created: time.Now().UTC(), Options: o.Options, Wishes: o.Wishes,
		Once: o.Once, AutoRemove: o.AutoRemove, StopTimeout: o.StopTimeout,
	}}
	made := c
	c.State = State{Status: Created, AutoRemove: c.AutoRemove}
	held, err := e.makeHidden(c.ID)
	if err != nil {
		return nil, err
	}
	defer held.Close()
	c.dir = e.hidden(c.ID)
	undo := []func() error{func() error { return e.removeAll(made.dir) }}
	defer func() {
		if err == nil {
			return
		}
		for _, step := range slices.Backward(undo) {
			err = errors.Join(err, step())
		}
	}()
	if c.Name, err = e.giveName(o.Name, c.ID); err != nil {
		return nil, err
	}
	undo = append(undo, func() error { return e.releaseName(made.Name, made.ID) })
	if err := c.base(ctx, o); err != nil {
		return nil, err
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	volumes, err := lock(e.volumes(), unix.LOCK_SH) // until others see which ones we have
	if err != nil {
		return nil, err
	}
	defer volumes.Close()
	undo = append(undo, func() error { return made.removeVolumes() })
	if err := c.makeVolumes(); err != nil {
		return nil, err
	}
	if err := c.makeLayers(); err != nil {
		return nil, err
	}
	if err := c.letIn(); err != nil {
		return nil, err
	}
	if err := errors.Join(writeJSON(c.path(recordFile), c.Record), c.writeState()); err != nil {
		return nil, err
	}
	if err := c.publish(); err != nil {
		return nil, err
	}
	return c, nil
}

// publish gives the container's directory its name. From then on others find it, and its image is in use.
func (c *Container) publish() error {
	rename := func() error { return os.Rename(c.dir, c.engine.dir(c.ID)) }
	err := error(nil)
	if c.image == nil {
		err = rename()
	} else {
		err = c.engine.images.Use(c.image, rename)
	}
	if err == nil {
		c.dir = c.engine.dir(c.ID)
	}
	return err
}

// makeHidden makes the directory of a container to be, which nobody looks for, and locks it.
func (e *Engine) makeHidden(id string) (held *os.File, err error) {
	for {
		if err := os.Mkdir(e.hidden(id), 0o700); err != nil {
			return nil, err
		}
		held, err = lock(e.hidden(id), unix.LOCK_EX)
		if !errors.Is(err, os.ErrNotExist) { // else it was taken for left over, and removed
			return held, err
		}
	}
}

// base finds out what the container is made of.
func (c *Container) base(ctx context.Context, o CreateOptions) (err error) {
	if o.Rootfs != "" {
		c.Rootfs, err = filepath.Abs(o.Rootfs)
		if err == nil {
			c.Rootfs, err = filepath.EvalSymlinks(c.Rootfs)
		}
		if err != nil {
			return fmt.Errorf("--rootfs: %w", err)
		}
		c.Config = o.Over(ocispec.Config{})
		c.Layers = []string{c.Rootfs}
	} else if err := c.useImage(ctx, o); err != nil {
		return err
	}
	if len(c.Config.Args()) == 0 {
		c.Config.Cmd = []string{"/bin/sh"}
		if c.Rootfs == "" {
			return fmt.Errorf("image %s has no command of its own: say one after its name", o.Image)
		}
	}
	if c.Mounts, err = c.Options.AllMounts(c.Config); err != nil {
		return err
	}
	return c.checkConnection()
}

// makeLayers makes the directories for what the container writes.
func (c *Container) makeLayers() error {
	for _, name := range []string{"upper", "work", "rootfs"} {
		if err := os.Mkdir(c.path(name), 0o755); err != nil {
			return err
		}
	}
	return nil
}

// letIn lets the root of a user namespace come by on its way to the root file system: that is somebody else to the
// host. Nobody else may.
func (c *Container) letIn() error {
	users := c.Options.Userns
	if users.Size == 0 {
		return nil
	}
	return errors.Join(os.Chown(c.dir, -1, int(users.First)), os.Chmod(c.dir, 0o710))
}
