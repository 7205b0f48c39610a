//go:build linux

package engine

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/simple-container/simple-container/final/internal/cp"
	"github.com/simple-container/simple-container/final/internal/tree"
)

// CopyOptions are for CopyOut and CopyIn.
type CopyOptions struct {
	Owners, Follow bool
	Skip           func(name string) // is told what is left out
}

// CopyOut copies from the container to a path of the host, or if that is nil as an archive.
func (c *Container) CopyOut(from string, to *string, archive io.Writer, o CopyOptions) error {
	return c.withTrees(func(inside, host *tree.Tree) error {
		source := cp.Place{Tree: inside, Path: rooted(from)}
		options := c.copyOptions(o, true)
		if to == nil {
			return cp.Out(archive, source, options)
		}
		place, err := hostPath(*to)
		if err != nil {
			return err
		}
		return cp.Copy(source, cp.Place{Tree: host, Path: place}, options)
	})
}

// CopyIn copies a path of the host, or if that is nil an archive, into the container.
func (c *Container) CopyIn(from *string, archive io.Reader, to string, o CopyOptions) error {
	return c.withTrees(func(inside, host *tree.Tree) error {
		target := cp.Place{Tree: inside, Path: rooted(to)}
		options := c.copyOptions(o, false)
		if from == nil {
			return cp.In(archive, target, options)
		}
		place, err := hostPath(*from)
		if err != nil {
			return err
		}
		return cp.Copy(cp.Place{Tree: host, Path: place}, target, options)
	})
}

// Export writes the container's root file system as an archive, without what is mounted there.
func (c *Container) Export(w io.Writer) error {
	return c.withLayers(func(root string) error {
		inside, err := tree.Open(root)
		if err != nil {
			return err
		}
		defer inside.Close()
		return cp.Out(w, cp.Place{Tree: inside, Path: "/."}, c.copyOptions(CopyOptions{Owners: true}, true))
	})
}

// withTrees opens both sides.
func (c *Container) withTrees(use func(inside, host *tree.Tree) error) error {
	return c.WithRoot(func(root string) error {
		inside, err := tree.Open(root)
		if err != nil {
			return err
		}
		defer inside.Close()
		host, err := tree.Host()
		if err != nil {
			return err
		}
		defer host.Close()
		return use(inside, host)
	})
}

// copyOptions tell whom files belong to: outside to who copies, inside to the container's root.
func (c *Container) copyOptions(o CopyOptions, out bool) cp.Options {
	ours := cp.Owner{UID: os.Getuid(), GID: os.Getgid()}
	first := int(c.Options.Userns.First)
	theirs := cp.Owner{UID: first, GID: first}
	options := cp.Options{Follow: o.Follow, Owners: o.Owners, Skip: o.Skip, From: ours, To: theirs}
	if out {
		options.From, options.To = theirs, ours
	}
	switch { // the numbers are the same on both sides
	case o.Owners && out:
		options.To = cp.Owner{}
	case o.Owners:
		options.From = cp.Owner{}
	}
	return options
}

// rooted makes a container's path one from its root on, and keeps what its end says.
func rooted(path string) string {
	if !strings.HasPrefix(path, "/") {
		return "/" + path
	}
	return path
}

// hostPath makes a path of the host absolute, and keeps what its end says: a directory, or what is in it.
func hostPath(path string) (string, error) {
	if path == "" {
		return "", fmt.Errorf("cp: the path on the host is empty")
	}
	end := ""
	switch {
	case path == "." || strings.HasSuffix(path, "/."):
		end = "/."
	case path == ".." || strings.HasSuffix(path, "/..") || strings.HasSuffix(path, "/"):
		end = "/"
	}
	absolute, err := filepath.Abs(path)
	if absolute == "/" && end != "" {
		return "/" + strings.TrimPrefix(end, "/"), err
	}
	return absolute + end, err
}
