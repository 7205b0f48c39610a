//go:build linux

package kernel

import (
	"os/exec"
	"strings"
)

// Iptables is one of the programs called iptables. There are two sets of rules in a kernel: iptables-nft
// writes nftables, iptables-legacy its own older tables, and a packet must please both. The plain name is
// a link to one of them.
type Iptables struct {
	Name string // the program that changes rules
	Save string // the one that prints them all
}

var variants = []Iptables{
	{"iptables-nft", "iptables-nft-save"},
	{"iptables-legacy", "iptables-legacy-save"},
}

// IptablesVariants returns the variants that are in PATH; where neither name is known, the plain iptables.
func IptablesVariants() []Iptables {
	var found []Iptables
	for _, v := range append(variants[:2:2], Iptables{"iptables", "iptables-save"}) {
		if v.Name == "iptables" && found != nil {
			break // another name of one of those
		}
		if _, err := exec.LookPath(v.Save); err == nil {
			found = append(found, v)
		}
	}
	return found
}

// IptablesSave returns all rules of a variant, in iptables-save's words. It names no table: that would make
// the kernel load the table.
func (d *Door) IptablesSave(v Iptables) (string, error) {
	return d.Run(v.Save)
}

// Iptables runs one command. -w waits while another program changes the rules, where the tool would
// otherwise give up.
func (d *Door) Iptables(v Iptables, args ...string) error {
	_, err := d.Run(v.Name, append([]string{"-w"}, args...)...)
	return err
}

// IptablesVersion returns what iptables says of itself: iptables v1.8.9 (nf_tables).
func (d *Door) IptablesVersion() (string, error) {
	text, err := d.Run("iptables", "--version")
	return strings.TrimSpace(text), err
}
