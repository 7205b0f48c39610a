//go:build linux

package resolver

import (
	"encoding/json"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// names is who is on the network, as the state files say.
type names struct {
	dir string

	mutex    sync.Mutex
	seen     time.Time // when the directory had last changed, when it was read
	settled  bool      // and whether that was long enough before
	stations []station
	subnets  []netip.Prefix
}

// A station is what is read of a connection's file.
type station struct {
	ID      string       `json:"id"`
	Name    string       `json:"name"`
	Aliases []string     `json:"aliases"`
	IPv4    netip.Prefix `json:"ipv4"`
	IPv6    netip.Prefix `json:"ipv6"`
	DNS     []string     `json:"dns"`
}

// granularity is how far apart two changes must be for their times to differ in any file system.
const granularity = 50 * time.Millisecond

// refresh reads the files again, if one has come or gone.
func (n *names) refresh() {
	directory := filepath.Join(n.dir, "endpoints")
	info, err := os.Stat(directory)
	if err != nil || n.settled && info.ModTime().Equal(n.seen) {
		return
	}
	n.seen, n.settled = info.ModTime(), time.Since(info.ModTime()) > granularity
	n.stations, n.subnets = nil, nil
	entries, _ := os.ReadDir(directory)
	for _, entry := range entries {
		var s station
		if strings.HasSuffix(entry.Name(), ".json") && readJSON(filepath.Join(directory, entry.Name()), &s) {
			n.stations = append(n.stations, s)
		}
	}
	var network struct {
		Subnet  netip.Prefix `json:"subnet"`
		Subnet6 netip.Prefix `json:"subnet6"`
	}
	if readJSON(filepath.Join(n.dir, "network.json"), &network) {
		n.subnets = []netip.Prefix{network.Subnet, network.Subnet6}
	}
}

// readJSON tells whether it could; a file that has just gone is no station any more.
func readJSON(path string, value any) bool {
	text, err := os.ReadFile(path)
	return err == nil && json.Unmarshal(text, value) == nil
}

// called are the addresses of those that have a name: as a name, an alias, or the beginning of the id.
func (n *names) called(name string) (addresses []netip.Addr) {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	n.refresh()
	for _, s := range n.stations {
		same := func(other string) bool { return strings.EqualFold(other, name) }
		if same(s.Name) || slices.ContainsFunc(s.Aliases, same) || same(s.ID) || len(s.ID) > 12 && same(s.ID[:12]) {
			addresses = append(addresses, s.IPv4.Addr(), s.IPv6.Addr())
		}
	}
	return slices.DeleteFunc(addresses, func(a netip.Addr) bool { return !a.IsValid() })
}

// at is what the station with an address is called, and whether the address is of this network at all.
func (n *names) at(address netip.Addr) (name string, ours bool) {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	n.refresh()
	for _, s := range n.stations {
		if s.IPv4.Addr() == address || s.IPv6.Addr() == address {
			if name = s.Name; name == "" {
				name = s.ID[:min(12, len(s.ID))]
			}
			return name, true
		}
	}
	return "", slices.ContainsFunc(n.subnets, func(p netip.Prefix) bool { return p.IsValid() && p.Contains(address) })
}

// servers are those that a station wants to be asked for it; none: the host's.
func (n *names) servers(address netip.Addr) []string {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	n.refresh()
	for _, s := range n.stations {
		if s.IPv4.Addr() == address || s.IPv6.Addr() == address {
			return s.DNS
		}
	}
	return nil
}

// addressOf is the address without the port.
func addressOf(a net.Addr) netip.Addr {
	station, _ := netip.ParseAddrPort(a.String())
	return station.Addr().Unmap().WithZone("")
}
