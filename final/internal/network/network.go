//go:build linux

package network

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Default is the network of a container that names none. It is there always: nobody creates it.
const Default = "bridge"

// A Network is a switch that containers are connected to.
type Network struct {
	Name     string            `json:"name"`
	Created  time.Time         `json:"created,omitzero"`
	Subnet   netip.Prefix      `json:"subnet"`             // zero for Create: one that is free
	Gateway  netip.Addr        `json:"gateway"`            // the host's address; zero for Create: the first one
	Subnet6  netip.Prefix      `json:"subnet6,omitzero"`   // zero: no IPv6
	Gateway6 netip.Addr        `json:"gateway6,omitzero"`  //
	NoIPv6   bool              `json:"no_ipv6,omitempty"`  // for Create: no IPv6, though the host has it
	Internal bool              `json:"internal,omitempty"` // no way out, nor in
	MTU      int               `json:"mtu,omitempty"`      // 0: the uplink's
	Labels   map[string]string `json:"labels,omitempty"`
	Bridge   string            `json:"bridge,omitempty"` // the link, as long as it is up
	Space    string            `json:"space,omitempty"`  // the network namespace that it is up in
}

// The errors that callers tell apart.
var (
	ErrNotExist = errors.New("no such network")
	ErrExist    = errors.New("a network of that name is there already")
	ErrInUse    = errors.New("containers are connected")
)

// here is the network namespace that we are in: net:[4026531840].
func here() string {
	text, _ := os.Readlink("/proc/self/ns/net") // without /proc nothing else works either
	return text
}

// checkSpace refuses to touch what is in another namespace: seen from here its links are not there, and all
// its containers dead.
func (n *Network) checkSpace() error {
	if n.Space == "" || n.Space == here() {
		return nil
	}
	return fmt.Errorf("network %s is up in another network namespace, %s; this is %s", n.Name, n.Space, here())
}

// dir is where a network that is up has its state.
func (n *Network) dir() string { return filepath.Join(upDir, n.Name) }

// file is where a network is remembered that somebody created.
func (h *Host) file(name string) string { return filepath.Join(h.Dir, name+".json") }

// checkName refuses what cannot be a file's name, or means something else.
func checkName(name string) error {
	letter := func(c rune) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' }
	switch {
	case name == "" || len(name) > 128 || !letter(rune(name[0])) ||
		strings.ContainsFunc(name, func(c rune) bool { return !letter(c) && !strings.ContainsRune("_.-", c) }):
		return fmt.Errorf("network name %q: want a letter or digit, then letters, digits and _ . - only, at most 128", name)
	case slices.Contains([]string{Default, "host", "none", "default", "container"}, name):
		return fmt.Errorf("network name %q: it means something else", name)
	}
	return nil
}

// Create makes a network, to be found by its name. Its bridge comes with the first container.
func (h *Host) Create(n Network) (*Network, error) {
	if err := checkName(n.Name); err != nil {
		return nil, err
	}
	lock, err := h.lock()
	if err != nil {
		return nil, err
	}
	defer lock.Close()
	if _, err := os.Lstat(h.file(n.Name)); err == nil {
		return nil, fmt.Errorf("network %s: %w", n.Name, ErrExist)
	}
	w, err := h.wire()
	if err != nil {
		return nil, err
	}
	defer w.Close()
	if err := h.number(w, &n); err != nil {
		return nil, err
	}
	n.Created, n.Bridge = time.Now().UTC().Truncate(time.Second), ""
	return &n, h.write(h.file(n.Name), n)
}

// number gives a network the addresses that it has not.
func (h *Host) number(w *wire, n *Network) error {
	taken, _, err := w.routes()
	if err != nil {
		return err
	}
	others, err := h.created()
	if err != nil {
		return err
	}
	up, err := listUp()
	if err != nil {
		return err
	}
	for _, other := range slices.Concat(others, up) {
		if other.Name != n.Name {
			taken = append(taken, other.Subnet)
		}
		if n.Subnet.IsValid() && n.Subnet.Overlaps(other.Subnet) && other.Name != n.Name {
			return fmt.Errorf("subnet %s: network %s has %s", n.Subnet, other.Name, other.Subnet)
		}
	}
	if !n.Subnet.IsValid() {
		if n.Subnet, err = pickSubnet(taken); err != nil {
			return err
		}
	} else if err := checkSubnet(n.Subnet, taken); err != nil {
		return err
	}
	if !n.Gateway.IsValid() {
		n.Gateway = plus(n.Subnet.Addr(), 1)
	}
	if !n.Subnet.Contains(n.Gateway) || n.Gateway == n.Subnet.Addr() {
		return fmt.Errorf("gateway %s: want an address in %s", n.Gateway, n.Subnet)
	}
	return n.number6()
}

func checkSubnet(subnet netip.Prefix, taken []netip.Prefix) error {
	switch {
	case !subnet.Addr().Is4() || subnet != subnet.Masked() || subnet.Bits() < 8 || subnet.Bits() > 29:
		return fmt.Errorf("subnet %s: want the first address of an IPv4 network, and a length of 8 to 29", subnet)
	case slices.ContainsFunc(taken, func(p netip.Prefix) bool { return p.Bits() > wide && p.Overlaps(subnet) }):
		return fmt.Errorf("subnet %s: the host has a route there: see ip route", subnet)
	}
	return nil
}

func (n *Network) number6() error {
	if n.NoIPv6 || !hasIPv6() {
		n.Subnet6, n.Gateway6 = netip.Prefix{}, netip.Addr{}
		return nil
	}
	if !n.Subnet6.IsValid() {
		n.Subnet6 = pickSubnet6(n.Name)
	}
	if s := n.Subnet6; !s.Addr().Is6() || s != s.Masked() || s.Bits() > 96 {
		return fmt.Errorf("subnet %s: want the first address of an IPv6 network, and a length of at most 96", s)
	}
	if !n.Gateway6.IsValid() {
		n.Gateway6 = plus(n.Subnet6.Addr(), 1)
	}
	if !n.Subnet6.Contains(n.Gateway6) {
		return fmt.Errorf("gateway %s: want an address in %s", n.Gateway6, n.Subnet6)
	}
	return nil
}

// hasIPv6 tells whether this host speaks IPv6.
func hasIPv6() bool {
	text, err := os.ReadFile("/proc/sys/net/ipv6/conf/all/disable_ipv6")
	return err == nil && strings.TrimSpace(string(text)) == "0"
}

// List returns all networks, the default first, then by name.
func (h *Host) List() ([]Network, error) {
	list, err := h.created()
	if err != nil {
		return nil, err
	}
	first, err := h.Inspect(Default)
	if err != nil {
		return nil, err
	}
	for i := range list {
		list[i].Bridge = bridgeOf(list[i].Name)
	}
	return append([]Network{*first}, list...), nil
}

// created are the networks that somebody created, by name.
func (h *Host) created() (list []Network, err error) {
	entries, err := os.ReadDir(h.Dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, entry := range entries {
		name, ok := strings.CutSuffix(entry.Name(), ".json")
		if !ok {
			continue // an interrupted write
		}
		var n Network
		err := read(h.file(name), &n)
		if errors.Is(err, fs.ErrNotExist) {
			continue // just removed
		}
		if err != nil {
			return nil, err
		}
		list = append(list, n)
	}
	slices.SortFunc(list, func(a, b Network) int { return cmp.Compare(a.Name, b.Name) })
	return list, nil
}

// Inspect finds a network by its name; "" is the default.
func (h *Host) Inspect(name string) (*Network, error) {
	if name == "" || name == "default" {
		name = Default
	}
	n := &Network{Name: name}
	if name == Default {
		if err := read(n.statePath(), n); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		return n, nil
	}
	if err := checkName(name); err != nil {
		return nil, err
	}
	err := read(h.file(name), n)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("network %s: %w: see final network ls", name, ErrNotExist)
	}
	n.Bridge = bridgeOf(name)
	return n, err
}

// Remove removes a network that nobody is connected to.
func (h *Host) Remove(name string) error {
	if name == Default {
		return fmt.Errorf("network %s: it is there always", name)
	}
	if _, err := h.Inspect(name); err != nil {
		return err
	}
	lock, err := h.lock()
	if err != nil {
		return err
	}
	defer lock.Close()
	n := &Network{Name: name}
	err = read(n.statePath(), n)
	switch {
	case err == nil: // it is up
		if err := h.lowerDead(n); err != nil {
			return err
		}
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	return h.remove(h.file(name))
}

// lowerDead takes a network down whose containers are all dead.
func (h *Host) lowerDead(n *Network) error {
	if err := n.checkSpace(); err != nil {
		return err
	}
	living, err := h.leaveToTheDead(n)
	if err != nil {
		return err
	}
	if len(living) > 0 {
		return fmt.Errorf("network %s: %w: %s", n.Name, ErrInUse, strings.Join(living, ", "))
	}
	w, err := h.wire()
	if err != nil {
		return err
	}
	defer w.Close()
	return h.lower(w, n)
}
