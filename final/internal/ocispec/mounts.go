//go:build linux

package ocispec

import (
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// defaultShm is the size of /dev/shm.
const defaultShm = 64 << 20

// mounts are the kernel's file systems, and then the files and directories of the host. What a person wants at the
// place of one of the former replaces it; who mounts a /dev gets nothing in it.
func (m *maker) mounts() error {
	own := m.hostFiles()
	for _, mount := range m.c.Mounts {
		added, err := m.mount(mount)
		if err != nil {
			return err
		}
		same := func(s specs.Mount) bool { return s.Destination == added.Destination }
		own = append(slices.DeleteFunc(own, same), added)
	}
	for _, mount := range m.kernelMounts() {
		replaced := slices.ContainsFunc(own, func(s specs.Mount) bool {
			at := s.Destination
			return at == mount.Destination || at == "/dev" && strings.HasPrefix(mount.Destination, "/dev/")
		})
		if !replaced {
			m.spec.Mounts = append(m.spec.Mounts, mount)
		}
	}
	m.spec.Mounts = append(m.spec.Mounts, own...)
	return nil
}

// kernelMounts are those that the kernel answers itself, and those in memory.
func (m *maker) kernelMounts() []specs.Mount {
	devpts := []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"}
	if size := m.o.Userns.Size; size == 0 || size > 5 {
		devpts = append(devpts, "gid=5") // tty, on every distribution
	}
	mounts := []specs.Mount{
		{Destination: "/proc", Type: "proc", Source: "proc", Options: []string{"nosuid", "noexec", "nodev"}},
		{Destination: "/dev", Type: "tmpfs", Source: "tmpfs",
			Options: []string{"nosuid", "strictatime", "mode=755", "size=65536k"}},
		{Destination: "/dev/pts", Type: "devpts", Source: "devpts", Options: devpts},
		{Destination: "/sys", Type: "sysfs", Source: "sysfs", Options: m.guarded(m.o.Privileged)},
		{Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup",
			Options: m.guarded(m.o.Privileged || m.o.Security.WritableCgroups)},
	}
	return append(mounts, m.ipcMounts()...)
}

// guarded are the options of a file system that shows the machine, which is read-only unless it may be written.
func (m *maker) guarded(writable bool) []string {
	options := []string{"nosuid", "noexec", "nodev"}
	if !writable || m.o.ReadOnly {
		options = append(options, "ro")
	}
	return options
}

// ipcMounts are message queues and shared memory. The queues are those of the IPC namespace, whichever it is.
func (m *maker) ipcMounts() []specs.Mount {
	bind := func(source, target string) specs.Mount {
		return specs.Mount{Destination: target, Type: "bind", Source: source,
			Options: []string{"rbind", "rprivate", "nosuid", "noexec", "nodev"}}
	}
	mounts := []specs.Mount{
		{Destination: "/dev/mqueue", Type: "mqueue", Source: "mqueue", Options: []string{"nosuid", "noexec", "nodev"}},
	}
	size := m.o.ShmSize
	if size == 0 {
		size = defaultShm
	}
	_, other := Other(m.o.IPC)
	switch {
	case m.o.IPC == "none":
	case m.o.IPC == "host":
		mounts = append(mounts, bind("/dev/shm", "/dev/shm"))
	case other && m.c.Shm != "":
		mounts = append(mounts, bind(m.c.Shm, "/dev/shm"))
	default:
		mounts = append(mounts, specs.Mount{Destination: "/dev/shm", Type: "tmpfs", Source: "shm",
			Options: []string{"nosuid", "noexec", "nodev", "mode=1777", fmt.Sprintf("size=%d", size)}})
	}
	return mounts
}

// hostFiles are the files that the engine keeps for a container, and the init process.
func (m *maker) hostFiles() (mounts []specs.Mount) {
	access := "rw"
	if m.o.ReadOnly {
		access = "ro"
	}
	for _, file := range []struct{ source, target, access string }{
		{m.c.Resolv, "/etc/resolv.conf", access},
		{m.c.HostnameFile, "/etc/hostname", access},
		{m.c.Hosts, "/etc/hosts", access},
		{m.c.Init, initPath, "ro"},
	} {
		if file.source == "" || file.target == initPath && !m.o.Init {
			continue
		}
		mounts = append(mounts, specs.Mount{Destination: file.target, Type: "bind", Source: file.source,
			Options: []string{"rbind", "rprivate", file.access}})
	}
	return mounts
}

// mount is one of a person's, or an image's volume.
func (m *maker) mount(mount Mount) (specs.Mount, error) {
	if mount.Type == Tmpfs {
		return specs.Mount{Destination: mount.Target, Type: "tmpfs", Source: "tmpfs", Options: mount.Options}, nil
	}
	if mount.Source == "" {
		return specs.Mount{}, fmt.Errorf("volume %q for %s: where it is on the host is not known", mount.Name, mount.Target)
	}
	bind, propagation, access := "rbind", "rprivate", "rw"
	if mount.NonRecursive {
		bind = "bind"
	}
	if mount.Propagation != "" {
		propagation = mount.Propagation
	}
	switch {
	case mount.ReadOnly && !mount.NonRecursive && slices.Compare(m.h.Kernel[:], []int{5, 12}) >= 0:
		access = "rro" // and so is what is mounted below the source (mount_setattr(2))
	case mount.ReadOnly:
		access = "ro"
	}
	m.propagate(propagation)
	return specs.Mount{Destination: mount.Target, Type: "bind", Source: mount.Source,
		Options: []string{bind, propagation, access}}, nil
}

// propagate lets mounts pass through the container's root, where one of its mounts is to pass them on.
func (m *maker) propagate(how string) {
	switch linux := m.spec.Linux; how {
	case "shared", "rshared":
		linux.RootfsPropagation = "shared"
	case "slave", "rslave":
		if linux.RootfsPropagation == "" {
			linux.RootfsPropagation = "rslave"
		}
	}
}
