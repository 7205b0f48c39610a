//go:build linux

package ocispec

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/moby/profiles/seccomp"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// readSeccomp reads what is behind seccomp=: the name of a file, or a word. The text is read once now, so that a bad
// file is an error of the flag.
func readSeccomp(value string, readFile func(string) ([]byte, error)) (string, error) {
	switch value {
	case Unconfined:
		return Unconfined, nil
	case "builtin":
		return "", nil
	}
	text, err := readFile(value)
	if err != nil {
		return "", fmt.Errorf("want unconfined, builtin or the name of a profile: %w", err)
	}
	_, err = parseProfile(text)
	return string(text), err
}

// parseProfile reads a profile as Docker writes them: rules that hold only with some capabilities, on some
// architectures, from some version of the kernel on.
func parseProfile(text []byte) (*seccomp.Seccomp, error) {
	var p seccomp.Seccomp
	if err := json.Unmarshal(text, &p); err != nil {
		return nil, fmt.Errorf("seccomp profile: %w", err)
	}
	if len(p.Architectures) > 0 && len(p.ArchMap) > 0 {
		return nil, errors.New("seccomp profile: architectures and archMap: want one of them")
	}
	for i, call := range p.Syscalls {
		if call == nil || call.Name != "" && len(call.Names) > 0 {
			return nil, fmt.Errorf("seccomp profile: syscalls[%d]: want either name or names", i)
		}
	}
	return &p, nil
}

// seccomp gives the process its filter: what most programs never call, and those who break out do.
func (m *maker) seccomp() error {
	var profile *seccomp.Seccomp
	switch text := m.o.Security.Seccomp; {
	case text == Unconfined || text == "" && m.o.Privileged:
		return nil
	case text == "":
		profile = seccomp.DefaultProfile()
	default:
		var err error
		if profile, err = parseProfile([]byte(text)); err != nil {
			return err
		}
	}
	if profile.DefaultAction != "" || len(profile.Syscalls) > 0 {
		m.spec.Linux.Seccomp = m.specialise(profile)
	}
	return nil
}

// specialise leaves of a profile what holds for this container on this host.
func (m *maker) specialise(profile *seccomp.Seccomp) *specs.LinuxSeccomp {
	result := profile.LinuxSeccomp
	result.Architectures = slices.Clone(result.Architectures)
	for _, a := range profile.ArchMap {
		if a.Arch == specsArch(m.h.Arch) {
			result.Architectures = append(append(result.Architectures, a.Arch), a.SubArches...)
		}
	}
	result.Syscalls = nil
	for _, call := range profile.Syscalls {
		if m.excluded(call.Excludes) || !m.included(call.Includes) {
			continue
		}
		rule := call.LinuxSyscall
		if call.Name != "" {
			rule.Names = []string{call.Name}
		}
		result.Syscalls = append(result.Syscalls, rule)
	}
	return &result
}

// included tells whether all of a rule's conditions hold.
func (m *maker) included(f *seccomp.Filter) bool {
	if f == nil {
		return true
	}
	return (len(f.Arches) == 0 || slices.Contains(f.Arches, m.h.Arch)) &&
		!slices.ContainsFunc(f.Caps, func(name string) bool { return !m.has(name) }) &&
		(f.MinKernel == nil || m.kernelIs(f.MinKernel))
}

// excluded tells whether any of a rule's exceptions holds.
func (m *maker) excluded(f *seccomp.Filter) bool {
	if f == nil {
		return false
	}
	return slices.Contains(f.Arches, m.h.Arch) || slices.ContainsFunc(f.Caps, m.has) ||
		f.MinKernel != nil && m.kernelIs(f.MinKernel)
}

// has tells whether the container can ever have a capability.
func (m *maker) has(capability string) bool {
	return slices.Contains(m.spec.Process.Capabilities.Bounding, capability)
}

func (m *maker) kernelIs(least *seccomp.KernelVersion) bool {
	return slices.Compare(m.h.Kernel[:], []int{int(least.Kernel), int(least.Major)}) >= 0
}

// specsArch is how the specification calls an architecture of Go's.
func specsArch(arch string) specs.Arch {
	switch arch {
	case "amd64":
		return specs.ArchX86_64
	case "arm64":
		return specs.ArchAARCH64
	case "386":
		return specs.ArchX86
	case "arm":
		return specs.ArchARM
	}
	return ""
}
