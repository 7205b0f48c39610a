//go:build linux

package network

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/userdata"
	"github.com/google/nftables/xt"
	"golang.org/x/sys/unix"
)

// A packet must please all tables: where another one drops what it does not know, as Docker's, firewalld's and many
// an administrator's do, ours cannot save it. So each network has rules there that accept its packets; ours still
// says which of them may pass. They bear the network's name as a comment, and leave with it.
//
// The nftables of iptables-nft are such tables. A rule there is written as iptables would, so that it can read it.

// A chain of others that may drop.
type foreign struct {
	*nftables.Chain
	input bool // it decides what the host gets, not what it forwards
}

// listChains lists all chains of all tables.
func listChains(nft *nftables.Conn) (chains []*nftables.Chain, err error) {
	for range 10 { // the kernel says when they changed while they were read
		if chains, err = nft.ListChains(); !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("nft list chains: %w (has the kernel no nf_tables? --network none and host need none)", err)
	}
	return chains, nil
}

// foreignChains finds those that drop what no rule of theirs accepts.
func foreignChains(chains []*nftables.Chain) (list []foreign) {
	for _, chain := range chains {
		family := chain.Table.Family
		if chain.Hooknum == nil || chain.Table.Name == table.Name ||
			family != nftables.TableFamilyINet && family != nftables.TableFamilyIPv4 && family != nftables.TableFamilyIPv6 {
			continue
		}
		input := *chain.Hooknum == *nftables.ChainHookInput
		if !input && *chain.Hooknum != *nftables.ChainHookForward {
			continue
		}
		user := slices.IndexFunc(chains, func(c *nftables.Chain) bool {
			return c.Name == dockerUser && c.Table.Name == chain.Table.Name && c.Table.Family == family
		})
		drops := chain.Policy != nil && *chain.Policy == nftables.ChainPolicyDrop ||
			chain.Table.Name == "firewalld" && strings.HasPrefix(chain.Name, "filter_") // its last rule is a reject
		switch {
		case !input && user >= 0:
			list = append(list, foreign{chains[user], false})
		case drops:
			list = append(list, foreign{chain, input})
		}
	}
	return list
}

// dockerUser is the chain that Docker has for others' rules, before its own.
const dockerUser = "DOCKER-USER"

// ensureRules sees to it that both our table and our rules among those of others are there.
func (h *Host) ensureRules(n *Network) error {
	nft, err := nftables.New(nftables.AsLasting())
	if err != nil {
		return fmt.Errorf("netlink socket: %w", err)
	}
	defer nft.CloseLasting() //nolint:errcheck // nothing is under way
	chains, err := listChains(nft)
	if err != nil {
		return err
	}
	if err := h.ensureTable(chains); err != nil {
		return err
	}
	return h.ensureAccepted(nft, chains, n)
}

// ensureAccepted adds a network's rules where they are missing: also those that somebody took away since.
func (h *Host) ensureAccepted(nft *nftables.Conn, chains []*nftables.Chain, n *Network) error {
	for _, chain := range foreignChains(chains) {
		if chain.Table.Family == nftables.TableFamilyIPv6 && !n.Subnet6.IsValid() {
			continue
		}
		rules, err := nft.GetRules(chain.Table, chain.Chain)
		if err != nil {
			return fmt.Errorf("nft list chain %s: %w", chainName(chain.Chain), err)
		}
		if slices.ContainsFunc(rules, n.owns) {
			continue
		}
		texts := chain.accept(nft, n, rules)
		command := "insert rule " + chainName(chain.Chain) + " " + strings.Join(texts, "; ")
		if err := h.flush(nft, command); err != nil {
			return err
		}
	}
	return h.acceptLegacy(n)
}

// accept puts the rules together. Docker's chain for users ends with a return, and what users refuse there comes
// before; any other has them at its head, before its own refusals.
func (c foreign) accept(nft *nftables.Conn, n *Network, rules []*nftables.Rule) (texts []string) {
	before, last := uint64(0), false
	if c.Name == dockerUser {
		last = true
		if len(rules) > 0 && returns(rules[len(rules)-1]) {
			before, last = rules[len(rules)-1].Handle, false
		}
	}
	add := func(text string, parts ...[]expr.Any) {
		rule := &nftables.Rule{
			Table: c.Table, Chain: c.Chain, Position: before, Exprs: slices.Concat(parts...),
			UserData: userdata.AppendString(nil, userdata.TypeComment, n.comment()),
		}
		if last {
			nft.AddRule(rule)
		} else {
			nft.InsertRule(rule)
		}
		texts = append(texts, text+" accept")
	}
	accept := verdict(expr.VerdictAccept)
	if !c.input {
		add("iifname "+n.Bridge, named(expr.MetaKeyIIFNAME, n.Bridge), accept)
		add("oifname "+n.Bridge, named(expr.MetaKeyOIFNAME, n.Bridge), accept)
		return texts
	}
	for _, protocol := range []string{"udp", "tcp"} { // to the resolver
		add("iifname "+n.Bridge+" "+protocol+" dport 53", named(expr.MetaKeyIIFNAME, n.Bridge), c.toPort(protocol, 53), accept)
	}
	return texts
}

func (n *Network) comment() string { return networkAlias + n.Name }

// owns tells whether a rule is the network's, by its comment.
func (n *Network) owns(rule *nftables.Rule) bool {
	comment, ok := userdata.GetString(rule.UserData, userdata.TypeComment)
	return ok && comment == n.comment()
}

// returns tells whether all that a rule does is to return.
func returns(rule *nftables.Rule) bool {
	decides := slices.DeleteFunc(slices.Clone(rule.Exprs), func(e expr.Any) bool { _, counts := e.(*expr.Counter); return counts })
	if len(decides) != 1 {
		return false
	}
	v, ok := decides[0].(*expr.Verdict)
	return ok && v.Kind == expr.VerdictReturn
}

// named is: iifname "sc0".
func named(key expr.MetaKey, name string) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: key, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: ifname(name)},
	}
}

// toPort is: udp dport 53. iptables-nft before 1.8.8 knows that in its own words only (-m udp --dport 53), and takes
// a table for broken that has others.
func (c foreign) toPort(protocol string, port uint16) []expr.Any {
	list := []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{protocols[protocol]}},
	}
	if c.Table.Family == nftables.TableFamilyINet {
		return append(list,
			&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binary.BigEndian.AppendUint16(nil, port)})
	}
	// struct xt_udp and the beginning of struct xt_tcp: the first and the last source port, then the destination's.
	info := make([]byte, 16)
	binary.NativeEndian.PutUint16(info[2:], 0xffff)
	binary.NativeEndian.PutUint16(info[4:], port)
	binary.NativeEndian.PutUint16(info[6:], port)
	match := xt.Unknown(info)
	return append(list, &expr.Match{Name: protocol, Info: &match})
}

// unaccept takes a network's rules away, wherever they are.
func (h *Host) unaccept(n *Network) error {
	nft := &nftables.Conn{}
	chains, err := listChains(nft)
	if err != nil {
		return err
	}
	var found []*nftables.Rule
	for _, chain := range foreignChains(chains) {
		rules, err := nft.GetRules(chain.Table, chain.Chain)
		if err != nil {
			return fmt.Errorf("nft list chain %s: %w", chainName(chain.Chain), err)
		}
		found = append(found, slices.DeleteFunc(rules, func(r *nftables.Rule) bool { return !n.owns(r) })...)
	}
	for _, rule := range found {
		if err := h.deleteRule(rule); err != nil {
			return err
		}
	}
	return h.unacceptLegacy(n)
}

// deleteRule deletes a rule by its handle, which no other ever has in its table.
func (h *Host) deleteRule(rule *nftables.Rule) error {
	nft := &nftables.Conn{}
	if err := nft.DelRule(rule); err != nil {
		return err
	}
	rule.Chain.Table = rule.Table
	err := h.flush(nft, fmt.Sprintf("delete rule %s handle %d", chainName(rule.Chain), rule.Handle))
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}

// chainName is how nft(8) names a chain: ip filter FORWARD.
func chainName(chain *nftables.Chain) string {
	family := "inet"
	switch chain.Table.Family {
	case nftables.TableFamilyIPv4:
		family = "ip"
	case nftables.TableFamilyIPv6:
		family = "ip6"
	}
	return family + " " + chain.Table.Name + " " + chain.Name
}
