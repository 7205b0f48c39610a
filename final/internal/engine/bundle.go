//go:build linux

package engine

import (
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/ocispec"
	_ "github.com/simple-container/simple-container/final/internal/reaper" // which takes over where it is process 1
)

// spec is the container's config.json. Its root file system is mounted.
func (c *Container) spec(host ocispec.Host) (s *specs.Spec, err error) {
	prepared := ocispec.Container{
		ID: c.ID, Root: c.path("rootfs"), Mounts: c.Mounts,
		Hosts: c.path("hosts"), HostnameFile: c.path("hostname"), Resolv: c.path("resolv.conf"),
	}
	if prepared.User, err = c.user(c.path("rootfs"), c.Config.User, c.Options.Groups); err != nil {
		return nil, err
	}
	if prepared.Devices, err = nodes(c.Options.Devices); err != nil {
		return nil, err
	}
	if c.Options.Init {
		if prepared.Init, err = initProgram(); err != nil {
			return nil, err
		}
	}
	if err := c.joinOthers(&prepared); err != nil {
		return nil, err
	}
	// Config is the options over the image's already, and they may be laid over it again.
	return ocispec.Spec(c.Options, c.Config, prepared, host)
}

// user finds out whom a name means in the container's own files.
func (c *Container) user(root, name string, groups []string) (ocispec.User, error) {
	open := func(path string) (io.Reader, func(), error) {
		file, err := openRegularIn(root, path)
		if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) {
			return nil, func() {}, nil
		}
		if err != nil {
			return nil, nil, err
		}
		const most = 16 << 20
		return io.LimitReader(file, most), func() { file.Close() }, nil
	}
	passwd, closePasswd, err := open("/etc/passwd")
	if err != nil {
		return ocispec.User{}, err
	}
	defer closePasswd()
	group, closeGroup, err := open("/etc/group")
	if err != nil {
		return ocispec.User{}, err
	}
	defer closeGroup()
	return ocispec.LookUpUser(name, groups, passwd, group)
}

// A share is a namespace that is to be another container's.
type share struct {
	flag, name string
	kind       specs.LinuxNamespaceType
	file       string // below /proc/PID/ns
}

func (c *Container) shares() (list []share) {
	o := c.Options
	for _, s := range []share{
		{"--network", o.Network, specs.NetworkNamespace, "net"},
		{"--pid", o.PID, specs.PIDNamespace, "pid"},
		{"--ipc", o.IPC, specs.IPCNamespace, "ipc"},
	} {
		if name, ok := ocispec.Other(s.name); ok {
			s.name = name
			list = append(list, s)
		}
	}
	return list
}

// joinOthers finds the namespaces of other containers that are to be shared.
func (c *Container) joinOthers(prepared *ocispec.Container) error {
	prepared.Namespaces = map[specs.LinuxNamespaceType]string{}
	for _, share := range c.shares() {
		other, err := c.engine.Find(share.name)
		if err != nil {
			return fmt.Errorf("%s: %w", share.flag, err)
		}
		if other.State.Status != Running {
			return fmt.Errorf("container %s is %s: its %s namespace can be shared while it runs", other.Name, other.State.Status, share.file)
		}
		prepared.Namespaces[share.kind] = fmt.Sprintf("/proc/%d/ns/%s", other.State.Pid, share.file)
		switch share.kind {
		case specs.IPCNamespace:
			if prepared.Shm, err = c.joinShm(other.State.Pid); err != nil {
				return fmt.Errorf("--ipc container:%s: %w", share.name, err)
			}
		case specs.NetworkNamespace:
			prepared.Hosts, prepared.HostnameFile, prepared.Resolv = other.path("hosts"), other.path("hostname"), other.path("resolv.conf")
			prepared.Hostname = other.Options.HostnameOf(other.ID, ocispec.Host{})
		}
	}
	return nil
}

// check refuses what config.json cannot say, while nothing has been made yet. What the container's own files say, as
// whose the user's name is, and whether other containers run, the start will show.
func (c *Container) check() error {
	host, err := hostFacts(c.Options.Privileged)
	if err != nil {
		return err
	}
	prepared := ocispec.Container{
		ID: c.ID, Root: c.path("rootfs"), Mounts: slices.Clone(c.Mounts), Init: "/", Namespaces: map[specs.LinuxNamespaceType]string{},
	}
	for i := range prepared.Mounts {
		if prepared.Mounts[i].Source == "" {
			prepared.Mounts[i].Source = "/" // of volumes that are not made yet
		}
	}
	for _, share := range c.shares() {
		if _, err := c.engine.Find(share.name); err != nil {
			return fmt.Errorf("%s: %w", share.flag, err)
		}
		prepared.Namespaces[share.kind] = "/"
	}
	if prepared.Devices, err = nodes(c.Options.Devices); err != nil {
		return err
	}
	_, err = ocispec.Spec(c.Options, c.Config, prepared, host)
	return err
}

// initProgram is the program of --init on the host: this one, which knows by its name what it is to be (package
// reaper). The container has no libraries for it.
func initProgram() (string, error) {
	self, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return "", err
	}
	file, err := elf.Open(self)
	if err != nil {
		return "", fmt.Errorf("--init: %w", err)
	}
	defer file.Close()
	for _, part := range file.Progs {
		if part.Type == elf.PT_INTERP {
			return "", errors.New("--init: this program needs libraries, which the container may not have: build it with CGO_ENABLED=0")
		}
	}
	return self, nil
}
