//go:build linux

package web

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// stations are the places in the kernel that a packet out of a container passes on the host, in its order.
var stations = []struct {
	hook nftables.ChainHook
	word string
}{
	{unix.NF_INET_PRE_ROUTING, "prerouting"},
	{unix.NF_INET_FORWARD, "forward"},
	{unix.NF_INET_POST_ROUTING, "postrouting"},
}

// filters says which chains of nftables wait for a packet on its way, whoever made them (iptables-nft too), and which
// of them drop what no rule of theirs accepts:
//
//	forward: inet simple_container
//	forward: ip filter, policy drop
func filters() (facts []string, err error) {
	conn := &nftables.Conn{}
	var chains []*nftables.Chain
	for range 10 {
		if chains, err = conn.ListChains(); !errors.Is(err, unix.EINTR) { // changed while it was read
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("nftables: list chains: %w", err)
	}
	return chainFacts(chains), nil
}

func chainFacts(chains []*nftables.Chain) (facts []string) {
	chains = slices.DeleteFunc(slices.Clone(chains), func(c *nftables.Chain) bool {
		return c.Hooknum == nil || c.Table == nil || !slices.Contains(families, c.Table.Family)
	})
	slices.SortStableFunc(chains, func(a, b *nftables.Chain) int { return cmp.Compare(priority(a), priority(b)) })
	for _, station := range stations {
		for _, c := range chains {
			if *c.Hooknum != station.hook {
				continue
			}
			fact := fmt.Sprintf("%s: %s %s", station.word, familyName(c.Table.Family), c.Table.Name)
			if !strings.EqualFold(c.Name, station.word) {
				fact += " " + c.Name
			}
			if c.Policy != nil && *c.Policy == nftables.ChainPolicyDrop {
				fact += ", policy drop"
			}
			facts = append(facts, fact)
		}
	}
	return facts
}

// families are those whose hooks have these numbers.
var families = []nftables.TableFamily{nftables.TableFamilyINet, nftables.TableFamilyIPv4, nftables.TableFamilyIPv6}

func familyName(f nftables.TableFamily) string {
	switch f {
	case nftables.TableFamilyIPv4:
		return "ip"
	case nftables.TableFamilyIPv6:
		return "ip6"
	}
	return "inet"
}

func priority(c *nftables.Chain) nftables.ChainPriority {
	if c.Priority == nil {
		return 0
	}
	return *c.Priority
}
