//go:build linux

package ocispec

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// modes are the values of the flags for namespaces, beside "container:NAME", which those with other have.
var modes = []struct {
	flag  string
	words []string
	other bool
}{
	{"pid", []string{"", "host", "private"}, true},
	{"ipc", []string{"", "host", "none", "private", "shareable"}, true},
	{"uts", []string{"", "host", "private"}, false},
	{"cgroupns", []string{"", "host", "private"}, false},
}

// CheckMode refuses what --pid, --ipc, --uts and --cgroupns do not know. A name behind "container:" is the caller's to
// resolve.
func CheckMode(flag, text string) error {
	for _, mode := range modes {
		if mode.flag != flag {
			continue
		}
		name, isOther := Other(text)
		if slices.Contains(mode.words, text) || mode.other && isOther && name != "" {
			return nil
		}
		want := "want " + strings.Join(mode.words[1:], ", ")
		if mode.other {
			want += " or container:NAME"
		}
		return refuse(flag, text, want)
	}
	return nil
}

// Other takes the name out of "container:NAME".
func Other(mode string) (name string, ok bool) { return strings.CutPrefix(mode, "container:") }

// newNetwork tells whether the container has a network of its own.
func (o Options) newNetwork() bool {
	_, other := Other(o.Network)
	return o.Network != "host" && !other
}

// A Userns maps the ids of a user namespace: 0 to Size-1 in the container are First to First+Size-1 on the host. With
// Size 0 there is none.
type Userns struct{ First, Size uint32 }

// ParseUserns reads --userns: "host" is no user namespace, FIRST:SIZE one that maps that range of the host's ids.
func ParseUserns(text string) (u Userns, err error) {
	if text == "" || text == "host" {
		return u, nil
	}
	first, size, ok := strings.Cut(text, ":")
	from, err1 := strconv.ParseUint(first, 10, 32)
	number, err2 := strconv.ParseUint(size, 10, 32)
	if !ok || err1 != nil || err2 != nil || number == 0 || from+number > 1<<32-1 {
		return u, refuse("userns", text, "want host, or a range of the host's ids, FIRST:SIZE, as 100000:65536")
	}
	return Userns{uint32(from), uint32(number)}, nil
}

// namespaces are those that the container does not share with the host.
func (m *maker) namespaces() error {
	if err := m.checkModes(); err != nil {
		return err
	}
	add := func(kind specs.LinuxNamespaceType, mode string) {
		if mode != "host" {
			m.spec.Linux.Namespaces = append(m.spec.Linux.Namespaces,
				specs.LinuxNamespace{Type: kind, Path: m.c.Namespaces[kind]})
		}
	}
	if u := m.o.Userns; u.Size > 0 {
		add(specs.UserNamespace, "")
		mapping := []specs.LinuxIDMapping{{ContainerID: 0, HostID: u.First, Size: u.Size}}
		m.spec.Linux.UIDMappings, m.spec.Linux.GIDMappings = mapping, mapping
	}
	add(specs.MountNamespace, "")
	add(specs.NetworkNamespace, m.o.Network)
	add(specs.UTSNamespace, m.o.UTS)
	add(specs.PIDNamespace, m.o.PID)
	add(specs.IPCNamespace, m.o.IPC)
	add(specs.CgroupNamespace, m.cgroupMode())
	return nil
}

// cgroupMode is Docker's: on a host with cgroup v1 the namespace is the host's unless asked otherwise.
func (m *maker) cgroupMode() string {
	switch {
	case m.o.Cgroup != "":
		return m.o.Cgroup
	case m.h.CgroupV2:
		return "private"
	}
	return "host"
}

// checkModes refuses what does not go together.
func (m *maker) checkModes() error {
	o := m.o
	for _, mode := range []struct{ flag, value string }{
		{"pid", o.PID}, {"ipc", o.IPC}, {"uts", o.UTS}, {"cgroupns", o.Cgroup},
	} {
		if err := CheckMode(mode.flag, mode.value); err != nil {
			return err
		}
	}
	for _, kind := range []struct {
		flag, mode string
		kind       specs.LinuxNamespaceType
	}{
		{"network", o.Network, specs.NetworkNamespace},
		{"pid", o.PID, specs.PIDNamespace},
		{"ipc", o.IPC, specs.IPCNamespace},
	} {
		if _, other := Other(kind.mode); other && m.c.Namespaces[kind.kind] == "" {
			return refuse(kind.flag, kind.mode, "the container has no such namespace to join")
		}
	}
	if o.UTS == "host" && o.Hostname != "" {
		return refuse("hostname", o.Hostname, "the host's name cannot be changed (--uts host)")
	}
	if _, other := Other(o.Network); other && o.Hostname != "" {
		return refuse("hostname", o.Hostname, "the name is the other container's (--network container:NAME)")
	}
	if o.Userns.Size == 0 {
		return nil
	}
	for _, share := range []struct {
		flag string
		is   bool
	}{
		{"--privileged", o.Privileged},
		{"--network host", o.Network == "host"},
		{"--pid host", o.PID == "host"},
		{"--ipc host", o.IPC == "host"},
	} {
		if share.is {
			return fmt.Errorf("--userns: not together with %s: its root has no rights over what is the host's", share.flag)
		}
	}
	return m.checkIDs()
}

// checkIDs refuses a user whom the user namespace does not map.
func (m *maker) checkIDs() error {
	u := m.c.User
	for _, id := range append([]uint32{u.UID, u.GID}, u.Groups...) {
		if id >= m.o.Userns.Size {
			return fmt.Errorf("--user: id %d: --userns maps 0 to %d", id, m.o.Userns.Size-1)
		}
	}
	return nil
}

// HostnameOf is the name of a container with this id.
func (o Options) HostnameOf(id string, h Host) string {
	switch {
	case o.Hostname != "":
		return o.Hostname
	case h.Hostname != "" && (o.Network == "host" || o.UTS == "host"):
		return h.Hostname
	}
	return id[:min(len(id), 12)]
}

// checkHostname refuses what the kernel, or a name server, would (hostname(7)).
func checkHostname(name string) error {
	odd := func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '.' || r == '_')
	}
	if len(name) > 64 || strings.ContainsFunc(name, odd) || strings.HasPrefix(name, "-") || strings.HasPrefix(name, ".") {
		return refuse("hostname", name, "want at most 64 letters, digits, hyphens and dots, a letter or digit first")
	}
	return nil
}
