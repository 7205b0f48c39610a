//go:build linux

package overlay

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/kernel"
)

// IDs are the users and groups of a container with a user namespace: 0 to Size-1 in the layers are First to
// First+Size-1 in the mount. With Size 0 they are the same.
//
// What is written in the mount is stored with the owners that it has in the container. So one image serves containers
// with any ids, and an upper layer does not show which it had.
type IDs struct{ First, Size uint32 }

// namespace is a user namespace of these ids, in which nobody is.
func (ids IDs) namespace(d *kernel.Door) (*os.File, error) {
	mapping := []syscall.SysProcIDMap{{ContainerID: 0, HostID: int(ids.First), Size: int(ids.Size)}}
	return d.NewUserNamespace(mapping, mapping)
}

// mapped makes the mount of layers that are mapped. The overlay itself cannot be, so each layer is mounted over its
// own directory, mapped; in a mount namespace that nobody else sees and that ends with the thread. The overlay keeps
// its own copies of those mounts.
func (s Stack) mapped(d *kernel.Door) (tree *os.File, err error) {
	place := filepath.Dir(s.Upper)
	if filepath.Dir(s.Work) != place {
		return nil, fmt.Errorf("overlay: %s and %s: want them beside one another", s.Upper, s.Work)
	}
	if err := kernel.MountSetattr(); err != nil {
		return nil, fmt.Errorf("overlay: mapped layers: %w", err)
	}
	namespace, err := s.IDs.namespace(d)
	if err != nil {
		return nil, err
	}
	defer namespace.Close()
	err = kernel.OnThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
			return os.NewSyscallError("unshare", err)
		}
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			return os.NewSyscallError("mount / MS_REC|MS_PRIVATE", err)
		}
		for _, dir := range append(slices.Clone(s.Lowers), place) {
			if err := cover(d, dir, namespace); err != nil {
				return err
			}
		}
		// An overlay does its own work, such as copying a file up, as the one who has mounted it, and whom the layers do
		// not map cannot make files in them: the mount would be read-only.
		if err := kernel.ActAs(int(s.IDs.First), int(s.IDs.First)); err != nil {
			return err
		}
		tree, err = s.mappedTree(d)
		return err
	})
	return tree, err
}

// cover mounts a directory over itself, mapped.
func cover(d *kernel.Door, dir string, namespace *os.File) error {
	layer, err := d.OpenTree(dir, false)
	if err != nil {
		return err
	}
	defer layer.Close()
	if err := d.IDMap(layer, false, namespace); err != nil {
		return err
	}
	return attach(d, layer, dir)
}

// mappedTree makes the mount where the layers are covered. An old kernel mounts only at places: the directory of the
// upper layer is one, and the copy of that mount is mounted nowhere.
func (s Stack) mappedTree(d *kernel.Door) (*os.File, error) {
	switch {
	case len(s.Lowers) == 0:
		return d.OpenTree(s.Upper, false)
	case appendsLayers() == nil:
		return s.create(d)
	}
	if err := s.mountByString(d, s.Upper); err != nil {
		return nil, err
	}
	return d.OpenTree(s.Upper, false)
}
