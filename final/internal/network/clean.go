//go:build linux

package network

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/userdata"
	"github.com/vishvananda/netlink"
)

// Up tells whether a network is up, and so whether the host must go on forwarding.
func Up() bool {
	up, err := listUp()
	return len(up) > 0 || err != nil
}

// Clean removes what dead containers have left, and each network that has no others; and what belongs to no network
// that is known, because somebody has removed the files. It says each thing, before or in place of removing it.
func (h *Host) Clean(dryRun bool, say func(kind, name string)) error {
	if _, err := os.Stat(stateDir); errors.Is(err, fs.ErrNotExist) {
		return h.cleanUnknown(dryRun, say) // and leave no trace of having looked
	}
	lock, err := h.lock()
	if err != nil {
		return err
	}
	defer lock.Close()
	up, err := listUp()
	if err != nil {
		return err
	}
	var errs []error
	for _, n := range up {
		if n.checkSpace() != nil {
			continue // who is there may live
		}
		errs = append(errs, h.cleanNetwork(&n, dryRun, say))
	}
	return errors.Join(append(errs, h.cleanUnknown(dryRun, say))...)
}

// cleanNetwork is for one that is up.
func (h *Host) cleanNetwork(n *Network, dryRun bool, say func(kind, name string)) error {
	w, err := h.wire()
	if err != nil {
		return err
	}
	defer w.Close()
	connections, err := h.Connections(n.Name)
	if err != nil {
		return err
	}
	living := 0
	for _, c := range connections {
		link, err := w.find(c.Link)
		if err != nil {
			return err
		}
		if link != nil {
			living++
			continue
		}
		say("connection", c.label()+" "+c.IPv4.Addr().String())
	}
	if living == 0 {
		say("network", n.Name+" "+n.Bridge)
	}
	if dryRun {
		return nil
	}
	if err := h.buryDead(n); err != nil || living > 0 {
		return err
	}
	return h.lowerIfEmpty(w, n)
}

// cleanUnknown is for what has our marks and belongs to no network that is up.
func (h *Host) cleanUnknown(dryRun bool, say func(kind, name string)) error {
	w, err := h.wire()
	if err != nil {
		return err
	}
	defer w.Close()
	up, err := listUp()
	if err != nil {
		return err
	}
	known := func(name string) bool { return slices.ContainsFunc(up, func(n Network) bool { return n.Name == name }) }
	links, err := listLinks(w)
	if err != nil {
		return err
	}
	var errs []error
	for _, link := range links {
		if h.isUnknown(link, known) {
			say("link", link.Attrs().Name)
			if !dryRun {
				errs = append(errs, w.delete(link))
			}
		}
	}
	errs = append(errs, h.cleanRules(known, dryRun, say))
	if there, err := hasTable(); there && len(up) == 0 {
		say("table", "inet "+table.Name)
		if !dryRun {
			errs = append(errs, h.deleteTable())
		}
	} else if err != nil {
		errs = append(errs, err)
	}
	if _, err := os.Lstat(stateDir); err == nil && len(up) == 0 && !dryRun {
		errs = append(errs, h.restore(w), h.removeDirs(upDir, portsDir, settingDir, stateDir))
	}
	return errors.Join(errs...)
}

// isUnknown tells whether a link has our mark, and no file tells of it.
func (h *Host) isUnknown(link netlink.Link, known func(network string) bool) bool {
	if name, ok := strings.CutPrefix(link.Attrs().Alias, networkAlias); ok {
		return !known(name)
	}
	if id, ok := strings.CutPrefix(link.Attrs().Alias, endpointAlias); ok {
		c, err := h.Connection(id)
		return c == nil && err == nil
	}
	return false
}

// cleanRules removes the accept rules of networks that are not up.
func (h *Host) cleanRules(known func(network string) bool, dryRun bool, say func(kind, name string)) error {
	nft := &nftables.Conn{}
	chains, err := listChains(nft)
	if err != nil {
		return err
	}
	for _, chain := range foreignChains(chains) {
		rules, err := nft.GetRules(chain.Table, chain.Chain)
		if err != nil {
			return fmt.Errorf("nft list chain %s: %w", chainName(chain.Chain), err)
		}
		for _, rule := range rules {
			comment, _ := userdata.GetString(rule.UserData, userdata.TypeComment) // "" is nobody's
			name, ours := strings.CutPrefix(comment, networkAlias)
			if !ours || known(name) {
				continue
			}
			say("rule", fmt.Sprintf("%s handle %d", chainName(chain.Chain), rule.Handle))
			if dryRun {
				continue
			}
			if err := h.deleteRule(rule); err != nil {
				return err
			}
		}
	}
	return nil
}
