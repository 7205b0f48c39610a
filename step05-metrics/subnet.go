//go:build linux

package main

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Every container has a subnet of four addresses: the network itself, the host's end of the cable, the
// container's end, and broadcast. Subnet number N of these belongs to whoever owns the link scN: names of
// links are unique, so the kernel does the book-keeping, and a crash cannot leave a wrong entry in it.
var addresses = netip.MustParsePrefix("10.213.0.0/16")

const subnetBits = 30

// nthSubnet counts the subnets of addresses.
func nthSubnet(n int) netip.Prefix {
	base := addresses.Addr().As4()
	offset := n << (32 - subnetBits)
	base[2] += byte(offset >> 8)
	base[3] += byte(offset)
	return netip.PrefixFrom(netip.AddrFrom4(base), subnetBits)
}

// inUse tells whether the host has a network of its own at subnet. Wide routes, as a VPN's to all of
// 10.0.0.0/8, do not count: ours is the more specific, and takes four addresses of it.
func inUse(subnet netip.Prefix, routes []netlink.Route) bool {
	for _, r := range routes {
		if r.Dst == nil {
			continue
		}
		bits, _ := r.Dst.Mask.Size()
		ip, _ := netip.AddrFromSlice(r.Dst.IP.To4())
		if bits >= addresses.Bits() && netip.PrefixFrom(ip, bits).Overlaps(subnet) {
			return true
		}
	}
	return false
}

// uplinkMTU is the size of packet that the way out can take, or 0 for the default where there is no way
// out. Behind a VPN it is less than usual, and larger packets vanish there.
func uplinkMTU(routes []netlink.Route) int {
	for _, r := range routes {
		if r.Dst == nil || r.Dst.IP.IsUnspecified() {
			if uplink, err := netlink.LinkByIndex(r.LinkIndex); err == nil {
				return uplink.Attrs().MTU
			}
		}
	}
	return 0
}

func listRoutes() (routes []netlink.Route, err error) {
	for range 10 { // the kernel says when the table changed while it was read
		if routes, err = netlink.RouteList(nil, unix.AF_INET); !errors.Is(err, netlink.ErrDumpInterrupted) {
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("list routes: %w", err)
	}
	return routes, nil
}
