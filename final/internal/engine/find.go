//go:build linux

package engine

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/simple-container/simple-container/final/internal/naming"
)

// noun is what a container is in errors about its name.
const noun = "container"

func notFound(name string) error { return &naming.NotFoundError{Kind: noun, Name: name} }

// IsNotFound tells whether an error says that there is no such container.
func IsNotFound(err error) bool {
	return naming.IsNotFound(err, noun)
}

// Find returns the container that has an id, a name, or an id that begins so. Its error is a [*naming.NotFoundError] or
// a [*naming.AmbiguousError] where there is none. What is left of a monitor that was killed is cleared away first.
func (e *Engine) Find(reference string) (*Container, error) {
	id, err := e.resolve(strings.TrimPrefix(reference, "/"))
	if err != nil {
		return nil, err
	}
	c, err := e.load(id)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, notFound(reference)
	}
	if err != nil {
		return nil, err
	}
	if err := c.settle(); err != nil {
		return nil, err
	}
	if !c.exists() { // it was left over itself, with --rm
		return nil, notFound(reference)
	}
	c.askKernel()
	return c, nil
}

// load reads a container.
func (e *Engine) load(id string) (*Container, error) {
	c := &Container{engine: e, dir: e.dir(id)}
	if err := c.readRecord(); err != nil {
		return nil, err
	}
	return c, c.readState()
}

func (e *Engine) resolve(reference string) (id string, err error) {
	if isID(reference) {
		if _, err := os.Lstat(e.dir(reference)); err == nil {
			return reference, nil
		}
		return "", notFound(reference)
	}
	if checkName(reference) == nil {
		id, err := os.Readlink(filepath.Join(e.names(), reference))
		if errors.Is(err, fs.ErrPermission) { // who is not root cannot tell
			return "", err
		}
		if err == nil {
			if _, err := os.Lstat(e.dir(id)); err == nil {
				return id, nil
			}
		}
	}
	if !isHex(reference) {
		return "", &naming.NotFoundError{Kind: noun, Name: reference, Similar: naming.Similar(reference, e.Names())}
	}
	ids, err := e.ids()
	if err != nil {
		return "", err
	}
	var matching []string
	for _, id := range ids {
		if strings.HasPrefix(id, reference) {
			matching = append(matching, id)
		}
	}
	switch len(matching) {
	case 0:
		return "", &naming.NotFoundError{Kind: noun, Name: reference, Similar: naming.Similar(reference, e.Names())}
	case 1:
		return matching[0], nil
	}
	slices.Sort(matching)
	return "", &naming.AmbiguousError{Kind: noun, Prefix: reference, IDs: matching}
}

// ids returns those of all containers.
func (e *Engine) ids() (ids []string, err error) {
	entries, err := os.ReadDir(e.containers())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, entry := range entries {
		if isID(entry.Name()) {
			ids = append(ids, entry.Name())
		}
	}
	return ids, nil
}

// Names returns the names of all containers.
func (e *Engine) Names() []string {
	entries, _ := os.ReadDir(e.names()) // none is what there is to say of an error, too
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}
