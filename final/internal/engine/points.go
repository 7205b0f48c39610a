//go:build linux

package engine

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/simple-container/simple-container/final/internal/overlay"
)

// points are the places at which every container has something mounted. The runtime would make those that an image
// has not, and then diff and commit would say that the container has. So they are a layer of their own, below those
// of every image.
var points = []string{"dev/", "proc/", "sys/", "etc/", "etc/hosts", "etc/hostname", "etc/resolv.conf"}

// pointsLayer is that layer's directory.
func (e *Engine) pointsLayer() string { return filepath.Join(e.Root, "points") }

// makePoints makes the layer, if nobody has yet: the last point is there when all are.
func (e *Engine) makePoints() error {
	layer := e.pointsLayer() + "/"
	if _, err := os.Lstat(layer + points[len(points)-1]); err == nil {
		return nil
	}
	for _, point := range append([]string{""}, points...) {
		if err := makeOnce(layer + point); err != nil {
			return err
		}
	}
	return nil
}

// makeOnce makes a directory, or an empty file, unless it is there.
func makeOnce(path string) error {
	if strings.HasSuffix(path, "/") {
		if err := os.Mkdir(path, 0o755); !errors.Is(err, fs.ErrExist) {
			return err
		}
		return nil
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDONLY, 0o644)
	if err != nil {
		return err
	}
	return file.Close()
}

// lowers are the layers below the container's own, the lowest first. The kernel takes so many: then an image has to do
// without the points.
func (c *Container) lowers() []string {
	if len(c.Layers) >= overlay.Most {
		return c.Layers
	}
	return append([]string{c.engine.pointsLayer()}, c.Layers...)
}
