//go:build linux

package network

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// A container that has died takes its network namespace along, and with it the kernel takes both ends of the cable:
// a connection whose link is not there is a dead one's. (While one is being made, the lock is held.)

// ownerOf reads the connection that a lease or a port leads to. Where that is dead, or was never written, it is
// taken away, and nil is returned.
func (h *Host) ownerOf(path string) (*Connection, error) {
	target, err := os.Readlink(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	w, err := h.wire()
	if err != nil {
		return nil, err
	}
	defer w.Close()
	file := filepath.Join(filepath.Dir(path), target)
	c, n := &Connection{}, &Network{}
	err = read(file, c)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, h.remove(path)
	}
	if err != nil {
		return nil, err
	}
	link, err := w.find(c.Link)
	if err != nil || link != nil {
		return c, err
	}
	if err := read(filepath.Join(filepath.Dir(file), "../network.json"), n); err != nil {
		return nil, err
	}
	if err := h.part(w, n, c); err != nil {
		return nil, err
	}
	return nil, h.remove(path)
}

// anyAlive tells whether somebody is connected still. As a rule the first look finds one, so the directory is read
// in small pieces.
func (h *Host) anyAlive(w *wire, n *Network) (bool, error) {
	dir, err := os.Open(filepath.Join(n.dir(), "endpoints"))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer dir.Close()
	for {
		names, err := dir.Readdirnames(8)
		if errors.Is(err, io.EOF) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		for _, name := range names {
			id, ok := strings.CutSuffix(name, ".json")
			if !ok {
				continue
			}
			link, err := w.find(linkName(id))
			if err != nil || link != nil {
				return link != nil, err
			}
		}
	}
}

// buryDead takes away what dead containers have on a network: their connections, and leases that lead nowhere.
func (h *Host) buryDead(n *Network) error {
	_, err := h.leaveToTheDead(n)
	return err
}

// leaveToTheDead does that, and returns what the living are called.
func (h *Host) leaveToTheDead(n *Network) (living []string, err error) {
	w, err := h.wire()
	if err != nil {
		return nil, err
	}
	defer w.Close()
	entries, err := os.ReadDir(filepath.Join(n.dir(), "endpoints"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, entry := range entries {
		path := filepath.Join(n.dir(), "endpoints", entry.Name())
		c := &Connection{}
		if strings.HasSuffix(path, ".new") { // an interrupted write
			if err := h.remove(path); err != nil {
				return nil, err
			}
			continue
		}
		if err := read(path, c); err != nil {
			return nil, err
		}
		link, err := w.find(c.Link)
		if err != nil {
			return nil, err
		}
		if link != nil {
			living = append(living, c.label())
			continue
		}
		if err := h.part(w, n, c); err != nil {
			return nil, err
		}
	}
	ports, err := filepath.Glob(filepath.Join(portsDir, "*"))
	if err != nil {
		return nil, err
	}
	if err := h.removeDangling(append(ports, filepath.Join(n.dir(), "leases"))...); err != nil {
		return nil, err
	}
	return living, h.removeDirs(ports...)
}

// removeDangling removes the links in directories that lead nowhere.
func (h *Host) removeDangling(dirs ...string) error {
	for _, dir := range dirs {
		entries, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		for _, entry := range entries {
			path := filepath.Join(dir, entry.Name())
			if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
				if err := h.remove(path); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
