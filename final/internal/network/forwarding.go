//go:build linux

package network

import (
	"path/filepath"
	"strings"
)

// sysctl is the file of a setting of the kernel: net.ipv4.ip_forward, with slashes for dots where a link's name
// has dots.
func sysctl(name string) string {
	return filepath.Join("/proc/sys", strings.ReplaceAll(name, ".", "/"))
}

// silence keeps IPv6 off the host's end of a cable: what comes there is the bridge's, and the kernel need not give
// it an address, ask whether somebody has it, and greet the routers.
func (h *Host) silence(link string) {
	path := filepath.Join("/proc/sys/net/ipv6/conf", link, "disable_ipv6")
	if hasIPv6() {
		_ = h.Door.Write(path, "1") // nothing breaks where it stays
	}
}
