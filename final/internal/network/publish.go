//go:build linux

package network

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// A published port is an element of a map in the table, and before that a claim: a symbolic link below portsDir that
// is named after the host's side and leads to the connection's file. The claims to the same number are what a
// newcomer is compared with; programs of the host that listen are found by trying to do so ourselves.

// claimPath is 8080-tcp/any, or an address there.
func (p Port) claimPath() string {
	address := "any"
	if p.Address.IsValid() {
		address = p.Address.String()
	}
	return filepath.Join(p.claimDir(), address)
}

func (p Port) claimDir() string {
	return filepath.Join(portsDir, fmt.Sprintf("%d-%s", p.HostPort, p.Protocol))
}

// claims are those to a port's number, by anyone.
func (p Port) claims() (list []Port, err error) {
	entries, err := os.ReadDir(p.claimDir())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, entry := range entries {
		address, err := netip.ParseAddr(entry.Name())
		if err != nil && entry.Name() != "any" {
			continue // nobody's
		}
		list = append(list, Port{Address: address, HostPort: p.HostPort, Protocol: p.Protocol})
	}
	return list, nil
}

// collides tells whether two ports cannot both be had: the same number, and an address that both have.
func (p Port) collides(other Port) bool {
	if p.HostPort != other.HostPort || p.Protocol != other.Protocol {
		return false
	}
	all := func(a netip.Addr) bool { return !a.IsValid() || a.IsUnspecified() }
	both := !p.Address.IsValid() || !other.Address.IsValid() || p.Address.Is4() == other.Address.Is4()
	return both && (all(p.Address) || all(other.Address) || p.Address == other.Address)
}

// reserve claims a connection's ports, and notes which they are where any would do.
func (h *Host) reserve(n *Network, c *Connection) error {
	if len(c.Ports) == 0 {
		return nil
	}
	if n.Internal {
		return fmt.Errorf("port %s: network %s is internal: nobody outside can reach it", c.Ports[0].Exposed(), n.Name)
	}
	wanted := c.Ports
	c.Ports = nil // those that are ours
	for _, p := range wanted {
		p, err := h.reserveOne(p, c.Ports)
		if err != nil {
			return err
		}
		if err := h.claim(p.claimPath(), "../../up/"+n.Name+"/endpoints/"+c.ID+".json"); err != nil {
			return err
		}
		c.Ports = append(c.Ports, p)
	}
	return nil
}

// reserveOne finds a number for a port.
func (h *Host) reserveOne(p Port, ours []Port) (Port, error) {
	switch {
	case p.HostPort == 0:
		var last error
		for range 100 {
			number, err := freePort(p)
			if err != nil {
				return p, err
			}
			found := p // whose own number stays 0, for the kernel to find another
			found.HostPort = number
			if last = h.available(found, ours); last == nil {
				return found, nil
			}
		}
		return p, fmt.Errorf("port %s: no port of the host is free: %w", p.Exposed(), last)
	case p.HostLast > p.HostPort:
		var errs error
		for number := int(p.HostPort); number <= int(p.HostLast); number++ {
			p.HostPort = uint16(number)
			err := h.available(p, ours)
			if err == nil {
				p.HostLast = 0
				return p, nil
			}
			errs = errors.Join(errs, err)
		}
		return p, errs
	}
	p.HostLast = 0
	return p, h.available(p, ours)
}

// available tells whether nobody has a port, and if somebody has, who.
func (h *Host) available(p Port, ours []Port) error {
	taken := func(by string) error { return fmt.Errorf("port %s/%s: %s", p.Published(), p.Protocol, by) }
	if p.Address == netip.IPv6Loopback() {
		return taken("the kernel leads nothing from ::1 elsewhere: publish it on 127.0.0.1")
	}
	if slices.ContainsFunc(ours, p.collides) {
		return taken("it is asked for twice")
	}
	claims, err := p.claims()
	if err != nil {
		return err
	}
	for _, other := range claims {
		if !p.collides(other) {
			continue
		}
		owner, err := h.ownerOf(other.claimPath())
		if err != nil {
			return err
		}
		if owner != nil {
			return taken("container " + owner.label() + " has it")
		}
	}
	for _, family := range p.families() {
		err := listen(p, family)
		switch {
		case errors.Is(err, unix.EADDRINUSE):
			if who := listener(p); who != "" {
				return taken(who + " listens there")
			}
		case errors.Is(err, unix.EADDRNOTAVAIL):
			return taken("it is no address of this host: see ip address")
		case errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EPROTONOSUPPORT) || errors.Is(err, unix.ESOCKTNOSUPPORT):
		case err != nil:
			return taken(err.Error())
		}
	}
	return nil
}

// publish makes the ports known to the kernel.
func (h *Host) publish(c *Connection) error {
	if len(c.Ports) == 0 {
		return nil
	}
	if err := h.addElements(portElements(c)); err != nil {
		return err
	}
	return h.forget(c)
}

// unpublish takes that back, and the claims.
func (h *Host) unpublish(c *Connection) error {
	if len(c.Ports) == 0 {
		return nil
	}
	if err := h.deleteElements(portElements(c)); err != nil {
		return err
	}
	for _, p := range c.Ports {
		target, err := os.Readlink(p.claimPath())
		if err == nil && filepath.Base(target) == c.ID+".json" {
			if err := errors.Join(h.remove(p.claimPath()), h.removeDirs(p.claimDir())); err != nil {
				return err
			}
		}
	}
	return h.forget(c)
}

// forget has the kernel forget the conversations by datagrams at a connection's ports. They have no end, so as long
// as somebody goes on sending they would be led where they were before: to nobody, or to the one who had the port.
func (h *Host) forget(c *Connection) error {
	if !slices.ContainsFunc(c.Ports, func(p Port) bool { return p.Protocol != "tcp" }) {
		return nil
	}
	w, err := netlink.NewHandle(unix.NETLINK_NETFILTER)
	if err != nil {
		return fmt.Errorf("netlink socket: %w", err)
	}
	defer w.Close()
	for _, family := range []netlink.InetFamily{unix.AF_INET, unix.AF_INET6} {
		if _, err := w.ConntrackDeleteFilters(netlink.ConntrackTable, family, flows{c}); err != nil {
			return fmt.Errorf("conntrack: %w", err)
		}
	}
	return nil
}

// flows picks those conversations.
type flows struct{ *Connection }

func (f flows) MatchConntrackFlow(flow *netlink.ConntrackFlow) bool {
	return slices.ContainsFunc(f.Ports, func(p Port) bool {
		return p.Protocol != "tcp" && protocols[p.Protocol] == flow.Forward.Protocol && p.HostPort == flow.Forward.DstPort
	})
}
