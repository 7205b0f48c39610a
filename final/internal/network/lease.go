//go:build linux

package network

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
)

// Addresses are leased. A lease is a symbolic link that is named after the address and leads to the connection's
// file, so the file system does the book-keeping: of two that want one address one gets it, and where the holder
// died before its file was written, or was cleaned away, the link leads nowhere. The search goes on where the last
// one ended: an address that has just been given back rests, because neighbours and connections remember it.

// lease takes addresses for a connection: those that are asked for, or the next free ones. The IPv6 address has the
// same number in its subnet as the IPv4 one.
func (h *Host) lease(n *Network, c *Connection) error {
	if c.IPv4.IsValid() {
		if err := h.leaseOne(n, c.ID, c.IPv4.Addr()); err != nil {
			return err
		}
	} else if err := h.leaseNext(n, c); err != nil {
		return err
	}
	if !n.Subnet6.IsValid() {
		return nil
	}
	if !c.IPv6.IsValid() {
		number := minus(c.IPv4.Addr(), n.Subnet.Addr())
		c.IPv6 = netip.PrefixFrom(plus(n.Subnet6.Addr(), number), n.Subnet6.Bits())
	}
	err := h.leaseOne(n, c.ID, c.IPv6.Addr())
	if err != nil {
		return errors.Join(err, h.remove(n.leasePath(c.IPv4.Addr())))
	}
	return nil
}

// leaseOne takes a certain address.
func (h *Host) leaseOne(n *Network, id string, address netip.Addr) error {
	for {
		err := h.claim(n.leasePath(address), "../endpoints/"+id+".json")
		if !errors.Is(err, fs.ErrExist) {
			return err
		}
		owner, err := h.ownerOf(n.leasePath(address))
		if err != nil {
			return err
		}
		if owner != nil {
			return fmt.Errorf("address %s: container %s has it", address, owner.label())
		}
	}
}

// leaseNext takes the next one that is free.
func (h *Host) leaseNext(n *Network, c *Connection) error {
	size := 1 << (32 - n.Subnet.Bits())
	last := n.lastLease()
	for round := range 2 {
		for step := 1; step <= size; step++ {
			number := (last + step) % size
			address := plus(n.Subnet.Addr(), number)
			if number == 0 || number == size-1 || address == n.Gateway { // the network itself, and broadcast
				continue
			}
			err := h.claim(n.leasePath(address), "../endpoints/"+c.ID+".json")
			if errors.Is(err, fs.ErrExist) {
				continue
			}
			if err != nil {
				return err
			}
			c.IPv4 = netip.PrefixFrom(address, n.Subnet.Bits())
			n.rememberLease(address)
			return nil
		}
		if round == 0 {
			if err := h.buryDead(n); err != nil {
				return err
			}
		}
	}
	return fmt.Errorf("network %s: all addresses of %s are taken", n.Name, n.Subnet)
}

// lastLease is the number of the address that was leased last, also that in a symbolic link.
func (n *Network) lastLease() int {
	text, _ := os.Readlink(n.lastPath()) // the first one to come finds none
	address, err := netip.ParseAddr(text)
	if err != nil || !n.Subnet.Contains(address) {
		address = n.Gateway
	}
	return minus(address, n.Subnet.Addr())
}

// rememberLease replaces that link. When it fails, the search begins at an older place: no harm.
func (n *Network) rememberLease(address netip.Addr) {
	if os.Symlink(address.String(), n.lastPath()+".new") == nil {
		_ = os.Rename(n.lastPath()+".new", n.lastPath())
	}
}

func (n *Network) lastPath() string { return filepath.Join(n.dir(), "last") }

func (n *Network) leasePath(address netip.Addr) string {
	return filepath.Join(n.dir(), "leases", address.String())
}

// release gives the addresses back.
func (h *Host) release(n *Network, c *Connection) error {
	var errs []error
	for _, prefix := range []netip.Prefix{c.IPv4, c.IPv6} {
		if !prefix.IsValid() {
			continue
		}
		path := n.leasePath(prefix.Addr())
		if target, err := os.Readlink(path); err == nil && target == "../endpoints/"+c.ID+".json" {
			errs = append(errs, h.remove(path))
		}
	}
	return errors.Join(errs...)
}
