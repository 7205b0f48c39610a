//go:build linux

package kernel

import (
	"errors"
	"fmt"
	"os"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// MoveLink moves a network device of the calling thread's network namespace into another one, under a new
// name if that is not empty, and sets it up there. A name with %d gets the first number that is free. The
// addresses come along, those that are valid everywhere and not bound to the link (netlink drops them all on
// the way).
func (d *Door) MoveLink(name string, namespace *os.File, newName string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("link %s: %w", name, err)
	}
	addresses, err := dump(func() ([]netlink.Addr, error) { return netlink.AddrList(link, unix.AF_UNSPEC) })
	if err != nil {
		return fmt.Errorf("addresses of %s: %w", name, err)
	}
	if newName == "" {
		newName = name
	}
	call := Call{
		Op: "netlink RTM_NEWLINK", Object: name, Value: "netns " + namespace.Name() + " name " + newName,
		Shell: "ip link set " + quote(name) + " netns " + quote(namespace.Name()) + " name " + quote(newName),
	}
	err = d.Do(call, func() error {
		there, err := netlink.NewHandleAt(netns.NsHandle(namespace.Fd()), unix.NETLINK_ROUTE)
		if err != nil {
			return err
		}
		defer there.Close()
		if _, err := there.LinkByName(newName); err == nil {
			return unix.EEXIST
		}
		if err := netlink.LinkSetDown(link); err != nil { // a device that is up keeps its name
			return err
		}
		if _, err := there.LinkByName(name); err == nil { // the old name is taken there: on the way it has another
			link.Attrs().Name = fmt.Sprintf("move%d", link.Attrs().Index)
			if err := netlink.LinkSetName(link, link.Attrs().Name); err != nil {
				return err
			}
		}
		return moveLink(link, there, int(namespace.Fd()), newName, addresses)
	})
	return err
}

// moveLink is the part that has something to take back.
func moveLink(link netlink.Link, there *netlink.Handle, namespace int, name string, addresses []netlink.Addr) error {
	if err := netlink.LinkSetNsFd(link, namespace); err != nil {
		return err
	}
	moved, err := there.LinkByName(link.Attrs().Name)
	if err != nil {
		return err
	}
	if name != link.Attrs().Name {
		if err := there.LinkSetName(moved, name); err != nil {
			return err
		}
	}
	for _, address := range addresses {
		if address.Scope != unix.RT_SCOPE_UNIVERSE || address.Flags&unix.IFA_F_PERMANENT == 0 {
			continue // the kernel's own, or one that runs out
		}
		again := netlink.Addr{IPNet: address.IPNet, Peer: address.Peer, Broadcast: address.Broadcast}
		if err := there.AddrAdd(moved, &again); err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("address %s: %w", address.IPNet, err)
		}
	}
	return there.LinkSetUp(moved)
}
