//go:build linux

package confine

import (
	"fmt"
	"math/bits"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// capabilityNames are all there are, by number (linux/capability.h).
var capabilityNames = [...]string{
	unix.CAP_CHOWN: "CAP_CHOWN", unix.CAP_DAC_OVERRIDE: "CAP_DAC_OVERRIDE",
	unix.CAP_DAC_READ_SEARCH: "CAP_DAC_READ_SEARCH", unix.CAP_FOWNER: "CAP_FOWNER", unix.CAP_FSETID: "CAP_FSETID",
	unix.CAP_KILL: "CAP_KILL", unix.CAP_SETGID: "CAP_SETGID", unix.CAP_SETUID: "CAP_SETUID",
	unix.CAP_SETPCAP: "CAP_SETPCAP", unix.CAP_LINUX_IMMUTABLE: "CAP_LINUX_IMMUTABLE",
	unix.CAP_NET_BIND_SERVICE: "CAP_NET_BIND_SERVICE", unix.CAP_NET_BROADCAST: "CAP_NET_BROADCAST",
	unix.CAP_NET_ADMIN: "CAP_NET_ADMIN", unix.CAP_NET_RAW: "CAP_NET_RAW", unix.CAP_IPC_LOCK: "CAP_IPC_LOCK",
	unix.CAP_IPC_OWNER: "CAP_IPC_OWNER", unix.CAP_SYS_MODULE: "CAP_SYS_MODULE", unix.CAP_SYS_RAWIO: "CAP_SYS_RAWIO",
	unix.CAP_SYS_CHROOT: "CAP_SYS_CHROOT", unix.CAP_SYS_PTRACE: "CAP_SYS_PTRACE", unix.CAP_SYS_PACCT: "CAP_SYS_PACCT",
	unix.CAP_SYS_ADMIN: "CAP_SYS_ADMIN", unix.CAP_SYS_BOOT: "CAP_SYS_BOOT", unix.CAP_SYS_NICE: "CAP_SYS_NICE",
	unix.CAP_SYS_RESOURCE: "CAP_SYS_RESOURCE", unix.CAP_SYS_TIME: "CAP_SYS_TIME",
	unix.CAP_SYS_TTY_CONFIG: "CAP_SYS_TTY_CONFIG", unix.CAP_MKNOD: "CAP_MKNOD", unix.CAP_LEASE: "CAP_LEASE",
	unix.CAP_AUDIT_WRITE: "CAP_AUDIT_WRITE", unix.CAP_AUDIT_CONTROL: "CAP_AUDIT_CONTROL",
	unix.CAP_SETFCAP: "CAP_SETFCAP", unix.CAP_MAC_OVERRIDE: "CAP_MAC_OVERRIDE", unix.CAP_MAC_ADMIN: "CAP_MAC_ADMIN",
	unix.CAP_SYSLOG: "CAP_SYSLOG", unix.CAP_WAKE_ALARM: "CAP_WAKE_ALARM", unix.CAP_BLOCK_SUSPEND: "CAP_BLOCK_SUSPEND",
	unix.CAP_AUDIT_READ: "CAP_AUDIT_READ", unix.CAP_PERFMON: "CAP_PERFMON", unix.CAP_BPF: "CAP_BPF",
	unix.CAP_CHECKPOINT_RESTORE: "CAP_CHECKPOINT_RESTORE",
}

// Capabilities returns the names of all capabilities, by number.
func Capabilities() []string { return slices.Clone(capabilityNames[:]) }

// capabilityName is the name of a capability, or its number if it is newer than this program.
func capabilityName(number int) string {
	if number < len(capabilityNames) {
		return capabilityNames[number]
	}
	return fmt.Sprint(number)
}

// A set holds capabilities, a bit each.
type set uint64

func (s set) has(number int) bool { return s>>number&1 == 1 }

// String returns the names, as in a flag word.
func (s set) String() string {
	if s == 0 {
		return "0"
	}
	var names []string
	for rest := s; rest != 0; rest &= rest - 1 {
		names = append(names, capabilityName(bits.TrailingZeros64(uint64(rest))))
	}
	return strings.Join(names, "|")
}

// sets are the five of capabilities(7). At execve, the kernel computes a process's effective and permitted
// capabilities from the others, for root from bounding and inheritable, for other users from ambient. So the
// bounding set is what holds for ever.
type sets struct{ bounding, effective, permitted, inheritable, ambient set }

// setsOf reads process.capabilities. A name that nobody knows is refused; a capability that this kernel does
// not have, or that the runtime does not have itself, cannot be given, and is left out with a warning, as the
// specification wants it. Without the field there are none: what is not listed is not kept.
func setsOf(c *specs.LinuxCapabilities, h Host) (s sets, warnings []string, err error) {
	if c == nil {
		return sets{}, nil, nil
	}
	for _, list := range []struct {
		name  string
		names []string
		set   *set
	}{
		{"bounding", c.Bounding, &s.bounding},
		{"effective", c.Effective, &s.effective},
		{"permitted", c.Permitted, &s.permitted},
		{"inheritable", c.Inheritable, &s.inheritable},
		{"ambient", c.Ambient, &s.ambient},
	} {
		for _, name := range list.names {
			number := slices.Index(capabilityNames[:], name)
			switch {
			case number < 0 || name == "":
				return s, nil, fmt.Errorf("process.capabilities.%s: %q: unknown capability", list.name, name)
			case number > h.LastCapability:
				warnings = append(warnings, fmt.Sprintf("process.capabilities.%s: %q: the running kernel does not have it",
					list.name, name))
			case !set(h.Held).has(number):
				warnings = append(warnings, fmt.Sprintf("process.capabilities.%s: %q: the runtime does not have it itself",
					list.name, name))
			default:
				*list.set |= 1 << number
			}
		}
	}
	return s, warnings, s.check()
}

// check refuses what capset(2) and prctl(2) would, with the words that they lack.
func (s sets) check() error {
	for _, rule := range []struct {
		excess set
		field  string
		of     string
	}{
		{s.effective &^ s.permitted, "effective", "permitted"},
		{s.inheritable &^ s.bounding, "inheritable", "bounding"},
		{s.ambient &^ s.permitted, "ambient", "permitted"},
		{s.ambient &^ s.inheritable, "ambient", "inheritable"},
	} {
		if rule.excess != 0 {
			return fmt.Errorf("process.capabilities.%s: %v: not among the %s ones", rule.field, rule.excess, rule.of)
		}
	}
	return nil
}
