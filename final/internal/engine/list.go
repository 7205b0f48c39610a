//go:build linux

package engine

import (
	"errors"
	"io/fs"
	"runtime"
	"slices"
	"sync"

	cgroups "github.com/simple-container/simple-container/final/internal/cgroup"
)

// ListOptions are for List.
type ListOptions struct {
	All    bool // also those that do not run
	Filter Filter
}

// List returns the containers, the newest first. What is left of monitors that were killed is cleared away first.
func (e *Engine) List(o ListOptions) ([]*Container, error) {
	ids, err := e.ids()
	if err != nil {
		return nil, err
	}
	var (
		work  sync.WaitGroup
		mutex sync.Mutex
		list  []*Container
		errs  []error
		next  = make(chan string)
	)
	for range runtime.GOMAXPROCS(0) { // most of the time is the kernel's, and the files' text
		work.Go(func() {
			for id := range next {
				c, err := e.look(id, o)
				mutex.Lock()
				if err != nil {
					errs = append(errs, err)
				} else if c != nil {
					list = append(list, c)
				}
				mutex.Unlock()
			}
		})
	}
	for _, id := range ids {
		next <- id
	}
	close(next)
	work.Wait()
	slices.SortFunc(list, func(a, b *Container) int { return b.Created.Compare(a.Created) })
	return o.Filter.window(list), errors.Join(errs...)
}

// records returns all containers with what was asked for, and without their states. It clears nothing away, for which it
// would need locks: whoever asks may have one that others wait for.
func (e *Engine) records() (all []*Container, err error) {
	ids, err := e.ids()
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		c := &Container{engine: e, dir: e.dir(id)}
		err := c.readRecord()
		if errors.Is(err, fs.ErrNotExist) {
			continue // it has just been removed
		}
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	return all, nil
}

// look reads a container, if it is one that is asked for; else it is nil.
func (e *Engine) look(id string, o ListOptions) (*Container, error) {
	c := &Container{engine: e, dir: e.dir(id)}
	c.ID = id
	err := c.readState()
	if err == nil && !c.unfinished() && !o.All {
		return nil, nil // and its record need not be read
	}
	if err == nil {
		err = c.readRecord()
	}
	if err == nil {
		err = c.settle()
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // it has just been removed
	}
	if err != nil || !c.exists() || !o.All && !c.State.active() || !o.Filter.match(c) {
		return nil, err
	}
	c.askKernel()
	return c, nil
}

// askKernel finds out what is not in a file: whether the container is paused.
func (c *Container) askKernel() {
	if c.State.Status == Running && c.paused() {
		c.State.Status = Paused
	}
}

func (c *Container) paused() bool {
	frozen, err := cgroups.Load(c.State.Cgroups, "").Frozen()
	return err == nil && frozen
}
