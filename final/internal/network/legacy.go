//go:build linux

package network

import (
	"errors"
	"os"
	"os/exec"
	"slices"
	"strings"

	"github.com/simple-container/simple-container/final/internal/kernel"
)

// The tables of iptables-legacy are older than nftables and outside of it. A program changes one as a whole, by
// a socket option, and only iptables knows all that may be in it. So here, and nowhere else, its own program is
// asked, provided that there is such a table (the kernel has a list of them) and it drops. Without the program the
// containers are cut off, and that is said: nothing else of theirs depends on it.

// legacies are the two of them, with the kernel's list of their tables.
var legacies = []struct {
	kernel.Iptables
	names string
	ipv6  bool
}{
	{kernel.Iptables{Name: "iptables-legacy", Save: "iptables-legacy-save"}, "/proc/net/ip_tables_names", false},
	{kernel.Iptables{Name: "ip6tables-legacy", Save: "ip6tables-legacy-save"}, "/proc/net/ip6_tables_names", true},
}

// hasLegacy tells whether there is a table "filter".
func hasLegacy(names string) bool {
	text, err := os.ReadFile(names)
	return err == nil && slices.Contains(strings.Fields(string(text)), "filter")
}

// legacyRules are a network's, without the chain.
func legacyRules(n *Network) (list [][]string) {
	for _, link := range []string{"-i", "-o"} {
		list = append(list, []string{link, n.Bridge, "-m", "comment", "--comment", n.comment(), "-j", "ACCEPT"})
	}
	return list
}

func (h *Host) acceptLegacy(n *Network) error {
	for _, legacy := range legacies {
		if !hasLegacy(legacy.names) || legacy.ipv6 && !n.Subnet6.IsValid() {
			continue
		}
		text, err := h.Door.IptablesSave(legacy.Iptables)
		if errors.Is(err, exec.ErrNotFound) {
			h.Door.Skip("accept rules among those of "+legacy.Name,
				"the program is not there, and the table is: if it drops what it forwards, install the program or remove the table")
			continue
		}
		if err != nil {
			return err
		}
		chain := "FORWARD"
		switch {
		case Policy(text, "filter", dockerUser) != "":
			chain = dockerUser
		case Policy(text, "filter", chain) != "DROP":
			continue
		}
		if strings.Contains(text, "-A "+chain) && strings.Contains(text, "--comment "+n.comment()+" ") {
			continue
		}
		for _, rule := range legacyRules(n) {
			if err := h.Door.Iptables(legacy.Iptables, append([]string{"-t", "filter", "-I", chain}, rule...)...); err != nil {
				return err
			}
		}
	}
	return nil
}

func (h *Host) unacceptLegacy(n *Network) error {
	for _, legacy := range legacies {
		if !hasLegacy(legacy.names) {
			continue
		}
		text, err := h.Door.IptablesSave(legacy.Iptables)
		if errors.Is(err, exec.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		for line := range strings.Lines(text) {
			rest, ok := strings.CutPrefix(strings.TrimSpace(line), "-A ")
			if args := fields(rest); ok && slices.Contains(args, n.comment()) {
				if err := h.Door.Iptables(legacy.Iptables, append([]string{"-t", "filter", "-D"}, args...)...); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
