//go:build linux

package network

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/kernel"
)

// A wire is one netlink socket (rtnetlink(7)) into one network namespace. All that is asked there goes through
// it: opening a socket takes longer than most requests.
type wire struct {
	*netlink.Handle
	door  *kernel.Door
	shell string // what a person types before ip(8) to be in that namespace
}

func (h *Host) wire() (*wire, error) {
	handle, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("netlink socket: %w", err)
	}
	return &wire{Handle: handle, door: h.Door}, nil
}

// wireInto opens the socket in another namespace, where it stays.
func (h *Host) wireInto(namespace *os.File) (*wire, error) {
	handle, err := netlink.NewHandleAt(netns.NsHandle(namespace.Fd()), unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("netlink socket in %s: %w", namespace.Name(), err)
	}
	return &wire{Handle: handle, door: h.Door, shell: "nsenter --net=" + namespace.Name() + " "}, nil
}

// do makes a request, said in the words of ip(8).
func (w *wire) do(ip string, act func() error) error {
	object, value, _ := strings.Cut(ip, " ")
	return w.door.Do(kernel.Call{Op: "netlink", Object: object, Value: value, Shell: w.shell + "ip " + ip}, act)
}

// address gives a link an address. An IPv6 address is usable at once: nobody else can have it, so the kernel need
// not ask around for a second (duplicate address detection).
func (w *wire) address(link netlink.Link, prefix netip.Prefix) error {
	ip := "address add " + prefix.String() + " dev " + link.Attrs().Name
	address := &netlink.Addr{IPNet: ipNet(prefix)}
	if prefix.Addr().Is6() {
		ip, address.Flags = ip+" nodad", unix.IFA_F_NODAD
	}
	return w.do(ip, func() error { return w.AddrAdd(link, address) })
}

func (w *wire) up(link netlink.Link) error {
	return w.do("link set "+link.Attrs().Name+" up", func() error { return w.LinkSetUp(link) })
}

// delete deletes a link, if it is there.
func (w *wire) delete(link netlink.Link) error {
	return gone(w.do("link delete "+link.Attrs().Name, func() error { return w.LinkDel(link) }))
}

// find looks for a link by name; nil if there is none.
func (w *wire) find(name string) (netlink.Link, error) {
	link, err := w.LinkByName(name)
	if errors.As(err, &netlink.LinkNotFoundError{}) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("link %s: %w", name, err)
	}
	return link, nil
}

func ipNet(prefix netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: prefix.Addr().AsSlice(), Mask: net.CIDRMask(prefix.Bits(), prefix.Addr().BitLen())}
}

// prefixOf is the other way round; invalid for nil, which netlink has for "everywhere".
func prefixOf(n *net.IPNet) netip.Prefix {
	if n == nil {
		return netip.Prefix{}
	}
	address, _ := netip.AddrFromSlice(n.IP)
	bits, _ := n.Mask.Size()
	return netip.PrefixFrom(address.Unmap(), bits)
}

// netip4 and netip6 are the host's addresses on a network.
func netip4(n *Network) netip.Prefix { return netip.PrefixFrom(n.Gateway, n.Subnet.Bits()) }
func netip6(n *Network) netip.Prefix { return netip.PrefixFrom(n.Gateway6, n.Subnet6.Bits()) }
