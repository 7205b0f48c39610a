//go:build linux

package network

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// pools are where subnets are taken from, private addresses (RFC 1918) all of them. The first is one that few
// others use; a machine whose own network is there has the next.
var pools = []netip.Prefix{
	netip.MustParsePrefix("10.192.0.0/12"),
	netip.MustParsePrefix("172.16.0.0/12"),
	netip.MustParsePrefix("192.168.0.0/16"),
}

// subnetBits is the size of a subnet: room for four times as many containers as a bridge has ports (1023).
const subnetBits = 20

// wide is the length of a prefix that does not mean a network but a direction: a VPN's route to all of 10.0.0.0/8.
// Such a one is respected as long as there is something else.
const wide = 15

// pickSubnet returns the first subnet that overlaps none of those taken.
func pickSubnet(taken []netip.Prefix) (netip.Prefix, error) {
	taken = append(slices.Clone(taken), Addresses)
	for range 2 {
		for _, pool := range pools {
			for address := pool.Addr(); pool.Contains(address); address = plus(address, 1<<(32-subnetBits)) {
				subnet := netip.PrefixFrom(address, subnetBits)
				if !slices.ContainsFunc(taken, subnet.Overlaps) {
					return subnet, nil
				}
			}
		}
		taken = slices.DeleteFunc(taken, func(p netip.Prefix) bool { return p.Bits() <= wide })
	}
	return netip.Prefix{}, errors.New("no subnet is free: see ip route, and final network ls; or choose one with --subnet")
}

// pickSubnet6 returns the network's subnet of unique local addresses (RFC 4193): they are drawn by lot, so that
// nobody else has the same, and the lot is the machine and the name, so that they stay.
func pickSubnet6(name string) netip.Prefix {
	machine, _ := os.ReadFile("/etc/machine-id") // without one it is the name alone
	lot := sha256.Sum256(append(machine, name...))
	address := [16]byte{0: 0xfd}
	copy(address[1:8], lot[:])
	return netip.PrefixFrom(netip.AddrFrom16(address), 64)
}

// plus is the address n further on.
func plus(address netip.Addr, n int) netip.Addr {
	bytes := address.AsSlice()
	for i := len(bytes) - 1; i >= 0 && n > 0; i-- {
		n += int(bytes[i])
		bytes[i] = byte(n)
		n >>= 8
	}
	sum, _ := netip.AddrFromSlice(bytes)
	return sum
}

// minus is how far an address is from the first of its subnet; it counts the last 30 bits.
func minus(address, first netip.Addr) int {
	a, b := address.AsSlice(), first.AsSlice()
	n := 0
	for i := range a {
		n = (n<<8 + int(a[i]) - int(b[i])) & (1<<30 - 1)
	}
	return n
}

// routes lists where the host sends packets to, the way out left out.
func (w *wire) routes() (taken []netip.Prefix, uplink int, err error) {
	for range 10 { // the kernel says when the table changed while it was read
		var list []netlink.Route
		list, err = w.RouteList(nil, unix.AF_INET)
		if errors.Is(err, netlink.ErrDumpInterrupted) {
			continue
		}
		if err != nil {
			return nil, 0, fmt.Errorf("list routes: %w", err)
		}
		for _, route := range list {
			prefix := prefixOf(route.Dst)
			switch {
			case prefix.IsValid() && prefix.Bits() > 0:
				taken = append(taken, prefix)
			case uplink == 0:
				uplink = route.LinkIndex
			}
		}
		return taken, uplink, nil
	}
	return nil, 0, fmt.Errorf("list routes: %w", err)
}

// uplinkMTU is the size of packet that the way out can take, 0 where there is none. Behind a VPN it is less than
// usual, and larger packets vanish there.
func (w *wire) uplinkMTU(index int) int {
	if index == 0 {
		return 0
	}
	link, err := w.LinkByIndex(index)
	if err != nil {
		return 0 // it has just gone
	}
	return link.Attrs().MTU
}
