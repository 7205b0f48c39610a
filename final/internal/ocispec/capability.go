//go:build linux

package ocispec

import (
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// defaultCapabilities are those that root in a container has unless asked otherwise: enough for what the usual
// programs do as root, and nothing that reaches out of the namespaces.
var defaultCapabilities = []string{
	"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD", "CAP_NET_RAW", "CAP_SETGID", "CAP_SETUID",
	"CAP_SETFCAP", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_KILL", "CAP_AUDIT_WRITE",
}

// allCapabilities stands for all in --cap-add and --cap-drop.
const allCapabilities = "ALL"

// ParseCapability reads a name as people write it: chown, CAP_CHOWN, all.
func ParseCapability(text string) string {
	name := strings.ToUpper(strings.TrimSpace(text))
	if name == allCapabilities || name == "CAP_ALL" {
		return allCapabilities
	}
	if !strings.HasPrefix(name, "CAP_") {
		name = "CAP_" + name
	}
	return name
}

// capabilities gives them to the process. One that is not root has the bounding set only, as if it had been root and
// changed its user; programs with capabilities of their own can still get these (capabilities(7)). None is
// inheritable (CVE-2022-24769).
func (m *maker) capabilities() error {
	list, err := m.capabilityList()
	if err != nil {
		return err
	}
	m.spec.Process.Capabilities = &specs.LinuxCapabilities{Bounding: list}
	if m.c.User.UID == 0 {
		m.spec.Process.Capabilities.Effective = list
		m.spec.Process.Capabilities.Permitted = list
	}
	return nil
}

func (m *maker) capabilityList() ([]string, error) {
	if m.o.Privileged {
		return m.h.Capabilities, nil
	}
	add, err := m.named("cap-add", m.o.CapAdd)
	if err != nil {
		return nil, err
	}
	drop, err := m.named("cap-drop", m.o.CapDrop)
	if err != nil {
		return nil, err
	}
	dropped := func(name string) bool { return slices.Contains(drop, name) }
	switch {
	case slices.Contains(add, allCapabilities):
		return slices.DeleteFunc(slices.Clone(m.h.Capabilities), dropped), nil
	case dropped(allCapabilities):
		return add, nil
	}
	list := slices.DeleteFunc(slices.Clone(defaultCapabilities), func(name string) bool {
		return dropped(name) || !slices.Contains(m.h.Capabilities, name)
	})
	for _, name := range add {
		if !slices.Contains(list, name) {
			list = append(list, name)
		}
	}
	return list, nil
}

// named reads the names of a flag. What is to be dropped need not be there.
func (m *maker) named(flag string, names []string) (list []string, err error) {
	for _, text := range names {
		name := ParseCapability(text)
		switch {
		case name != allCapabilities && !slices.Contains(m.h.KnownCapabilities, name):
			return nil, refuse(flag, text, "no capability has the name")
		case flag == "cap-add" && name != allCapabilities && !slices.Contains(m.h.Capabilities, name):
			return nil, refuse(flag, text, name+" is not ours to give: this kernel, or whoever started us, has it not")
		}
		if !slices.Contains(list, name) {
			list = append(list, name)
		}
	}
	return list, nil
}
