//go:build linux

package network

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/vishvananda/netlink"
)

// raise sees to it that a network is up. The state file is written before the bridge is made, so that nothing is
// ever there that no file tells of.
func (h *Host) raise(w *wire, n *Network) error {
	path := n.statePath()
	err := read(path, n)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err == nil {
		if err := n.checkSpace(); err != nil {
			n.Bridge = "" // there is nothing to take back
			return err
		}
		bridge, err := w.find(n.Bridge)
		if err != nil {
			return err
		}
		if bridge != nil && bridge.Attrs().Alias == networkAlias+n.Name {
			return errors.Join(h.ensureRules(n), h.ensureResolver(n))
		}
		if err := h.lower(w, n); err != nil { // half made, or somebody has deleted it
			return err
		}
		n.Bridge = ""
	}
	if err := h.number(w, n); err != nil {
		return err
	}
	if n.MTU == 0 {
		_, uplink, err := w.routes()
		if err != nil {
			return err
		}
		if n.MTU = w.uplinkMTU(uplink); n.MTU == 0 {
			n.MTU = 1500
		}
	}
	if n.Bridge, err = w.freeName(); err != nil {
		return err
	}
	n.Space = here()
	if err := h.write(path, n); err != nil {
		return err
	}
	return h.build(w, n)
}

// freeName returns the first of sc0, sc1, ... that is no link's. Step 04 calls its links so too.
func (w *wire) freeName() (string, error) {
	for number := range 1 << 14 {
		name := fmt.Sprintf("sc%d", number)
		link, err := w.find(name)
		if err != nil || link == nil {
			return name, err
		}
	}
	return "", errors.New("links: sc0 to sc16383 are all taken")
}

// build makes the bridge: a switch (bridge(8)) with the host at it.
func (h *Host) build(w *wire, n *Network) error {
	attributes := netlink.NewLinkAttrs()
	attributes.Name, attributes.MTU = n.Bridge, n.MTU
	// Without an address of its own a bridge has the lowest of its ports', which come and go.
	attributes.HardwareAddr = hardwareAddress(n.Gateway)
	bridge := &netlink.Bridge{LinkAttrs: attributes}
	ip := fmt.Sprintf("link add %s mtu %d address %s type bridge", n.Bridge, n.MTU, attributes.HardwareAddr)
	if err := w.do(ip, func() error { return w.LinkAdd(bridge) }); err != nil {
		return err
	}
	if err := w.address(bridge, netip4(n)); err != nil {
		return err
	}
	if n.Subnet6.IsValid() {
		if err := w.address(bridge, netip6(n)); err != nil {
			return err
		}
	}
	if err := w.up(bridge); err != nil {
		return err
	}
	if err := h.forward(w, n); err != nil {
		return err
	}
	if err := h.ensureRules(n); err != nil {
		return err
	}
	if err := h.addElements(networkElements(n)); err != nil {
		return err
	}
	if err := h.ensureResolver(n); err != nil {
		return err
	}
	// The alias comes last: a bridge that has it is whole.
	return w.do("link set "+n.Bridge+" alias "+networkAlias+n.Name, func() error {
		return w.LinkSetAlias(bridge, networkAlias+n.Name)
	})
}

// lowerIfEmpty takes a network down when nobody is left on it.
func (h *Host) lowerIfEmpty(w *wire, n *Network) error {
	alive, err := h.anyAlive(w, n)
	if err != nil || alive {
		return err
	}
	if err := h.buryDead(n); err != nil {
		return err
	}
	return h.lower(w, n)
}

// lower takes a network down. Its file goes last.
func (h *Host) lower(w *wire, n *Network) error {
	bridge, err := w.find(n.Bridge)
	if err != nil {
		return err
	}
	// A bridge that is half made has no alias yet; anything else of that name is not ours.
	if bridge != nil && bridge.Type() == "bridge" &&
		(bridge.Attrs().Alias == networkAlias+n.Name || bridge.Attrs().Alias == "") {
		if err := w.delete(bridge); err != nil {
			return err
		}
	}
	if err := h.stopResolver(n); err != nil {
		return err
	}
	if err := h.unaccept(n); err != nil {
		return err
	}
	if err := h.deleteElements(networkElements(n)); err != nil {
		return err
	}
	up, err := listUp()
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(up, func(other Network) bool { return other.Name != n.Name }) {
		if err := errors.Join(h.deleteTable(), h.restore(w)); err != nil {
			return err
		}
	}
	for _, name := range []string{n.lastPath(), n.lastPath() + ".new", n.statePath() + ".new", n.statePath()} {
		if err := h.remove(name); err != nil {
			return err
		}
	}
	return h.removeDirs(filepath.Join(n.dir(), "endpoints"), filepath.Join(n.dir(), "leases"), n.dir(),
		upDir, portsDir, settingDir, stateDir)
}

func (n *Network) statePath() string { return filepath.Join(n.dir(), "network.json") }

// bridgeOf is the link of a network, "" if it is down.
func bridgeOf(name string) string {
	n := Network{Name: name}
	if read(n.statePath(), &n) != nil {
		return ""
	}
	return n.Bridge
}

// listUp are the networks that are up.
func listUp() (list []Network, err error) {
	paths, err := filepath.Glob(filepath.Join(upDir, "*", "network.json"))
	for _, path := range paths {
		var n Network
		err := read(path, &n)
		if errors.Is(err, fs.ErrNotExist) {
			continue // just taken down
		}
		if err != nil {
			return nil, err
		}
		list = append(list, n)
	}
	return list, err
}
