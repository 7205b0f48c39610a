//go:build linux

package web

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/kernel"
	"github.com/simple-container/simple-container/final/internal/network"
)

// A netView is what one network namespace has.
type netView struct {
	links     []netlink.Link
	addresses map[int][]string // by the link's index
	routes    []netlink.Route
	forward   string // the sysctl
}

// path follows a packet out of a container: its link, the link's other end, the bridge that is on, the host's
// packet filter, the uplink.
func (m *machine) path(id string) (p Path, err error) {
	_, pid, err := m.find(id)
	if err != nil {
		return p, err
	}
	here, err := inode("/proc/self/ns/net", "net")
	if err != nil {
		return p, err
	}
	there, err := inode(proc(pid, "ns/net"), "net")
	if err != nil {
		return p, err
	}
	host, err := viewNet()
	if err != nil {
		return p, err
	}
	if here == there {
		return Path{Shared: true, Hops: outward(nil, host)}, nil
	}
	inside, err := viewNetOf(pid)
	if err != nil {
		return p, err
	}
	p = follow(inside, host)
	i := slices.IndexFunc(p.Hops, func(h Hop) bool { return h.Kind == "rules" })
	if i < 0 {
		return p, nil
	}
	p.Hops[i].Facts = append(p.Hops[i].Facts, published(id)...)
	chains, err := filters()
	if len(chains) > 0 {
		p.Hops[i].Name = "nft"
	}
	p.Hops[i].Facts = append(p.Hops[i].Facts, chains...)
	return p, err
}

// published are the ports of a container that are reached at the host.
func published(id string) (facts []string) {
	connections, _ := (&network.Host{Door: &kernel.Door{}}).Connections("") // it is no container of ours, then
	for _, c := range connections {
		for _, port := range c.Ports {
			if c.ID == id {
				facts = append(facts, "published "+port.String())
			}
		}
	}
	return facts
}

// viewNetOf looks from a thread that joins the network namespace of a process, and ends with the look.
func viewNetOf(pid int) (v netView, err error) {
	err = kernel.OnThread(func() error {
		file, err := os.Open(proc(pid, "ns/net"))
		if err != nil {
			return err
		}
		defer file.Close()
		if err := unix.Setns(int(file.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("setns %s: %w", file.Name(), err)
		}
		v, err = viewNet()
		return err
	})
	return v, err
}

// viewNet looks at the network namespace of the calling thread.
func viewNet() (v netView, err error) {
	door := &kernel.Door{}
	if v.links, err = door.Links(); err != nil {
		return v, err
	}
	if v.routes, err = door.Routes(); err != nil {
		return v, err
	}
	v.addresses = map[int][]string{}
	all, err := netlink.AddrList(nil, unix.AF_UNSPEC)
	if err != nil {
		return v, fmt.Errorf("netlink RTM_GETADDR: %w", err)
	}
	for _, a := range all {
		if a.Scope != unix.RT_SCOPE_LINK { // fe80:: says nothing
			v.addresses[a.LinkIndex] = append(v.addresses[a.LinkIndex], a.IPNet.String())
		}
	}

	// The sysctl is that of the namespace of whoever reads it; where it is not there, it is not said.
	v.forward, _ = kernel.ReadFile("/proc/sys/net/ipv4/ip_forward")
	return v, nil
}

// follow goes from link to link.
func follow(inside, host netView) (p Path) {
	first := inside.way()
	if first == nil {
		p.Ends = "there is only the loopback inside: nothing gets out"
		return p
	}
	p.Hops = append(p.Hops, inside.hop("link", first, true))
	p.Hops[0].Facts = append(p.Hops[0].Facts, inside.gateway()...)
	peer := host.find(first.Attrs().ParentIndex)
	if first.Type() != "veth" || peer == nil || peer.Type() != "veth" {
		p.Ends = "the other end of " + first.Attrs().Name + " is not on this host's network"
		return p
	}
	p.Hops = append(p.Hops, host.hop("peer", peer, false))
	bridge := host.find(peer.Attrs().MasterIndex)
	if bridge != nil {
		p.Hops = append(p.Hops, host.hop("bridge", bridge, false))
	}
	p.Hops = append(p.Hops, outward(p.Hops, host)...)
	if host.way() == nil || len(host.gateway()) == 0 {
		p.Ends = "the host has no default route: nothing gets further"
	}
	return p
}

// outward are the hops from the host's routing on.
func outward(before []Hop, host netView) (hops []Hop) {
	if before != nil {
		facts := []string{"ip_forward = " + host.forward}
		hops = append(hops, Hop{Kind: "rules", Name: "routing", Up: host.forward == "1", Facts: facts})
	}
	uplink := host.way()
	if gateway := host.gateway(); uplink != nil && len(gateway) > 0 {
		hop := host.hop("uplink", uplink, false)
		hop.Facts = append(hop.Facts, gateway...)
		hops = append(hops, hop)
	}
	return hops
}

// way is the link to the rest of the world: that of the default route, or else the first but the loopback.
func (v netView) way() netlink.Link {
	for _, route := range v.routes {
		if isDefault(route) {
			return v.find(route.LinkIndex)
		}
	}
	i := slices.IndexFunc(v.links, func(l netlink.Link) bool {
		return l.Attrs().RawFlags&unix.IFF_LOOPBACK == 0 && (l.Type() == "veth" || len(v.addresses[l.Attrs().Index]) > 0)
	})
	if i < 0 {
		return nil
	}
	return v.links[i]
}

// gateway says where the default route leads.
func (v netView) gateway() []string {
	for _, route := range v.routes {
		if isDefault(route) && route.Gw != nil {
			return []string{"default via " + route.Gw.String()}
		}
	}
	return nil
}

func isDefault(route netlink.Route) bool {
	if route.Dst == nil {
		return true
	}
	ones, _ := route.Dst.Mask.Size()
	return ones == 0
}

func (v netView) find(index int) netlink.Link {
	for _, link := range v.links {
		if index != 0 && link.Attrs().Index == index {
			return link
		}
	}
	return nil
}

func (v netView) hop(kind string, link netlink.Link, inside bool) Hop {
	a := link.Attrs()
	h := Hop{
		Kind: kind, Name: a.Name, Inside: inside, Up: a.RawFlags&unix.IFF_UP != 0, Addresses: v.addresses[a.Index],
		Facts: []string{fmt.Sprintf("%s, mtu %d", link.Type(), a.MTU)},
	}
	if len(a.HardwareAddr) > 0 && strings.Trim(a.HardwareAddr.String(), "0:") != "" {
		h.Facts = append(h.Facts, a.HardwareAddr.String())
	}
	if a.Statistics != nil {
		h.Counted, h.Received, h.Sent = true, a.Statistics.RxBytes, a.Statistics.TxBytes
	}
	return h
}
