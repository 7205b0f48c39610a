//go:build linux

package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// alias is a free text that links carry; by ours a clean-up knows them.
const alias = "simple-container-"

// network is a container's connection.
type network struct {
	Link       string       // the host's end
	Address    netip.Prefix // the container's
	Gateway    netip.Addr   // the host's
	ResolvConf string       // what the container's /etc/resolv.conf says

	rules []rule // those in force
}

// peer is the name of the container's end, until the container calls it eth0.
func (n *network) peer() string { return n.Link + "p" }

// subnet returns the addresses of the n-th subnet.
func (n *network) subnet() netip.Prefix { return n.Address.Masked() }

// connect lays a cable from the host to the network namespace of process pid.
func (n *network) connect(id string, pid int) error {
	unlock, err := lockNetwork()
	if err != nil {
		return err
	}
	defer unlock()

	if err := n.createPair(); err != nil {
		return err
	}
	host, err := netlink.LinkByName(n.Link)
	if err != nil {
		return fmt.Errorf("link %s: %w", n.Link, err)
	}
	peer, err := netlink.LinkByName(n.peer())
	if err != nil {
		return fmt.Errorf("link %s: %w", n.peer(), err)
	}
	gateway := netip.PrefixFrom(n.Gateway, subnetBits).String()
	for _, do := range []operation{
		{"link set " + n.Link + " alias " + alias + id, func() error { return netlink.LinkSetAlias(host, alias+id) }},
		{"address add " + gateway + " dev " + n.Link, func() error { return addAddress(host, gateway) }},
		{"link set " + n.Link + " up", func() error { return netlink.LinkSetUp(host) }},
		{fmt.Sprintf("link set %s netns %d", n.peer(), pid), func() error { return netlink.LinkSetNsPid(peer, pid) }},
	} {
		if err := do.perform(); err != nil {
			return err
		}
	}
	n.ResolvConf = resolvConf()
	return n.translate(id)
}

// disconnect takes away all that connect made, as far as it came.
func (n *network) disconnect() error {
	if n.Link == "" {
		return nil
	}
	unlock, err := lockNetwork()
	if err != nil {
		return err
	}
	defer unlock()
	return errors.Join(n.untranslate(), n.deletePair(), stopForwarding())
}

// createPair makes a veth pair: what goes in at one end comes out at the other (veth(4)). It takes the
// first subnet that is nobody's.
func (n *network) createPair() error {
	routes, err := listRoutes()
	if err != nil {
		return err
	}
	attributes := netlink.NewLinkAttrs()
	attributes.MTU = uplinkMTU(routes)
	for number := range 1 << (subnetBits - addresses.Bits()) {
		subnet := nthSubnet(number)
		if inUse(subnet, routes) {
			continue
		}
		name := fmt.Sprintf("sc%d", number)
		attributes.Name = name
		err := operation{"link add " + name + " type veth peer name " + name + "p", func() error {
			return netlink.LinkAdd(&netlink.Veth{LinkAttrs: attributes, PeerName: name + "p"})
		}}.perform()
		if errors.Is(err, unix.EEXIST) {
			continue
		}
		if err != nil {
			return err
		}
		n.Link, n.Gateway = name, subnet.Addr().Next()
		n.Address = netip.PrefixFrom(n.Gateway.Next(), subnetBits)
		return nil
	}
	return fmt.Errorf("no subnet is free in %s: see ip route", addresses)
}

// deletePair deletes the host's end, and with it the other. The container's end does so too, but only when
// the kernel gets round to it.
func (n *network) deletePair() error {
	err := operation{"link delete " + n.Link, func() error {
		link, err := netlink.LinkByName(n.Link)
		if err != nil {
			return err
		}
		return netlink.LinkDel(link)
	}}.perform()
	if errors.As(err, &netlink.LinkNotFoundError{}) || errors.Is(err, unix.ENODEV) {
		return nil
	}
	return err
}

// arrive is the child's half: it has found the peer in its namespace.
func (n *network) arrive() error {
	loopback, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("link lo: %w", err)
	}
	peer, err := netlink.LinkByName(n.peer())
	if err != nil {
		return fmt.Errorf("link %s: %w", n.peer(), err)
	}
	address, gateway := n.Address.String(), n.Gateway.String()
	for _, do := range []operation{
		{"link set lo up", func() error { return netlink.LinkSetUp(loopback) }},
		{"link set " + n.peer() + " name eth0", func() error { return netlink.LinkSetName(peer, "eth0") }},
		{"address add " + address + " dev eth0", func() error { return addAddress(peer, address) }},
		{"link set eth0 up", func() error { return netlink.LinkSetUp(peer) }},
		{"route add default via " + gateway, func() error {
			return netlink.RouteAdd(&netlink.Route{LinkIndex: peer.Attrs().Index, Gw: net.IP(n.Gateway.AsSlice())})
		}},
	} {
		if err := do.perform(); err != nil {
			return err
		}
	}
	return nil
}

func addAddress(link netlink.Link, cidr string) error {
	address, err := netlink.ParseAddr(cidr)
	if err != nil {
		return err
	}
	return netlink.AddrAdd(link, address)
}

// operation is a request to the kernel over netlink (rtnetlink(7)), and the words after ip(8) for it.
type operation struct {
	ip string
	do func() error
}

func (o operation) perform() error {
	say("netlink: "+o.ip, "ip "+o.ip)
	if err := o.do(); err != nil {
		return fmt.Errorf("ip %s: %w", o.ip, err)
	}
	return nil
}

// lockNetwork keeps other containers from changing links and forwarding at the same time. The lock is on
// the state directory itself, which is there as long as a container is.
func lockNetwork() (unlock func(), err error) {
	file, err := os.Open(stateDir)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX); err != nil {
		file.Close()
		return nil, fmt.Errorf("flock %s: %w", file.Name(), err)
	}
	return func() { file.Close() }, nil
}

// othersConnected tells whether a container has a link on this host.
func othersConnected() (bool, error) {
	var links []netlink.Link
	var err error
	for range 10 {
		if links, err = netlink.LinkList(); !errors.Is(err, netlink.ErrDumpInterrupted) {
			break
		}
	}
	for _, link := range links {
		if strings.HasPrefix(link.Attrs().Alias, alias) {
			return true, nil
		}
	}
	return false, err
}
