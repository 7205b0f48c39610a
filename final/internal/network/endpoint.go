//go:build linux

package network

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/simple-container/simple-container/final/internal/kernel"
)

// An Endpoint is what is asked for: a container, to be connected to a network.
type Endpoint struct {
	ID         string     `json:"id"`
	Name       string     `json:"name,omitempty"`     // others on the network reach it by its name,
	Hostname   string     `json:"hostname,omitempty"` // itself by its host name,
	Aliases    []string   `json:"aliases,omitempty"`  // and others by these, which it may share
	Network    string     `json:"network"`            // "" is the default
	Namespace  string     `json:"namespace"`          // a path: /proc/PID/ns/net
	Address    netip.Addr `json:"-"`                  // zero: one that is free
	Address6   netip.Addr `json:"-"`                  // zero: the one with the same number
	MAC        string     `json:"mac"`                // "": out of the address
	Ports      []Port     `json:"ports,omitempty"`
	DNS        []string   `json:"dns,omitempty"`         // servers for what is not on the network; none: the host's
	DNSSearch  []string   `json:"dns_search,omitempty"`  // none: the host's; "." for really none
	DNSOptions []string   `json:"dns_options,omitempty"` // none: the host's
	ExtraHosts []string   `json:"extra_hosts,omitempty"` // name:address, or name:host-gateway
}

// A Connection is what was given.
type Connection struct {
	Endpoint
	Bridge   string       `json:"bridge"`
	Link     string       `json:"link"` // the host's end; the container's is eth0
	IPv4     netip.Prefix `json:"ipv4"`
	IPv6     netip.Prefix `json:"ipv6,omitzero"`
	Gateway  netip.Addr   `json:"gateway"`
	Gateway6 netip.Addr   `json:"gateway6,omitzero"`
	MTU      int          `json:"mtu"`

	Hosts      string `json:"-"` // what /etc/hosts is to say
	ResolvConf string `json:"-"` // and /etc/resolv.conf
}

// label is what people call it.
func (c *Connection) label() string {
	if c.Name != "" {
		return c.Name
	}
	return c.ID
}

func (n *Network) endpointPath(id string) string {
	return filepath.Join(n.dir(), "endpoints", id+".json")
}

// check refuses what cannot be.
func (e *Endpoint) check() error {
	odd := func(c rune) bool {
		return !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("_+-.", c))
	}
	switch {
	case e.ID == "" || len(e.ID) > 200 || e.ID[0] == '.' || strings.ContainsFunc(e.ID, odd):
		return fmt.Errorf("container id %q: want letters, digits and _ + - . only, and no . first", e.ID)
	case e.Namespace == "":
		return errors.New("network namespace: none")
	}
	if e.MAC != "" {
		if mac, err := net.ParseMAC(e.MAC); err != nil || len(mac) != 6 || mac[0]&1 == 1 {
			return fmt.Errorf("MAC address %q: want six bytes as in 02:00:00:00:00:01, the first one even", e.MAC)
		}
	}
	for _, server := range e.DNS {
		if _, err := netip.ParseAddr(server); err != nil {
			return fmt.Errorf("DNS server %q: want an address", server)
		}
	}
	return nil
}

// Connect connects a container, all of it or not at all: it has lo and eth0, addresses, a way out, its ports, and a
// name. A container that is connected already, or was when it died, is connected anew.
func (h *Host) Connect(e Endpoint) (*Connection, error) {
	if err := e.check(); err != nil {
		return nil, err
	}
	namespace, err := os.Open(e.Namespace)
	if err != nil {
		return nil, err
	}
	defer namespace.Close()
	lock, err := h.lock()
	if err != nil {
		return nil, err
	}
	defer lock.Close()
	if err := h.disconnect(e.ID); err != nil {
		return nil, err
	}
	n, err := h.Inspect(e.Network)
	if err != nil {
		return nil, err
	}
	w, err := h.wire()
	if err != nil {
		return nil, err
	}
	defer w.Close()
	e.Network = n.Name
	c := &Connection{Endpoint: e}
	if err = h.raise(w, n); err == nil {
		err = h.enter(w, n, c, namespace)
	}
	if err != nil {
		return nil, errors.Join(err, h.leave(w, n, c))
	}
	return c, nil
}

// enter connects a container to a network that is up.
func (h *Host) enter(w *wire, n *Network, c *Connection, namespace *os.File) error {
	c.Bridge, c.Gateway, c.Gateway6, c.MTU = n.Bridge, n.Gateway, n.Gateway6, n.MTU
	c.Link = linkName(c.ID)
	if err := c.wish(n); err != nil {
		return err
	}
	if err := h.lease(n, c); err != nil {
		return err
	}
	if c.MAC == "" {
		c.MAC = hardwareAddress(c.IPv4.Addr()).String()
	}
	if err := h.reserve(n, c); err != nil {
		return err
	}
	if err := h.write(n.endpointPath(c.ID), c); err != nil {
		return err
	}
	if err := h.plug(w, n, c, namespace); err != nil {
		return err
	}
	if err := h.furnish(c, namespace); err != nil {
		return err
	}
	if err := h.publish(c); err != nil {
		return err
	}
	return c.texts()
}

// wish notes the addresses that are asked for.
func (c *Connection) wish(n *Network) error {
	for _, want := range []struct {
		address netip.Addr
		subnet  netip.Prefix
		prefix  *netip.Prefix
		gateway netip.Addr
	}{{c.Address, n.Subnet, &c.IPv4, n.Gateway}, {c.Address6, n.Subnet6, &c.IPv6, n.Gateway6}} {
		if !want.address.IsValid() {
			continue
		}
		if !want.subnet.IsValid() || !want.subnet.Contains(want.address) {
			return fmt.Errorf("address %s: network %s has %s", want.address, n.Name, want.subnet)
		}
		last := plus(want.address, 1)
		if want.address == want.gateway || want.address == want.subnet.Addr() || want.address.Is4() && !want.subnet.Contains(last) {
			return fmt.Errorf("address %s: it is no station's on %s", want.address, want.subnet)
		}
		*want.prefix = netip.PrefixFrom(want.address, want.subnet.Bits())
	}
	return nil
}

// Disconnect takes a container's connection away, dead or alive. One that has none is fine.
func (h *Host) Disconnect(id string) error {
	if _, err := os.Stat(upDir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	lock, err := h.lock()
	if err != nil {
		return err
	}
	defer lock.Close()
	return h.disconnect(id)
}

func (h *Host) disconnect(id string) error {
	path, err := endpointFile(id)
	if path == "" || err != nil {
		return err
	}
	w, err := h.wire()
	if err != nil {
		return err
	}
	defer w.Close()
	n, c := &Network{}, &Connection{}
	err = errors.Join(read(filepath.Join(filepath.Dir(path), "../network.json"), n), read(path, c))
	if err == nil {
		err = n.checkSpace()
	}
	if err != nil {
		return err
	}
	return h.leave(w, n, c)
}

// endpointFile finds a connection's file; "" if there is none. A directory of many connections is not read.
func endpointFile(id string) (string, error) {
	networks, err := os.ReadDir(upDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	for _, entry := range networks {
		path := (&Network{Name: entry.Name()}).endpointPath(id)
		if _, err := os.Lstat(path); err == nil {
			return path, nil
		}
	}
	return "", nil
}

// leave takes a connection away as far as it came, and the network with the last one.
func (h *Host) leave(w *wire, n *Network, c *Connection) error {
	if n.Bridge == "" {
		return nil // it did not come up
	}
	if err := h.part(w, n, c); err != nil {
		return err
	}
	return h.lowerIfEmpty(w, n)
}

// part takes away what belongs to one connection. The file goes last: as long as it is there, all of it is found again.
func (h *Host) part(w *wire, n *Network, c *Connection) error {
	if c.Link != "" {
		link, err := w.find(c.Link)
		if err != nil {
			return err
		}
		if link != nil && link.Attrs().Alias != "" && link.Attrs().Alias != endpointAlias+c.ID {
			return fmt.Errorf("link %s: %q is not ours", c.Link, link.Attrs().Alias)
		}
		if link != nil {
			if err := w.delete(link); err != nil {
				return err
			}
		}
	}
	if err := h.unpublish(c); err != nil {
		return err
	}
	if err := h.release(n, c); err != nil {
		return err
	}
	return h.remove(n.endpointPath(c.ID))
}

// Connection returns a container's connection; nil if it has none.
func (h *Host) Connection(id string) (*Connection, error) {
	path, err := endpointFile(id)
	if path == "" || err != nil {
		return nil, err
	}
	c := &Connection{}
	err = read(path, c)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return c, err
}

// Connections returns the connections of one network, or of all for "".
func (h *Host) Connections(name string) (list []Connection, err error) {
	if name == "" {
		name = "*"
	}
	paths, err := filepath.Glob(filepath.Join(upDir, name, "endpoints", "*.json"))
	if err != nil {
		return nil, err
	}
	for _, path := range paths {
		var c Connection
		err := read(path, &c)
		if errors.Is(err, fs.ErrNotExist) {
			continue // just disconnected
		}
		if err != nil {
			return nil, err
		}
		list = append(list, c)
	}
	return list, nil
}

// endpointAlias and networkAlias begin the aliases of our links. Step 04 sees by the first word that somebody still
// needs forwarding; a container's id, of 12 hexadecimal digits, is none of them (kernel.ID).
const (
	endpointAlias = kernel.Prefix + "endpoint-"
	networkAlias  = kernel.Prefix + "network-"
)
