//go:build linux

package ocispec

import "github.com/opencontainers/runtime-spec/specs-go"

// A Container is what its owner has prepared for it.
type Container struct {
	ID   string
	Root string // the directory of its root file system
	User User   // whom Config.User means there

	Hostname string // that of another container, whose network it shares; empty is its own

	// Mounts are those of Options.AllMounts, in which each volume has the directory that it is in as its Source.
	Mounts []Mount

	// Files of the host that are to be /etc/hosts, /etc/hostname and /etc/resolv.conf; empty leaves the image's.
	Hosts, HostnameFile, Resolv string

	Devices []Node // what Options.Devices are

	CgroupPath string // as linux.cgroupsPath; empty leaves it to the runtime

	// Namespaces are the paths of those that there are already: of container:NAME, and of a network that is made
	// before the container.
	Namespaces map[specs.LinuxNamespaceType]string

	Shm  string // the directory that is to be /dev/shm, for IPC "container:NAME"
	Init string // the program of Options.Init, on the host
}

// A Host is what is known of the machine.
type Host struct {
	Arch   string // as GOARCH
	Kernel [2]int // version, as 6, 1
	// Capabilities are those that the runtime can give: CAP_CHOWN and so on. KnownCapabilities are all that have a
	// name.
	Capabilities, KnownCapabilities []string
	CPUs                            int  // how many; 0 is not known
	CgroupV2                        bool // and no hierarchy of v1 beside it
	Hostname                        string
	AppArmor                        bool   // it is switched on
	Profile                         string // of AppArmor, for containers that are told no other; empty is none
	SELinux                         bool
	Devices                         []specs.LinuxDevice // all of /dev, for --privileged
}

// A Node is a device of the host and what the container may do with it.
type Node struct {
	specs.LinuxDevice
	Access string // of r, w and m
}
