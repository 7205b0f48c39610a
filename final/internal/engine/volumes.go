//go:build linux

package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/kernel"
	"github.com/simple-container/simple-container/final/internal/ocispec"
	"github.com/simple-container/simple-container/final/internal/tree"
)

// A Volume is one that is here.
type Volume struct {
	Name    string
	Created time.Time
	Labels  map[string]string
	Dir     string   // its files
	Users   []string // the names of the containers that have it, running or not
}

// Volumes returns the volumes that are here, by name.
func (e *Engine) Volumes() (list []Volume, err error) {
	entries, err := os.ReadDir(e.volumes())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	users, err := e.volumeUsers()
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), ".") { // it is being made, or removed
			continue
		}
		v, err := e.readVolume(entry.Name(), users)
		if errors.Is(err, fs.ErrNotExist) {
			continue // it has just been removed
		}
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, nil
}

// Volume returns one of them.
func (e *Engine) Volume(name string) (v Volume, err error) {
	if err := ocispec.CheckVolumeName(name); err != nil {
		return v, err
	}
	users, err := e.volumeUsers()
	if err != nil {
		return v, err
	}
	v, err = e.readVolume(name, users)
	if errors.Is(err, fs.ErrNotExist) {
		return v, fmt.Errorf("no such volume: %s: see final volume ls", name)
	}
	return v, err
}

func (e *Engine) readVolume(name string, users map[string][]string) (Volume, error) {
	var v volume
	err := readJSON(filepath.Join(e.volumes(), name, "volume.json"), &v)
	return Volume{Name: name, Created: v.Created, Labels: v.Labels, Dir: e.volumeData(name), Users: users[name]}, err
}

// volumeUsers are the names of the containers that have each volume.
func (e *Engine) volumeUsers() (map[string][]string, error) {
	users := map[string][]string{}
	all, err := e.records()
	for _, c := range all {
		for _, m := range c.Mounts {
			if m.Type == ocispec.Volume {
				users[m.Name] = append(users[m.Name], c.Name)
			}
		}
	}
	return users, err
}

// CreateVolume makes a volume, unless it is there, and returns its name; without one it gets one.
func (e *Engine) CreateVolume(name string, labels map[string]string) (string, error) {
	if name == "" {
		name = newID()
	}
	err := ocispec.CheckVolumeName(name)
	if err == nil {
		err = e.makeDirectories()
	}
	if err == nil {
		err = e.makeVolume(volume{Name: name, Created: time.Now().UTC(), Labels: labels})
	}
	return name, err
}

// RemoveVolume removes a volume that no container has.
func (e *Engine) RemoveVolume(name string) error {
	if _, err := e.List(ListOptions{All: true}); err != nil { // which clears away containers with --rm that were killed
		return err
	}
	if _, err := e.Volume(name); err != nil {
		return err
	}
	return e.removeVolume(name)
}

// errInUse says that containers have a volume.
var errInUse = errors.New("containers have it")

// removeVolume removes a volume that is there. The lock keeps away who is just making a container that will have it.
func (e *Engine) removeVolume(name string) error {
	gone, err := e.hideVolume(name)
	if err != nil {
		return err
	}
	return tree.Remove(gone)
}

// hideVolume takes a volume its name, at once, whatever its size.
func (e *Engine) hideVolume(name string) (gone string, err error) {
	held, err := lock(e.volumes(), unix.LOCK_EX)
	if err != nil {
		return "", err
	}
	defer held.Close()
	users, err := e.volumeUsers()
	if err != nil {
		return "", err
	}
	if who := users[name]; len(who) > 0 {
		return "", fmt.Errorf("volume %s: %w: remove them first (final rm %s)", name, errInUse, strings.Join(who, " "))
	}
	place := filepath.Join(e.volumes(), name)
	mounts, err := e.Door.Mounts()
	if err != nil {
		return "", err
	}
	if at := kernel.MountsBelow(mounts, place); len(at) > 0 { // its files would stay, and it would be half a volume
		return "", fmt.Errorf("volume %s: something is mounted at %s: umount that first", name, at[0])
	}
	gone = filepath.Join(e.volumes(), ".old-"+newID())
	return gone, os.Rename(place, gone)
}
