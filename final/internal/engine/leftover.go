//go:build linux

package engine

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/tree"
)

// A Leftover is what a command or a monitor that was killed has left behind. The next command that meets it clears
// it away; `final clean` looks for all of them.
type Leftover struct {
	Kind, Name string
	Remove     func() error // fs.ErrNotExist: somebody else was faster
}

// Leftovers returns what is left behind, and the names of the containers that live.
func (e *Engine) Leftovers() (found []Leftover, living []string, err error) {
	ids, err := e.ids()
	if err != nil {
		return nil, nil, err
	}
	for _, id := range ids {
		c, err := e.load(id)
		if errors.Is(err, fs.ErrNotExist) {
			continue // just removed
		}
		if err != nil {
			return nil, nil, err
		}
		if !c.unfinished() {
			continue
		}
		alive, err := c.isMonitored()
		switch {
		case err != nil:
			return nil, nil, err
		case alive:
			living = append(living, c.Name)
		default:
			found = append(found, Leftover{"container without monitor", c.Name, c.settle})
		}
	}
	for _, find := range []func() ([]Leftover, error){e.halfMade, e.staleNames, e.staleRuns, e.halfVolumes} {
		more, findErr := find()
		found, err = append(found, more...), errors.Join(err, findErr)
	}
	return found, living, err
}

// halfMade are containers that were being made or removed.
func (e *Engine) halfMade() (found []Leftover, err error) {
	return e.each(e.containers(), func(name string) (Leftover, bool) {
		id, hidden := strings.CutPrefix(name, ".")
		dir := filepath.Join(e.containers(), name)
		return Leftover{"half-made container", id, func() error { return e.removeHalfMade(id) }}, hidden && isID(id) && isFree(dir)
	})
}

// staleNames are those of containers that are not there.
func (e *Engine) staleNames() (found []Leftover, err error) {
	return e.each(e.names(), func(name string) (Leftover, bool) {
		id, err := os.Readlink(filepath.Join(e.names(), name))
		return Leftover{"name", name, func() error {
			if e.exists(id) {
				return fs.ErrNotExist
			}
			return e.releaseName(name, id)
		}}, err == nil && !e.exists(id)
	})
}

// staleRuns are directories of monitors that are gone, with their containers.
func (e *Engine) staleRuns() (found []Leftover, err error) {
	return e.each(e.Run, func(id string) (Leftover, bool) {
		dir := e.runDir(id)
		_, err := os.Lstat(e.dir(id))
		return Leftover{"directory", dir, func() error {
			_ = os.Remove(filepath.Join(dir, "attach.sock")) // it may not be there
			return os.Remove(dir)
		}}, isID(id) && errors.Is(err, fs.ErrNotExist) && !e.exists(id) && isFree(dir)
	})
}

// halfVolumes are volumes that were being made or removed.
func (e *Engine) halfVolumes() (found []Leftover, err error) {
	return e.each(e.volumes(), func(name string) (Leftover, bool) {
		dir := filepath.Join(e.volumes(), name)
		half := strings.HasPrefix(name, ".new-") || strings.HasPrefix(name, ".old-")
		return Leftover{"half-made volume", dir, func() error { return tree.Remove(dir) }}, half && isOld(dir)
	})
}

// each looks at the entries of a directory.
func (e *Engine) each(dir string, look func(name string) (Leftover, bool)) (found []Leftover, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, entry := range entries {
		if one, is := look(entry.Name()); is {
			found = append(found, one)
		}
	}
	return found, nil
}

// isFree tells whether nobody holds a directory's lock.
func isFree(dir string) bool {
	held, err := lock(dir, unix.LOCK_SH|unix.LOCK_NB)
	if err == nil {
		held.Close()
	}
	return err == nil
}

// isOld tells whether a directory has been there longer than it takes to make a volume.
func isOld(dir string) bool {
	var stat unix.Stat_t
	var now unix.Timespec
	if unix.Lstat(dir, &stat) != nil || unix.ClockGettime(unix.CLOCK_REALTIME, &now) != nil {
		return false
	}
	const enough = 60 // seconds
	return now.Sec-stat.Mtim.Sec > enough
}
