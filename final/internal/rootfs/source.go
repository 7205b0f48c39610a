//go:build linux

package rootfs

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/kernel"
)

// Prepared returns the mounts of the spec that the container side cannot make, by their index: those whose files
// get other owners, tmpfs that begin with a copy of what they cover, and in a user namespace the sources of bind
// mounts, which its root may not be able to reach. Sources prepares them.
func Prepared(s *specs.Spec, o Options) (list []int) {
	b := newBuilder(nil, s, o, nil)
	for i := range s.Mounts {
		if b.prepares(i) {
			list = append(list, i)
		}
	}
	return list
}

func (b *builder) prepares(i int) bool {
	o, mapped := b.options[i], b.maps(i)
	switch {
	case o.remount || o.check(b.MountSetattr) != nil || mapped && !b.MountSetattr:
		return false // Prepare refuses it, in better words
	case o.copyUp:
		return b.spec.Mounts[i].Type == "tmpfs"
	}
	if _, ok := b.inside(i); ok && !mapped {
		return false
	}
	return o.bind != 0 && (mapped || b.UserNamespace && os.Geteuid() == 0)
}

// maps tells whether the files of a mount are to get other owners.
func (b *builder) maps(i int) bool {
	return b.options[i].idmap != 0 || len(b.spec.Mounts[i].UIDMappings) > 0
}

// Sources prepares those mounts. userns is the container's user namespace if it exists already, else nil. The
// files are the caller's, to pass on by their numbers in Options.Sources, and to close.
func Sources(d *kernel.Door, s *specs.Spec, o Options, userns *os.File) (files map[int]*os.File, err error) {
	opened := map[int]*os.File{}
	defer func() {
		if files == nil {
			for _, file := range opened {
				file.Close()
			}
		}
	}()
	b := newBuilder(nil, s, o, nil)
	for _, i := range Prepared(s, o) {
		opt, mapped := b.options[i], b.maps(i)
		var file *os.File
		switch {
		case opt.copyUp:
			file, err = b.copyUp(d, i, opt)
		case mapped:
			file, err = b.idmapped(d, i, opt, userns)
		default:
			file, err = b.openSource(d, i, opt)
		}
		switch barred := errors.Is(err, unix.EPERM); {
		case barred && !mapped && !opt.copyUp:
			continue // root of a user namespace itself: the container side may have better luck
		case barred && os.Geteuid() != 0:
			err = fmt.Errorf("tmpcopyup, idmap: only root can prepare such a mount: %w", err)
		}
		if err != nil {
			return nil, fmt.Errorf("mounts[%d]: %w", i, err)
		}
		opened[i] = file
	}
	return opened, nil
}

// openSource copies the source of a bind mount. A copy made on the host is a peer of the original: unless the
// spec wants that, it becomes a slave, as it would be if the container side had made it.
func (b *builder) openSource(d *kernel.Door, i int, o options) (*os.File, error) {
	tree, err := d.OpenTree(b.source(i), o.bind&unix.MS_REC != 0)
	if err != nil {
		return nil, fmt.Errorf("source: %w", err)
	}
	if flags, err := b.rootPropagation(); err != nil || flags&unix.MS_SHARED == 0 {
		if err := errors.Join(err, d.Enslave(tree)); err != nil {
			tree.Close()
			return nil, fmt.Errorf("source: %w", err)
		}
	}
	return tree, nil
}

// idmapped copies the source of a bind mount and gives its files other owners: those of the mount's own
// mappings, or of the container's.
func (b *builder) idmapped(d *kernel.Door, i int, o options, userns *os.File) (tree *os.File, err error) {
	m := b.spec.Mounts[i]
	uids, gids := m.UIDMappings, m.GIDMappings
	if len(uids) == 0 && b.spec.Linux != nil {
		uids, gids = b.spec.Linux.UIDMappings, b.spec.Linux.GIDMappings
	}
	if len(m.UIDMappings) > 0 || userns == nil {
		if len(uids) == 0 || len(gids) == 0 {
			return nil, errors.New("idmap: neither the mount nor the container has uidMappings and gidMappings")
		}
		if userns, err = d.NewUserNamespace(mappings(uids), mappings(gids)); err != nil {
			return nil, fmt.Errorf("uidMappings: %w", err)
		}
		defer userns.Close()
	}
	if tree, err = b.openSource(d, i, o); err != nil {
		return nil, err
	}
	if err := d.IDMap(tree, o.idmap&unix.MS_REC != 0, userns); err != nil {
		tree.Close()
		return nil, fmt.Errorf("idmap: source %s: %w", m.Source, err)
	}
	return tree, nil
}

func mappings(list []specs.LinuxIDMapping) (m []syscall.SysProcIDMap) {
	for _, row := range list {
		m = append(m, syscall.SysProcIDMap{ContainerID: int(row.ContainerID), HostID: int(row.HostID), Size: int(row.Size)})
	}
	return m
}
