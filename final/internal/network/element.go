//go:build linux

package network

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// An element is one of a set's or a map's, and how nft(8) writes it.
type element struct {
	set  *nftables.Set
	keys []nftables.SetElement // an interval has two: where it begins, and where what is outside begins again
	text string
}

// networkElements are a network's.
func networkElements(n *Network) (list []element) {
	name := ifname(n.Bridge)
	list = append(list,
		element{bridges, []nftables.SetElement{{Key: name}}, n.Bridge},
		element{within, []nftables.SetElement{
			{Key: slices.Concat(name, name), VerdictData: &expr.Verdict{Kind: expr.VerdictAccept}},
		}, n.Bridge + " . " + n.Bridge + " : accept"},
	)
	if n.Internal {
		return append(list, element{internal, []nftables.SetElement{{Key: name}}, n.Bridge})
	}
	for i, subnet := range []netip.Prefix{n.Subnet, n.Subnet6} {
		if !subnet.IsValid() {
			continue
		}
		first := subnet.Addr().AsSlice()
		list = append(list, element{families[i].subnets, []nftables.SetElement{
			{Key: first}, {Key: after(subnet).AsSlice(), IntervalEnd: true},
		}, subnet.String()})
		gateway := []netip.Addr{n.Gateway, n.Gateway6}[i]
		list = append(list, element{families[i].gateways, []nftables.SetElement{{Key: gateway.AsSlice()}}, gateway.String()})
	}
	return list
}

// after is the first address behind a subnet.
func after(subnet netip.Prefix) netip.Addr {
	bytes := subnet.Addr().AsSlice()
	for carry, bit := true, subnet.Bits()-1; carry && bit >= 0; bit-- { // adds one to the last bit of the prefix
		mask := byte(1) << (7 - bit%8)
		carry = bytes[bit/8]&mask != 0
		bytes[bit/8] ^= mask
	}
	address, _ := netip.AddrFromSlice(bytes)
	return address
}

// portElements are those of a connection's published ports.
func portElements(c *Connection) (list []element) {
	for _, p := range c.Ports {
		for _, number := range p.families() {
			f, target := families[0], c.IPv4
			if number == 6 {
				f, target = families[1], c.IPv6
			}
			if !target.IsValid() {
				continue
			}
			set, key := f.published, slices.Concat(slot(protocols[p.Protocol]), slot16(p.HostPort))
			text := fmt.Sprintf("%s . %d : %s . %d", p.Protocol, p.HostPort, target.Addr(), p.Port)
			if p.Address.IsValid() && !p.Address.IsUnspecified() {
				set, key, text = f.publishedAt, slices.Concat(p.Address.AsSlice(), key), p.Address.String()+" . "+text
			}
			value := slices.Concat(target.Addr().AsSlice(), slot16(p.Port))
			list = append(list, element{set, []nftables.SetElement{{Key: key, Val: value}}, text})
		}
	}
	return list
}

// fill adds the elements of all that is up to a new table.
func (h *Host) fill() error {
	networks, err := listUp()
	if err != nil {
		return err
	}
	for _, n := range networks {
		list := networkElements(&n)
		var state resolverState
		if err := read(n.resolverPath(), &state); err == nil { // otherwise it is yet to be started
			list = append(list, resolverElements(&n, state)...)
		}
		if err := h.addElements(list); err != nil {
			return err
		}
	}
	connections, err := h.Connections("")
	if err != nil {
		return err
	}
	for _, c := range connections {
		if err := h.addElements(portElements(&c)); err != nil {
			return err
		}
	}
	return nil
}

// batch is how many elements go in one message, whose length has 16 bits.
const batch = 400

// addElements adds elements; those that are there already stay.
func (h *Host) addElements(list []element) error {
	return h.eachBatch(list, "add", (*nftables.Conn).SetAddElements)
}

// deleteElements deletes elements. A transaction that has one to delete which is not there fails as a whole, so
// then they go one by one.
func (h *Host) deleteElements(list []element) error {
	there, err := hasTable()
	if !there || err != nil {
		return err
	}
	err = h.eachBatch(list, "delete", (*nftables.Conn).SetDeleteElements)
	if !errors.Is(err, unix.ENOENT) {
		return err
	}
	for _, e := range list {
		err := h.eachBatch([]element{e}, "delete", (*nftables.Conn).SetDeleteElements)
		if err != nil && !errors.Is(err, unix.ENOENT) {
			return err
		}
	}
	return nil
}

// A change adds elements to a set, or deletes them.
type change func(*nftables.Conn, *nftables.Set, []nftables.SetElement) error

func (h *Host) eachBatch(list []element, verb string, act change) error {
	for some := range slices.Chunk(list, batch) {
		if err := h.changeElements(some, verb, act); err != nil {
			return err
		}
	}
	return nil
}

// changeElements is one transaction, with all elements of a set in one message.
func (h *Host) changeElements(list []element, verb string, act change) error {
	var order []*nftables.Set
	keys, texts := map[*nftables.Set][]nftables.SetElement{}, map[*nftables.Set][]string{}
	for _, e := range list {
		if len(keys[e.set]) == 0 {
			order = append(order, e.set)
		}
		keys[e.set], texts[e.set] = append(keys[e.set], e.keys...), append(texts[e.set], e.text)
	}
	nft := &nftables.Conn{}
	var commands []string
	for _, set := range order {
		if err := act(nft, set, keys[set]); err != nil {
			return fmt.Errorf("set %s: %w", set.Name, err)
		}
		words := strings.Join(texts[set], ", ")
		commands = append(commands, fmt.Sprintf("%s element inet %s %s { %s }", verb, table.Name, set.Name, words))
	}
	return h.flush(nft, strings.Join(commands, "; "))
}
