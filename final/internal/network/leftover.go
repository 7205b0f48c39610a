//go:build linux

package network

import (
	"fmt"
	"io/fs"
	"net/netip"
	"slices"
	"strings"

	"github.com/simple-container/simple-container/final/internal/kernel"
	"github.com/vishvananda/netlink"
)

// Addresses is where the containers of the steps have theirs; each takes a /30 of it.
var Addresses = netip.MustParsePrefix("10.213.0.0/16")

// LinkID returns the id of the container that a link belongs to: its alias says so (ip link set alias).
func LinkID(link netlink.Link) (id string, ok bool) { return kernel.ID(link.Attrs().Alias) }

// HalfMade tells whether a link is the host's end of a pair whose maker died before it could write the
// alias: scN without one, the other end scNp still beside it. Whoever makes a pair holds the network lock
// until the alias is there, so this is certain only with the lock held.
func HalfMade(link netlink.Link, all []netlink.Link) bool {
	attrs := link.Attrs()
	if link.Type() != "veth" || attrs.Alias != "" || !isHostEnd(attrs.Name) {
		return false
	}
	return slices.ContainsFunc(all, func(peer netlink.Link) bool {
		return peer.Attrs().Name == attrs.Name+"p" && peer.Attrs().Index == attrs.ParentIndex
	})
}

// isHostEnd knows the host's end of a pair by its name: sc0 to sc16383.
func isHostEnd(name string) bool {
	number, ok := strings.CutPrefix(name, "sc")
	return ok && number != "" && strings.Trim(number, "0123456789") == ""
}

// A Rule is one packet filter rule, in iptables' words.
type Rule struct {
	Iptables kernel.Iptables // whose rule it is
	Table    string
	Args     []string // the rule as iptables-save prints it, from the chain on
	ID       string   // the container's
}

func (r Rule) String() string {
	return fmt.Sprintf("%s -t %s -A %s", r.Iptables.Name, r.Table, strings.Join(r.Args, " "))
}

// Delete deletes the rule by its own text, so that it can only hit the same rule. If it is not there, the
// error is fs.ErrNotExist; iptables itself has one exit status for everything.
func (r Rule) Delete(door *kernel.Door) error {
	err := door.Iptables(r.Iptables, append([]string{"-t", r.Table, "-D"}, r.Args...)...)
	if err == nil {
		return nil
	}
	same := func(other Rule) bool { return other.String() == r.String() }
	if rules, failed := Rules(door); failed == nil && !slices.ContainsFunc(rules, same) {
		return fmt.Errorf("%s: %w", r, fs.ErrNotExist)
	}
	return err
}

// Rules returns the rules of all containers, as their comments tell.
func Rules(door *kernel.Door) (rules []Rule, err error) {
	for _, variant := range kernel.IptablesVariants() {
		text, err := door.IptablesSave(variant)
		if err != nil {
			return nil, err
		}
		rules = append(rules, parseRules(variant, text)...)
	}
	return rules, nil
}

// parseRules reads what iptables-save prints:
//
//	*filter
//	:FORWARD DROP [0:0]
//	-A FORWARD -i sc0 -m comment --comment simple-container-0123456789ab -j ACCEPT
//	COMMIT
func parseRules(variant kernel.Iptables, text string) (rules []Rule) {
	table := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if name, ok := strings.CutPrefix(line, "*"); ok {
			table = name
		}
		rest, ok := strings.CutPrefix(line, "-A ")
		if !ok {
			continue
		}
		args := fields(rest)
		at := slices.Index(args, "--comment") + 1
		if at == 0 || at == len(args) {
			continue
		}
		if id, ok := kernel.ID(args[at]); ok {
			rules = append(rules, Rule{variant, table, args, id})
		}
	}
	return rules
}

// fields splits a line into words as iptables-save quotes them: "a b\"c" is one word.
func fields(line string) (words []string) {
	var word strings.Builder
	quoted, started := false, false
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case c == '"':
			quoted, started = !quoted, true
		case c == '\\' && quoted && i+1 < len(line):
			i++
			word.WriteByte(line[i])
		case c == ' ' && !quoted:
			if started {
				words = append(words, word.String())
			}
			word.Reset()
			started = false
		default:
			word.WriteByte(c)
			started = true
		}
	}
	if started {
		words = append(words, word.String())
	}
	return words
}

// Policy returns the policy of a chain, "" where it has none: the packets that no rule decides about are
// treated so. text is from iptables-save.
func Policy(text, table, chain string) string {
	_, text, _ = strings.Cut(text, "*"+table+"\n")
	text, _, _ = strings.Cut(text, "COMMIT")
	for line := range strings.Lines(text) {
		// :FORWARD DROP [0:0]
		if words := strings.Fields(line); len(words) > 1 && words[0] == ":"+chain {
			return words[1]
		}
	}
	return ""
}
