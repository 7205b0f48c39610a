//go:build linux

package network

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/kernel"
)

// The table is one for all networks, of the family inet, which sees IPv4 and IPv6. Its rules never change: what
// comes and goes are elements of its sets and maps, which the kernel finds by a hash, however many there are.
//
//	table inet simple_container {
//	  set bridges   { ifname }                                         all networks
//	  set internal  { ifname }                                         those without a way out
//	  set subnets   { ipv4_addr, intervals }                           those with one; this and what follows also with 6
//	  set gateways  { ipv4_addr }                                      the host's addresses on them
//	  map within    { ifname . ifname : verdict }                      sc0 . sc0 : accept
//	  map published { inet_proto . inet_service : ipv4_addr . inet_service }              tcp . 8080 : 10.192.0.2 . 80
//	  map published_at { ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service }   on one address
//
//	  chain guard       raw: what comes from a bridge goes through
//	  chain outward     nothing there comes from or goes to 127.0.0.0/8; neighbours need no connection tracking
//	  chain prerouting  dstnat: who asks for a published port of ours is led to the container
//	  chain output      dstnat: the same for the host itself, 127.0.0.1 included
//	  chain forward     filter: answers may pass, and all within a network; what enters one goes through
//	  chain inward      only what is published may
//	  chain postrouting srcnat: who leaves the networks, or comes back to them by the host, has the host's address
//	}
//
// $ nft list table inet simple_container
var (
	table = &nftables.Table{Family: nftables.TableFamilyINet, Name: "simple_container"}

	bridges  = &nftables.Set{Table: table, Name: "bridges", KeyType: nftables.TypeIFName, KeyByteOrder: binaryutil.NativeEndian}
	internal = &nftables.Set{Table: table, Name: "internal", KeyType: nftables.TypeIFName, KeyByteOrder: binaryutil.NativeEndian}
	within   = mapping("within", nftables.TypeVerdict, nftables.TypeIFName, nftables.TypeIFName)
	families = []*family{
		{
			number: 4, protocol: unix.NFPROTO_IPV4, bytes: 4, source: 12, destination: 16,
			loopback:    netip.MustParsePrefix("127.0.0.0/8"),
			subnets:     &nftables.Set{Table: table, Name: "subnets", KeyType: nftables.TypeIPAddr, Interval: true},
			gateways:    &nftables.Set{Table: table, Name: "gateways", KeyType: nftables.TypeIPAddr},
			published:   mapping("published", station4, nftables.TypeInetProto, nftables.TypeInetService),
			publishedAt: mapping("published_at", station4, nftables.TypeIPAddr, nftables.TypeInetProto, nftables.TypeInetService),
		},
		{
			number: 6, protocol: unix.NFPROTO_IPV6, bytes: 16, source: 8, destination: 24,
			loopback:    netip.MustParsePrefix("::1/128"),
			subnets:     &nftables.Set{Table: table, Name: "subnets6", KeyType: nftables.TypeIP6Addr, Interval: true},
			gateways:    &nftables.Set{Table: table, Name: "gateways6", KeyType: nftables.TypeIP6Addr},
			published:   mapping("published6", station6, nftables.TypeInetProto, nftables.TypeInetService),
			publishedAt: mapping("published6_at", station6, nftables.TypeIP6Addr, nftables.TypeInetProto, nftables.TypeInetService),
		},
	}

	// A station is an address and a port, where a packet is led to.
	station4 = nftables.MustConcatSetType(nftables.TypeIPAddr, nftables.TypeInetService)
	station6 = nftables.MustConcatSetType(nftables.TypeIP6Addr, nftables.TypeInetService)
)

// A family is what is not the same in IPv4 and IPv6.
type family struct {
	number              int
	protocol            byte         // as netfilter numbers it
	bytes               uint32       // of an address
	source, destination uint32       // where in a packet's head they are
	loopback            netip.Prefix // the host itself, in its own eyes

	subnets, gateways, published, publishedAt *nftables.Set
}

func mapping(name string, value nftables.SetDatatype, keys ...nftables.SetDatatype) *nftables.Set {
	return &nftables.Set{
		Table: table, Name: name, IsMap: true, Concatenation: true,
		KeyType: nftables.MustConcatSetType(keys...), DataType: value,
	}
}

// ensureTable sees to it that the table is there, with all that belongs into it: whoever flushes the ruleset takes
// it away, and the next container that starts brings it back. chains are all there are.
func (h *Host) ensureTable(chains []*nftables.Chain) error {
	if slices.ContainsFunc(chains, func(c *nftables.Chain) bool { return c.Table.Name == table.Name && c.Table.Family == table.Family }) {
		return nil
	}
	nft := &nftables.Conn{}
	nft.AddTable(table)
	sets := []*nftables.Set{bridges, internal, within}
	for _, f := range families {
		sets = append(sets, f.subnets, f.gateways, f.published, f.publishedAt)
	}
	for _, set := range sets {
		set.ID = 0 // one is given to it with every batch
		if err := nft.AddSet(set, nil); err != nil {
			return fmt.Errorf("set %s: %w", set.Name, err)
		}
	}
	addChains(nft)
	if err := h.flush(nft, "add table inet "+table.Name); err != nil {
		return err
	}
	return h.fill()
}

// hasTable asks for the table; where nothing of nftables is loaded yet, it is not there either.
func hasTable() (bool, error) {
	_, err := (&nftables.Conn{}).ListTableOfFamily(table.Name, table.Family)
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, unix.ENOENT):
		return false, nil
	}
	return false, fmt.Errorf("nft list table inet %s: %w", table.Name, err)
}

func (h *Host) deleteTable() error {
	there, err := hasTable()
	if !there || err != nil {
		return err
	}
	nft := &nftables.Conn{}
	nft.DelTable(table)
	return h.flush(nft, "delete table inet "+table.Name)
}

// flush sends what has been put together, as one transaction: the kernel takes all of it or nothing.
func (h *Host) flush(nft *nftables.Conn, command string) error {
	return h.Door.Do(kernel.Call{Op: "nft", Object: command, Shell: "nft '" + command + "'"}, nft.Flush)
}

// addChains adds the chains and their rules.
func addChains(nft *nftables.Conn) {
	base := func(name string, kind nftables.ChainType, hook *nftables.ChainHook, priority *nftables.ChainPriority) *nftables.Chain {
		return nft.AddChain(&nftables.Chain{Table: table, Name: name, Type: kind, Hooknum: hook, Priority: priority})
	}
	guard := base("guard", nftables.ChainTypeFilter, nftables.ChainHookPrerouting, nftables.ChainPriorityRaw)
	prerouting := base("prerouting", nftables.ChainTypeNAT, nftables.ChainHookPrerouting, nftables.ChainPriorityNATDest)
	output := base("output", nftables.ChainTypeNAT, nftables.ChainHookOutput, nftables.ChainPriorityNATDest)
	forward := base("forward", nftables.ChainTypeFilter, nftables.ChainHookForward, nftables.ChainPriorityFilter)
	postrouting := base("postrouting", nftables.ChainTypeNAT, nftables.ChainHookPostrouting, nftables.ChainPriorityNATSource)
	outward := nft.AddChain(&nftables.Chain{Table: table, Name: "outward"})
	inward := nft.AddChain(&nftables.Chain{Table: table, Name: "inward"})

	add := func(chain *nftables.Chain, parts ...[]expr.Any) {
		var all []expr.Any
		for _, part := range parts {
			all = append(all, part...)
		}
		nft.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: all})
	}
	from, to := expr.MetaKeyIIFNAME, expr.MetaKeyOIFNAME
	add(guard, link(from, bridges), goes(outward))
	for _, f := range families {
		// From neighbour to neighbour: with br_netfilter it comes here too, and nothing about it need be remembered.
		add(outward, f.only(), f.to(f.subnets), f.notTo(f.gateways), untracked(), verdict(expr.VerdictAccept))
		add(outward, f.only(), f.loop(f.destination), verdict(expr.VerdictDrop))
		add(outward, f.only(), f.loop(f.source), verdict(expr.VerdictDrop))

		// 127.0.0.1 is the host's own: what comes from outside with that destination is no customer of a port there.
		add(prerouting, f.only(), f.loop(f.destination), verdict(expr.VerdictReturn))
		if f.number == 6 { // there is no route_localnet for IPv6: a refusal at once, and all programs try 127.0.0.1
			add(output, f.only(), f.loop(f.destination), verdict(expr.VerdictReturn))
		}
		for _, chain := range []*nftables.Chain{prerouting, output} {
			add(chain, f.only(), f.address(f.destination), service(f.afterAddress()), f.lead(f.publishedAt))
			add(chain, f.only(), local(), service(firstRegister), f.lead(f.published))
		}

		// The answer must come back by the host where it went there by the host: also from a neighbour on the bridge.
		add(postrouting, link(to, bridges), f.only(), led(), f.from(f.subnets), masquerade())
		if f.number == 4 {
			add(postrouting, link(to, bridges), f.only(), f.loop(f.source), masquerade())
		}
		add(postrouting, notLink(to, bridges), f.only(), f.from(f.subnets), masquerade())
	}

	add(forward, answers(), verdict(expr.VerdictAccept)) // most packets are: they have passed what follows before
	add(forward, links(within))                          // with br_netfilter, as beside Docker, they come here too
	add(forward, link(to, bridges), goes(inward))
	add(forward, link(from, internal), verdict(expr.VerdictDrop))

	add(inward, link(to, internal), verdict(expr.VerdictDrop))
	add(inward, led(), verdict(expr.VerdictAccept))
	add(inward, verdict(expr.VerdictDrop))
}
