//go:build linux

package ocispec

import (
	"slices"
	"strings"
)

// ParseSysctl reads --sysctl: NAME=VALUE.
func ParseSysctl(text string) (name, value string, err error) {
	name, value, ok := strings.Cut(text, "=")
	if !ok || name == "" {
		return "", "", refuse("sysctl", text, "want NAME=VALUE, as net.ipv4.ip_forward=1")
	}
	return name, value, nil
}

// ipcSysctls are the kernel parameters that each IPC namespace has for itself (ipc_namespaces(7)).
var ipcSysctls = []string{
	"kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem", "kernel.shmall", "kernel.shmmax",
	"kernel.shmmni", "kernel.shm_rmid_forced",
}

// sysctls are kernel parameters of the container's namespaces; the machine's are refused. In a network of its own,
// any process may open low ports and send pings, since the ports and the packets are its own.
func (m *maker) sysctls() error {
	all := map[string]string{}
	if m.o.newNetwork() {
		all["net.ipv4.ip_unprivileged_port_start"] = "0"
		if m.o.Userns.Size == 0 { // the range must be mapped
			all["net.ipv4.ping_group_range"] = "0 2147483647"
		}
	}
	for name, value := range m.o.Sysctls {
		flag := name + "=" + value
		switch {
		case strings.HasPrefix(name, "net."):
			if m.o.Network == "host" {
				return refuse("sysctl", flag, "the network is the host's (--network host), and so would the parameter be")
			}
		case slices.Contains(ipcSysctls, name) || strings.HasPrefix(name, "fs.mqueue."):
			if m.o.IPC == "host" {
				return refuse("sysctl", flag, "the IPC namespace is the host's (--ipc host), and so would the parameter be")
			}
		case name == "kernel.domainname":
			if m.o.UTS == "host" {
				return refuse("sysctl", flag, "the names are the host's (--uts host)")
			}
		default:
			return refuse("sysctl", flag, "the parameter is the whole machine's: want "+
				"net.*, fs.mqueue.*, kernel.domainname, or one of "+strings.Join(ipcSysctls, ", "))
		}
		all[name] = value
	}
	if m.o.Domainname != "" && m.o.UTS != "host" {
		m.spec.Domainname = m.o.Domainname
	}
	if len(all) > 0 {
		m.spec.Linux.Sysctl = all
	}
	return nil
}
