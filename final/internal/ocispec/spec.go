//go:build linux

package ocispec

import (
	"errors"
	"path"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// A maker is a spec in the making.
type maker struct {
	spec     *specs.Spec
	o        Options
	config   Config // the options over the image's config
	c        Container
	h        Host
	hostname string
}

// Spec returns config.json for a container: the table of contents of this package.
func Spec(o Options, image Config, c Container, h Host) (*specs.Spec, error) {
	m := &maker{o: o, config: o.Over(image), c: c, h: h, hostname: c.Hostname}
	if m.hostname == "" {
		m.hostname = o.HostnameOf(c.ID, h)
	}
	m.spec = &specs.Spec{
		Version:     specs.Version,
		Root:        &specs.Root{Path: c.Root, Readonly: o.ReadOnly},
		Process:     &specs.Process{Terminal: o.Terminal, OOMScoreAdj: o.OOMScore},
		Annotations: o.Annotations,
		Linux:       &specs.Linux{},
	}
	for _, part := range []func() error{
		m.name,
		m.command,
		m.directory,
		m.user,
		m.environment,
		m.rlimits,
		m.capabilities,
		m.security,
		m.seccomp,
		m.masks,
		m.namespaces,
		m.sysctls,
		m.mounts,
		m.devices,
		m.resources,
	} {
		if err := part(); err != nil {
			return nil, err
		}
	}
	return m.spec, nil
}

// name is the host's in the UTS namespace.
func (m *maker) name() error {
	if m.o.UTS == "host" {
		return nil
	}
	m.spec.Hostname = m.hostname
	return checkHostname(m.hostname)
}

// initPath is where the init process is in a container.
const initPath = "/sbin/docker-init"

// command is what the process executes: the entrypoint with the command as its arguments.
func (m *maker) command() error {
	args := m.config.Args()
	if len(args) == 0 {
		return errors.New("no command: the image has none, so give one after its name")
	}
	if m.o.Init {
		if m.c.Init == "" {
			return errors.New("--init: there is no program for it")
		}
		args = append([]string{initPath, "--"}, args...)
	}
	m.spec.Process.Args = args
	return nil
}

// Args is the whole command.
func (c Config) Args() []string {
	args := slices.Concat(c.Entrypoint, c.Cmd)
	if len(c.Entrypoint) == 1 && c.Entrypoint[0] == "" {
		return args[1:]
	}
	return args
}

// directory is where it starts. The runtime makes it if it is not there.
func (m *maker) directory() error {
	cwd := m.config.Workdir
	if cwd == "" {
		cwd = "/"
	}
	if !path.IsAbs(cwd) {
		return refuse("workdir", cwd, "want an absolute path in the container")
	}
	m.spec.Process.Cwd = path.Clean(cwd)
	return nil
}

func (m *maker) user() error {
	u := m.c.User
	groups := slices.Clone(u.Groups)
	if !slices.Contains(groups, u.GID) { // as login(1) has it, and Docker
		groups = append([]uint32{u.GID}, groups...)
	}
	m.spec.Process.User = specs.User{UID: u.UID, GID: u.GID, AdditionalGids: groups}
	return nil
}
