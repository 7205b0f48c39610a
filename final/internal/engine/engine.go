//go:build linux

// Package engine is containers as Docker's users know them: run, exec, logs, stop, rm, by name.
//
// It turns options and an image into a bundle and drives the packages below: image and overlay for the root
// file system, network for the connection, runtime for the life cycle. It owns what lasts longer than one
// command: names, records, logs, volumes, and the monitor that stays with each container (package monitor). There
// is no daemon. What a command finds half-done, because another one was killed, it brings to an end first.
//
//	DATA-ROOT/containers/ID/container.json  what was asked for; written once
//	                        state.json      where it is in its life; replaced as a whole
//	                        exit            how it ended, from the monitor, until state.json says so
//	                        log             what it wrote
//	                        config.json     the bundle, made anew at each start
//	                        upper work      what the container has changed (overlayfs)
//	                        rootfs          where that is mounted, in the mount namespace of the monitor
//	                        shm             another container's /dev/shm, mounted there too
//	                        hosts hostname resolv.conf
//	                        gate/           locked by who traces: the command waits
//	                        keep/           locked by who restarts it: with --rm it stays
//	                        errors          what went wrong in the monitor
//	                     .ID/               one that is being made, or removed
//	          names/NAME -> ID              one file for a name: who makes it has it
//	          volumes/NAME/                 volume.json and data
//	          points/                       the lowest layer: places to mount on
//	/run/simple-container/engine/ID/        locked as long as the monitor lives; attach.sock
//
// A container's directory is locked by whoever changes it. It may import every package below it, and knows
// nothing of the command line or the web page above. Each of the steps is a small part of it; step 05 comes
// nearest to the whole.
package engine

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/simple-container/simple-container/final/internal/image"
	"github.com/simple-container/simple-container/final/internal/kernel"
	"github.com/simple-container/simple-container/final/internal/runtime"
)

// An Engine is a set of containers: those below a data root.
type Engine struct {
	Root    string   // the data root; absolute
	Run     string   // what does not outlast the machine; absolute
	Program []string // the argv of this program before the verbs begin and end, for monitors

	Door *kernel.Door
	OCI  *runtime.Runtime

	store  sync.Once
	images *image.Store
	failed error
}

// The places of an engine that nobody has told otherwise.
const (
	DataRoot = "/var/lib/simple-container"
	RunDir   = kernel.StateDir + "/engine"
)

// Images is the store that the containers' images are in.
func (e *Engine) Images() (*image.Store, error) {
	e.store.Do(func() {
		if e.images, e.failed = image.Open(e.Root); e.failed == nil {
			e.images.Users = e.usersOf
		}
	})
	return e.images, e.failed
}

// usersOf returns the names of the containers that were made from an image.
func (e *Engine) usersOf(id string) (names []string, err error) {
	all, err := e.records()
	for _, c := range all {
		if c.ImageID == id {
			names = append(names, c.Name)
		}
	}
	return names, err
}

func (e *Engine) containers() string         { return filepath.Join(e.Root, "containers") }
func (e *Engine) dir(id string) string       { return filepath.Join(e.containers(), id) }
func (e *Engine) hidden(id string) string    { return filepath.Join(e.containers(), "."+id) }
func (e *Engine) runDir(id string) string    { return filepath.Join(e.Run, id) }
func (e *Engine) names() string              { return filepath.Join(e.Root, "names") }
func (e *Engine) volumes() string            { return filepath.Join(e.Root, "volumes") }
func (c *Container) path(name string) string { return filepath.Join(c.dir, name) }

// A Container is one of an engine's.
type Container struct {
	Record
	State State

	engine *Engine
	dir    string
	image  *image.Image // while it is being made
}

// makeDirectories makes the places that all containers share.
func (e *Engine) makeDirectories() error {
	for dir, mode := range map[string]fs.FileMode{e.containers(): 0o711, e.names(): 0o700, e.volumes(): 0o700} {
		// To pass, not to look; and where that leads to files of containers, not even that, for others: set-user-id
		// programs among them are root's on this machine too.
		if err := os.MkdirAll(filepath.Dir(dir), 0o711); err != nil {
			return err
		}
		if err := os.Mkdir(dir, mode); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return e.makePoints()
}
