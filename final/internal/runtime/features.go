//go:build linux

package runtime

import (
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/opencontainers/runtime-spec/specs-go/features"

	"github.com/simple-container/simple-container/final/internal/cgroup"
	"github.com/simple-container/simple-container/final/internal/confine"
	"github.com/simple-container/simple-container/final/internal/kernel"
	"github.com/simple-container/simple-container/final/internal/plan"
	"github.com/simple-container/simple-container/final/internal/rootfs"
)

// Features says what this runtime can do, in the form of the specification. What the running kernel can do is
// another matter.
func Features() *features.Features {
	yes, no := true, false
	var namespaces []string
	for _, kind := range plan.Kinds {
		namespaces = append(namespaces, string(kind.Type))
	}
	slices.Sort(namespaces)
	return &features.Features{
		OCIVersionMin: "1.0.0",
		OCIVersionMax: specs.Version,
		Hooks:         []string{"prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"},
		MountOptions:  rootfs.MountOptions(),

		PotentiallyUnsafeConfigAnnotations: []string{cgroup.PropertyPrefix},

		Linux: &features.Linux{
			Namespaces:   namespaces,
			Capabilities: confine.Capabilities(),
			Cgroup:       &features.Cgroup{V1: &yes, V2: &yes, Systemd: &yes, SystemdUser: &yes, Rdma: &yes},
			Seccomp: &features.Seccomp{
				Enabled: &yes, Actions: confine.Actions(), Operators: confine.Operators(), Archs: confine.Architectures(),
				KnownFlags: confine.FilterFlags(^uint(0)), SupportedFlags: confine.FilterFlags(kernel.SeccompFlags()),
			},
			Apparmor:        &features.Apparmor{Enabled: &yes},
			Selinux:         &features.Selinux{Enabled: &yes},
			IntelRdt:        &features.IntelRdt{Enabled: &no, Schemata: &no, Monitoring: &no},
			MemoryPolicy:    &features.MemoryPolicy{Modes: confine.MemoryPolicyModes(), Flags: confine.MemoryPolicyFlags()},
			MountExtensions: &features.MountExtensions{IDMap: &features.IDMap{Enabled: &yes}},
			NetDevices:      &features.NetDevices{Enabled: &yes},
		},
	}
}
