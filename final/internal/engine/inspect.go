//go:build linux

package engine

import (
	"maps"
	"time"

	"github.com/simple-container/simple-container/final/internal/monitor"
	"github.com/simple-container/simple-container/final/internal/ocispec"
)

// Inspection is what is known of a container, in the shape that Docker's has. The names are Docker's too.
type Inspection struct {
	Id      string
	Created time.Time
	Path    string
	Args    []string
	State   struct {
		Status                                       string
		Running, Paused, Restarting, OOMKilled, Dead bool
		Pid, ExitCode                                int
		Error                                        string
		StartedAt, FinishedAt                        time.Time
	}
	Image          string
	ResolvConfPath string
	HostnamePath   string
	HostsPath      string
	LogPath        string
	Name           string
	RestartCount   int
	Driver         string
	Platform       string

	MountLabel, ProcessLabel, AppArmorProfile string // as the container has them from its next start on

	GraphDriver struct {
		Name string
		Data map[string]string
	}
	HostConfig      InspectedHost
	Mounts          []InspectedMount
	Config          InspectedConfig
	NetworkSettings any

	SizeRw, SizeRootFs *int64 `json:",omitempty"` // what it has written, and with its image; if it was asked for
}

// InspectedHost is what the host gives to the container.
type InspectedHost struct {
	Binds                                               []string
	NetworkMode                                         string
	PortBindings                                        any
	AutoRemove, Privileged, ReadonlyRootfs              bool
	CapAdd, CapDrop, SecurityOpt                        []string
	Init                                                bool
	Memory, MemorySwap, MemoryReservation, NanoCpus     int64
	CpuShares                                           uint64
	CpuPeriod                                           uint64
	CpuQuota                                            int64
	CpusetCpus, CpusetMems                              string
	PidsLimit                                           int64
	ShmSize                                             int64
	Sysctls                                             map[string]string
	Tmpfs                                               map[string]string
	IpcMode, PidMode, UTSMode, UsernsMode, CgroupnsMode string
	Ulimits                                             []ocispec.Ulimit
	Devices                                             []ocispec.Device
	Runtime                                             string

	RestartPolicy struct { // there is nobody who would start it again
		Name              string
		MaximumRetryCount int
	}
	LogConfig struct {
		Type   string
		Config map[string]string
	}
}

// InspectedMount is a mount of the container.
type InspectedMount struct {
	Type, Name, Source, Destination, Driver, Mode string
	RW                                            bool
	Propagation                                   string
}

// InspectedConfig is what the image and the person want.
type InspectedConfig struct {
	Hostname, Domainname, User              string
	AttachStdin, AttachStdout, AttachStderr bool
	Tty, OpenStdin, StdinOnce               bool
	Env, Cmd                                []string
	Image                                   string
	Volumes                                 map[string]struct{}
	WorkingDir                              string
	Entrypoint                              []string
	Labels                                  map[string]string
	StopSignal                              string
	StopTimeout                             *int                `json:",omitempty"`
	ExposedPorts                            map[string]struct{} `json:",omitempty"`
}

// Inspect says all there is to say of a container.
func (c *Container) Inspect() (*Inspection, error) {
	i := &Inspection{
		Id: c.ID, Created: c.Created, Image: c.ImageID, Name: "/" + c.Name, Driver: "overlay2", Platform: "linux",
		ResolvConfPath: c.path("resolv.conf"), HostnamePath: c.path("hostname"), HostsPath: c.path("hosts"),
		LogPath: c.path(monitor.LogFile),
	}
	args := c.Config.Args()
	i.Path, i.Args = args[0], args[1:]
	s := c.State
	i.State.Status, i.State.Running, i.State.Paused = string(s.Status), s.active(), s.Status == Paused
	i.State.OOMKilled, i.State.Pid, i.State.ExitCode, i.State.Error = s.OOMKilled, s.Pid, s.ExitCode, s.Error
	i.State.StartedAt, i.State.FinishedAt = s.StartedAt, s.FinishedAt
	i.GraphDriver.Name = "overlay2"
	i.GraphDriver.Data = map[string]string{
		"UpperDir": c.path("upper"), "WorkDir": c.path("work"), "MergedDir": c.path("rootfs"), "LowerDir": lowerDirs(c.Layers),
	}
	host, err := hostFacts(false)
	if err != nil {
		return nil, err
	}
	names, _ := c.Options.LSM(host) // an error is the start's to say
	i.MountLabel, i.ProcessLabel, i.AppArmorProfile = names.Files, names.Process, names.Profile
	i.HostConfig, i.Config = c.inspectHost(), c.inspectConfig(host)
	i.Mounts = c.inspectMounts()
	i.NetworkSettings = c.networkSettings()
	return i, nil
}

func lowerDirs(layers []string) (text string) {
	for _, dir := range layers { // the highest first, as overlayfs has it
		if text != "" {
			dir += ":"
		}
		text = dir + text
	}
	return text
}

func (c *Container) inspectHost() InspectedHost {
	o, r := c.Options, c.Options.Resources
	h := InspectedHost{
		NetworkMode: c.Network(), PortBindings: bindings(c.Wishes.Ports),
		AutoRemove: c.AutoRemove, Privileged: o.Privileged, ReadonlyRootfs: o.ReadOnly, CapAdd: o.CapAdd, CapDrop: o.CapDrop,
		Init: o.Init, Memory: r.Memory, MemorySwap: r.MemorySwap, MemoryReservation: r.Reservation, NanoCpus: r.NanoCPUs,
		CpuShares: r.CPUShares, CpuPeriod: r.CPUPeriod, CpuQuota: r.CPUQuota, CpusetCpus: r.CpusetCPUs, CpusetMems: r.CpusetMems,
		PidsLimit: r.Pids, ShmSize: o.ShmSize, Sysctls: o.Sysctls, IpcMode: o.IPC, PidMode: o.PID, UTSMode: o.UTS,
		CgroupnsMode: o.Cgroup, Ulimits: o.Ulimits, Devices: o.Devices, Runtime: "final",
	}
	h.RestartPolicy.Name, h.LogConfig.Type, h.LogConfig.Config = "no", "json-file", map[string]string{}
	for _, m := range o.Mounts {
		if m.Type == ocispec.Bind {
			h.Binds = append(h.Binds, m.Source+":"+m.Target)
		}
	}
	return h
}

func (c *Container) inspectConfig(host ocispec.Host) InspectedConfig {
	config := InspectedConfig{
		Hostname: c.Options.HostnameOf(c.ID, host), Domainname: c.Options.Domainname, User: c.Config.User,
		AttachStdin: c.Once, AttachStdout: true, AttachStderr: true,
		Tty: c.Options.Terminal, OpenStdin: c.Options.Stdin, StdinOnce: c.Once, Env: c.Config.Env, Cmd: c.Config.Cmd,
		Image: c.Image, WorkingDir: c.Config.Workdir, Entrypoint: c.Config.Entrypoint, Labels: map[string]string{},
		StopSignal: c.StopSignal(), StopTimeout: c.StopTimeout, Volumes: places(c.Config.Volumes), ExposedPorts: places(c.Config.ExposedPorts),
	}
	maps.Copy(config.Labels, c.Config.Labels)
	return config
}

func places(list []string) map[string]struct{} {
	if len(list) == 0 {
		return nil
	}
	set := map[string]struct{}{}
	for _, place := range list {
		set[place] = struct{}{}
	}
	return set
}

func (c *Container) inspectMounts() []InspectedMount {
	list := []InspectedMount{}
	for _, m := range c.Mounts {
		if m.Type == ocispec.Tmpfs {
			continue
		}
		one := InspectedMount{
			Type: m.Type, Name: m.Name, Source: m.Source, Destination: m.Target, RW: !m.ReadOnly, Propagation: m.Propagation,
		}
		if m.Type == ocispec.Volume {
			one.Driver = "local"
		}
		if m.ReadOnly {
			one.Mode = "ro"
		}
		list = append(list, one)
	}
	return list
}
