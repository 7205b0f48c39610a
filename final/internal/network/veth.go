//go:build linux

package network

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// linkName is the name of the host's end of a container's cable: sce and the first 12 digits of the id, as people
// see it in other places; for an id that is no number, of its hash. That is all that fits (IFNAMSIZ).
func linkName(id string) string {
	if len(id) < 12 || strings.Trim(id, "0123456789abcdef") != "" {
		id = fmt.Sprintf("%x", sha256.Sum256([]byte(id)))
	}
	return "sce" + id[:12]
}

// hardwareAddress makes a MAC address out of an IPv4 one, in the range for those that nobody sold: whoever gets
// the address after somebody else has the same one, so that nobody's neighbour cache is wrong.
func hardwareAddress(address netip.Addr) net.HardwareAddr {
	return append(net.HardwareAddr{0x02, 's'}, address.AsSlice()...)
}

// plug makes a veth pair: what goes in at one end comes out at the other (veth(4)). One end is born in the
// container's network namespace, and is called eth0 there; the other becomes a port of the bridge.
func (h *Host) plug(w *wire, n *Network, c *Connection, namespace *os.File) error {
	bridge, err := w.find(n.Bridge)
	if err != nil {
		return err
	}
	if bridge == nil {
		return fmt.Errorf("link %s: %w", n.Bridge, unix.ENODEV)
	}
	mac, err := net.ParseMAC(c.MAC)
	if err != nil {
		return err
	}
	attributes := netlink.NewLinkAttrs()
	attributes.Name, attributes.MTU = c.Link, n.MTU
	pair := &netlink.Veth{
		LinkAttrs: attributes, PeerName: "eth0", PeerHardwareAddr: mac, PeerTxQLen: -1,
		PeerNamespace: netlink.NsFd(namespace.Fd()),
	}
	ip := fmt.Sprintf("link add %s mtu %d type veth peer name eth0 address %s netns %s", c.Link, n.MTU, mac, namespace.Name())
	err = w.do(ip, func() error { return w.LinkAdd(pair) })
	if errors.Is(err, unix.EEXIST) {
		if link, _ := w.find(c.Link); link == nil {
			return fmt.Errorf("%w: the container has an eth0 of its own", err)
		}
	}
	if err != nil {
		return err
	}
	// The name is ours alone, so it needs no index; the alias tells others whose it is.
	if err := w.do("link set "+c.Link+" alias "+endpointAlias+c.ID, func() error {
		return w.LinkSetAlias(pair, endpointAlias+c.ID)
	}); err != nil {
		return err
	}
	h.silence(c.Link)
	err = w.do("link set "+c.Link+" master "+n.Bridge, func() error { return w.LinkSetMaster(pair, bridge) })
	if errors.Is(err, unix.EXFULL) {
		return fmt.Errorf("%w: a bridge has 1023 ports, and network %s uses all of them: create another one", err, n.Name)
	}
	if err != nil {
		return err
	}
	// Where br_netfilter is loaded, as beside Docker, the address of a packet for a published port is changed while
	// it is still in the bridge; one from the container itself must go out where it came in then.
	if err := w.do("link set "+c.Link+" type bridge_slave hairpin on", func() error {
		return w.LinkSetHairpin(pair, true)
	}); err != nil {
		return err
	}
	return w.up(pair)
}

// furnish sets up the container's end.
func (h *Host) furnish(c *Connection, namespace *os.File) error {
	w, err := h.wireInto(namespace)
	if err != nil {
		return err
	}
	defer w.Close()
	for _, name := range []string{"lo", "eth0"} {
		link, err := w.LinkByName(name)
		if err != nil {
			return fmt.Errorf("link %s in %s: %w", name, namespace.Name(), err)
		}
		if name == "eth0" {
			if err := w.furnish(link, c); err != nil {
				return err
			}
		} else if err := w.up(link); err != nil {
			return err
		}
	}
	return nil
}

func (w *wire) furnish(eth0 netlink.Link, c *Connection) error {
	if err := w.address(eth0, c.IPv4); err != nil {
		return err
	}
	if c.IPv6.IsValid() {
		if err := w.address(eth0, c.IPv6); err != nil {
			return err
		}
	}
	if err := w.up(eth0); err != nil {
		return err
	}
	for _, gateway := range []netip.Addr{c.Gateway, c.Gateway6} {
		if !gateway.IsValid() {
			continue
		}
		route := &netlink.Route{LinkIndex: eth0.Attrs().Index, Gw: net.IP(gateway.AsSlice())}
		err := w.do("route add default via "+gateway.String()+" dev eth0", func() error { return w.RouteAdd(route) })
		if err != nil {
			return err
		}
	}
	return nil
}
