//go:build linux

package ocispec

// Options are what a person asked for. The zero value is a container as the image wants it. They may be written as
// JSON and read again.
type Options struct {
	// The process.
	Args       []string // the command, in place of the image's; none leaves that
	Entrypoint []string // in place of the image's, whose command then does not count; empty, and not nil, is none
	Env        []string // NAME=value; a NAME alone takes the image's variable away
	Workdir    string
	User       string   // name, uid, name:group, uid:gid: the caller resolves it, by LookUpUser
	Groups     []string // further groups, by name or number
	Terminal   bool
	Stdin      bool // it stays open
	StopSignal string
	Init       bool // process 1 is one that reaps
	Ulimits    []Ulimit
	OOMScore   *int // oom_score_adj

	// What it is called, and what is noted of it.
	Hostname    string // empty is the id's beginning
	Domainname  string
	Labels      map[string]string
	Annotations map[string]string

	// What it may do.
	Privileged bool
	CapAdd     []string
	CapDrop    []string
	Security   Security

	// Files.
	ReadOnly    bool    // the root file system
	Mounts      []Mount // --volume, --mount, --tmpfs
	Devices     []Device
	DeviceRules []DeviceRule
	ShmSize     int64 // bytes; 0 is 64 MiB

	Resources Resources
	Sysctls   map[string]string

	// Namespaces. Empty is Docker's default.
	Network string // host, none, bridge, container:NAME, or a network's name
	PID     string // host, container:NAME
	IPC     string // host, none, private, shareable, container:NAME
	UTS     string // host
	Cgroup  string // host, private
	Userns  Userns
}

// A Config is what an image wants of its containers; with a person's options over it, it is one container's.
type Config struct {
	Entrypoint   []string
	Cmd          []string
	Env          []string
	Workdir      string
	User         string
	Volumes      []string // places in the container
	ExposedPorts []string // 80/tcp
	Labels       map[string]string
	StopSignal   string
}

// Over lays the options over an image's config, as Docker does: the result is the container's.
func (o Options) Over(image Config) Config {
	c := image
	if len(o.Args) > 0 || o.Entrypoint != nil {
		c.Cmd = o.Args
	}
	if o.Entrypoint != nil {
		c.Entrypoint = o.Entrypoint
	}
	c.Env = mergeEnv(o.Env, image.Env)
	c.Labels = mergeLabels(image.Labels, o.Labels)
	for _, field := range []struct {
		to   *string
		from string
	}{{&c.Workdir, o.Workdir}, {&c.User, o.User}, {&c.StopSignal, o.StopSignal}} {
		if field.from != "" {
			*field.to = field.from
		}
	}
	return c
}
