//go:build linux

package confine

import (
	"fmt"
	"math/bits"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// capabilities are all there are, by number (linux/capability.h), and what they allow, in a few words.
var capabilities = [...]struct{ name, allows string }{
	unix.CAP_CHOWN:              {"CAP_CHOWN", "give files to other users"},
	unix.CAP_DAC_OVERRIDE:       {"CAP_DAC_OVERRIDE", "pass over the permissions of files"},
	unix.CAP_DAC_READ_SEARCH:    {"CAP_DAC_READ_SEARCH", "read whatever file it likes"},
	unix.CAP_FOWNER:             {"CAP_FOWNER", "change the mode of files of others"},
	unix.CAP_FSETID:             {"CAP_FSETID", "keep set-user-ID on a file that is written"},
	unix.CAP_KILL:               {"CAP_KILL", "signal processes of others"},
	unix.CAP_SETGID:             {"CAP_SETGID", "become any group"},
	unix.CAP_SETUID:             {"CAP_SETUID", "become any user"},
	unix.CAP_SETPCAP:            {"CAP_SETPCAP", "change its bounding set and secure bits"},
	unix.CAP_LINUX_IMMUTABLE:    {"CAP_LINUX_IMMUTABLE", "write files that are marked immutable"},
	unix.CAP_NET_BIND_SERVICE:   {"CAP_NET_BIND_SERVICE", "listen on ports below 1024"},
	unix.CAP_NET_BROADCAST:      {"CAP_NET_BROADCAST", "send broadcasts"},
	unix.CAP_NET_ADMIN:          {"CAP_NET_ADMIN", "configure networks and firewalls"},
	unix.CAP_NET_RAW:            {"CAP_NET_RAW", "send packets of any kind"},
	unix.CAP_IPC_LOCK:           {"CAP_IPC_LOCK", "keep memory from being swapped"},
	unix.CAP_IPC_OWNER:          {"CAP_IPC_OWNER", "use shared memory of others"},
	unix.CAP_SYS_MODULE:         {"CAP_SYS_MODULE", "load modules into the kernel"},
	unix.CAP_SYS_RAWIO:          {"CAP_SYS_RAWIO", "talk to hardware directly"},
	unix.CAP_SYS_CHROOT:         {"CAP_SYS_CHROOT", "chroot"},
	unix.CAP_SYS_PTRACE:         {"CAP_SYS_PTRACE", "look into processes of others"},
	unix.CAP_SYS_PACCT:          {"CAP_SYS_PACCT", "switch process accounting"},
	unix.CAP_SYS_ADMIN:          {"CAP_SYS_ADMIN", "mount, make namespaces, and a hundred things more"},
	unix.CAP_SYS_BOOT:           {"CAP_SYS_BOOT", "reboot the machine"},
	unix.CAP_SYS_NICE:           {"CAP_SYS_NICE", "come before others at the processor"},
	unix.CAP_SYS_RESOURCE:       {"CAP_SYS_RESOURCE", "exceed resource limits"},
	unix.CAP_SYS_TIME:           {"CAP_SYS_TIME", "set the clock"},
	unix.CAP_SYS_TTY_CONFIG:     {"CAP_SYS_TTY_CONFIG", "configure terminals of others"},
	unix.CAP_MKNOD:              {"CAP_MKNOD", "make device nodes"},
	unix.CAP_LEASE:              {"CAP_LEASE", "be told when others open a file"},
	unix.CAP_AUDIT_WRITE:        {"CAP_AUDIT_WRITE", "write to the audit log"},
	unix.CAP_AUDIT_CONTROL:      {"CAP_AUDIT_CONTROL", "configure the audit log"},
	unix.CAP_SETFCAP:            {"CAP_SETFCAP", "give capabilities to files"},
	unix.CAP_MAC_OVERRIDE:       {"CAP_MAC_OVERRIDE", "pass over security modules"},
	unix.CAP_MAC_ADMIN:          {"CAP_MAC_ADMIN", "configure security modules"},
	unix.CAP_SYSLOG:             {"CAP_SYSLOG", "read the kernel's log"},
	unix.CAP_WAKE_ALARM:         {"CAP_WAKE_ALARM", "wake the machine up"},
	unix.CAP_BLOCK_SUSPEND:      {"CAP_BLOCK_SUSPEND", "keep the machine awake"},
	unix.CAP_AUDIT_READ:         {"CAP_AUDIT_READ", "read the audit log"},
	unix.CAP_PERFMON:            {"CAP_PERFMON", "measure other programs"},
	unix.CAP_BPF:                {"CAP_BPF", "load programs into the kernel"},
	unix.CAP_CHECKPOINT_RESTORE: {"CAP_CHECKPOINT_RESTORE", "choose process ids"},
}

// Capabilities returns the names of all capabilities, by number.
func Capabilities() []string {
	names := make([]string, 0, len(capabilities))
	for _, c := range capabilities {
		names = append(names, c.name)
	}
	return names
}

// capabilityNumber is the number of a capability, or -1.
func capabilityNumber(name string) int {
	for number, c := range capabilities {
		if c.name == name {
			return number
		}
	}
	return -1
}

// capabilityName is the name of a capability, or its number if it is newer than this program.
func capabilityName(number int) string {
	if number < len(capabilities) {
		return capabilities[number].name
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
// not have, that the runtime does not have itself, or that another set does not allow, cannot be given, and is
// left out with a warning, as the specification wants it. Without the field there are none: what is not listed is
// not kept.
func setsOf(p *specs.Process, h Host) (s sets, warnings []string, err error) {
	c := p.Capabilities
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
			number := capabilityNumber(name)
			switch {
			case number < 0:
				return s, nil, fmt.Errorf("process.capabilities.%s: %q: unknown capability", list.name, name)
			case number > h.LastCapability:
				warnings = append(warnings, fmt.Sprintf(
					"process.capabilities.%s: %q: the running kernel does not have it", list.name, name))
			case !set(h.Held).has(number):
				warnings = append(warnings, fmt.Sprintf(
					"process.capabilities.%s: %q: the runtime does not have it itself", list.name, name))
			default:
				*list.set |= 1 << number
			}
		}
	}
	return s, append(warnings, s.reduce(p.User.UID == 0)...), nil
}

// reduce leaves out what capset(2) and prctl(2) would refuse, and says so in words, which those lack. It says nothing
// of what root's programs have without being ambient: builders of images list that with each step.
func (s *sets) reduce(root bool) (warnings []string) {
	for _, rule := range []struct {
		name string
		set  *set
		of   set
		in   string
	}{
		{"effective", &s.effective, s.permitted, "permitted"},
		{"inheritable", &s.inheritable, s.bounding, "bounding"},
		{"ambient", &s.ambient, s.permitted, "permitted"},
		{"ambient", &s.ambient, s.inheritable & s.bounding, "inheritable"},
	} {
		excess := *rule.set &^ rule.of
		*rule.set &= rule.of
		if root && rule.set == &s.ambient {
			excess &^= s.bounding & s.permitted
		}
		if excess != 0 {
			warnings = append(warnings, fmt.Sprintf("process.capabilities.%s: can't raise %s capability %v: not among the %s ones",
				rule.name, rule.name, excess, rule.in))
		}
	}
	return warnings
}
