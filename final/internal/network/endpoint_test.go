//go:build linux

package network

import (
	"net/netip"
	"strings"
	"testing"
)

// TestBridge: two containers reach each other and the host, and are reached by it.
func TestBridge(t *testing.T) {
	w := newWorld(t)
	a := w.container(func(e *Endpoint) { e.Name = "a" })
	b := w.container(func(e *Endpoint) { e.Name = "b" })
	if a.IPv4 == b.IPv4 || a.Bridge != b.Bridge || a.Bridge != "sc0" {
		t.Errorf("%+v\n%+v", a, b)
	}
	w.serve(b.Namespace, ":80")
	w.serve("", ":81")
	w.says(a.Namespace, "tcp", hostPort(b.IPv4, 80), a.IPv4.Addr().String())
	w.says(a.Namespace, "tcp", netip.AddrPortFrom(a.Gateway, 81).String(), a.IPv4.Addr().String())
	w.says("", "tcp", hostPort(b.IPv4, 80), a.Gateway.String())
	w.says(b.Namespace, "tcp", "127.0.0.1:80", "127.0.0.1")
	if hasIPv6() {
		w.says(a.Namespace, "tcp", hostPort(b.IPv6, 80), a.IPv6.Addr().String())
		w.says("", "tcp", hostPort(b.IPv6, 80), a.Gateway6.String())
	}
	w.must(w.Disconnect(a.ID))
	w.says("", "tcp", hostPort(b.IPv4, 80), a.Gateway.String())
	w.must(w.Disconnect(b.ID))
	w.checkNothingLeft("the last container")
}

// TestWishes: addresses that are asked for, and those that cannot be had.
func TestWishes(t *testing.T) {
	w := newWorld(t)
	n, err := w.Create(Network{Name: "mine", Subnet: netip.MustParsePrefix("10.1.2.0/24")})
	w.must(err)
	want := func(address string) func(*Endpoint) {
		return func(e *Endpoint) { e.Network, e.Address, e.Name = "mine", netip.MustParseAddr(address), "c-"+address }
	}
	c := w.container(want("10.1.2.7"))
	if c.IPv4.String() != "10.1.2.7/24" || c.Gateway != n.Gateway || !strings.HasPrefix(c.MAC, "02:73:0a:01:02:07") {
		t.Errorf("%+v", c)
	}
	for address, complaint := range map[string]string{
		"10.1.2.7":   "container c-10.1.2.7 has it",
		"10.1.3.7":   "network mine has 10.1.2.0/24",
		"10.1.2.1":   "no station's",
		"10.1.2.0":   "no station's",
		"10.1.2.255": "no station's",
	} {
		if _, err := w.tryContainer(want(address)); err == nil || !strings.Contains(err.Error(), complaint) {
			t.Errorf("%s: %v: want %s", address, err, complaint)
		}
	}
	if err := w.Host.Remove("mine"); err == nil || !strings.Contains(err.Error(), "c-10.1.2.7") {
		t.Errorf("remove: %v", err)
	}
	w.must(w.Disconnect(c.ID))
	w.must(w.Host.Remove("mine"))
}
