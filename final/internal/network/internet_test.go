//go:build linux

package network

import (
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/kernel"
)

// internet is what is around the host: see world_test.go.
type internet struct {
	router, server, neighbour string
}

const (
	hostAddress, hostAddress6           = "192.0.2.2", "2001:db8:1::2"
	neighbourAddress, neighbourAddress6 = "192.0.2.3", "2001:db8:1::3"
	serverAddress, serverAddress6       = "198.51.100.2", "2001:db8:2::2"
	routerOutside, routerOutside6       = "198.51.100.1", "2001:db8:2::1"
)

// online gives the world its uplink, of an MTU as behind a VPN.
func (w *world) online() *internet {
	w.Helper()
	i := &internet{router: w.space(), server: w.space(), neighbour: w.space()}
	w.must(at(i.router, func() error {
		return (&kernel.Door{}).Write("/proc/sys/net/ipv4/ip_forward", "1")
	}))
	if hasIPv6() {
		w.must(at(i.router, func() error {
			return (&kernel.Door{}).Write("/proc/sys/net/ipv6/conf/all/forwarding", "1")
		}))
	}
	router := w.handle(i.router)
	lan := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "lan"}}
	w.must(router.LinkAdd(lan))
	for space, name := range map[string]string{"": "host", i.neighbour: "neighbour"} {
		w.cable(i.router, name, space, "uplink")
		port, err := router.LinkByName(name)
		w.must(err)
		w.must(router.LinkSetMaster(port, lan))
	}
	w.station(i.router, "lan", "192.0.2.1/24", "2001:db8:1::1/64", "", "")
	w.station("", "uplink", hostAddress+"/24", hostAddress6+"/64", "192.0.2.1", "2001:db8:1::1")
	w.station(i.neighbour, "uplink", neighbourAddress+"/24", neighbourAddress6+"/64", "192.0.2.1", "2001:db8:1::1")
	w.cable(i.router, "wan", i.server, "uplink")
	w.station(i.router, "wan", routerOutside+"/24", routerOutside6+"/64", "", "")
	w.station(i.server, "uplink", serverAddress+"/24", serverAddress6+"/64", "", "")
	w.must(at(i.router, translate))
	w.serve(i.server, ":80")
	w.before = w.belongings()
	w.after = append(w.after, func() {
		if link, err := netlink.LinkByName("uplink"); err == nil {
			w.check(netlink.LinkDel(link))
		}
	})
	return i
}

// cable lays one between two stations.
func (w *world) cable(one, name, other, otherName string) {
	w.Helper()
	attributes := netlink.NewLinkAttrs()
	attributes.Name, attributes.MTU = name, 1400
	pair := &netlink.Veth{LinkAttrs: attributes, PeerName: otherName, PeerTxQLen: -1}
	ns, err := unix.Open(map[bool]string{true: "/proc/thread-self/ns/net", false: other}[other == ""], unix.O_RDONLY|unix.O_CLOEXEC, 0)
	w.must(err)
	defer unix.Close(ns)
	pair.PeerNamespace = netlink.NsFd(ns)
	w.must(w.handle(one).LinkAdd(pair))
}

// station sets a link up.
func (w *world) station(space, name, address, address6, gateway, gateway6 string) {
	w.Helper()
	handle := w.handle(space)
	lo, err := handle.LinkByName("lo")
	w.must(err)
	w.must(handle.LinkSetUp(lo))
	link, err := handle.LinkByName(name)
	w.must(err)
	w.must(handle.AddrAdd(link, &netlink.Addr{IPNet: ipNet(netip.MustParsePrefix(address))}))
	if hasIPv6() {
		w.must(handle.AddrAdd(link, &netlink.Addr{IPNet: ipNet(netip.MustParsePrefix(address6)), Flags: unix.IFA_F_NODAD}))
	}
	w.must(handle.LinkSetUp(link))
	if peer, err := handle.LinkByIndex(link.Attrs().ParentIndex); err == nil {
		w.must(handle.LinkSetUp(peer))
	}
	ports, err := handle.LinkList()
	w.must(err)
	for _, port := range ports {
		if port.Attrs().MasterIndex == link.Attrs().Index {
			w.must(handle.LinkSetUp(port))
		}
	}
	for _, gw := range []string{gateway, gateway6} {
		if gw != "" && (hasIPv6() || gw == gateway) {
			w.must(handle.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Gw: net.ParseIP(gw)}))
		}
	}
}

// translate makes the router one that hides what is behind it.
func translate() error {
	nft := &nftables.Conn{}
	t := nft.AddTable(&nftables.Table{Family: nftables.TableFamilyINet, Name: "router"})
	chain := nft.AddChain(&nftables.Chain{
		Table: t, Name: "post", Type: nftables.ChainTypeNAT, Hooknum: nftables.ChainHookPostrouting, Priority: nftables.ChainPriorityNATSource,
	})
	nft.AddRule(&nftables.Rule{Table: t, Chain: chain, Exprs: []expr.Any{
		&expr.Meta{Key: expr.MetaKeyOIFNAME, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: ifname("wan")},
		&expr.Masq{},
	}})
	return nft.Flush()
}

// TestInternet: a container reaches the server, which sees the router; the router sees the host.
func TestInternet(t *testing.T) {
	w := newWorld(t)
	i := w.online()
	c := w.container()
	w.serve(i.router, ":81")
	w.says(c.Namespace, "tcp", serverAddress+":80", routerOutside)
	w.says(c.Namespace, "tcp", "192.0.2.1:81", hostAddress)
	if hasIPv6() {
		w.says(c.Namespace, "tcp", "["+serverAddress6+"]:80", routerOutside6)
		w.says(c.Namespace, "tcp", "[2001:db8:1::1]:81", hostAddress6)
	}
	link, err := w.handle(c.Namespace).LinkByName("eth0")
	w.must(err)
	if link.Attrs().MTU != 1400 || c.MTU != 1400 {
		t.Errorf("MTU of eth0 %d, of the connection %d: want the uplink's 1400", link.Attrs().MTU, c.MTU)
	}
	w.must(w.Disconnect(c.ID))
	w.checkNothingLeft("the last container")
}

// TestPublish: a port is reached from everywhere, and the container's server sees who asks wherever that can be.
func TestPublish(t *testing.T) {
	w := newWorld(t)
	i := w.online()
	port := func(texts ...string) func(*Endpoint) {
		return func(e *Endpoint) {
			for _, text := range texts {
				ports, err := ParsePort(text)
				w.must(err)
				e.Ports = append(e.Ports, ports...)
			}
		}
	}
	a := w.container(port("8080:80", "5300:53/udp", "7000-7002:70-72", "127.0.0.1:9000:80", hostAddress+":9001:80"))
	b := w.container()
	for _, address := range []string{":80", ":70", ":72"} {
		w.serve(a.Namespace, address)
	}
	w.serveUDP(a.Namespace, ":53")
	for _, test := range []struct{ from, protocol, address, want string }{
		{i.neighbour, "tcp", hostAddress + ":8080", neighbourAddress},
		{i.neighbour, "tcp", hostAddress + ":7000", neighbourAddress},
		{i.neighbour, "tcp", hostAddress + ":7002", neighbourAddress},
		{i.neighbour, "tcp", hostAddress + ":9001", neighbourAddress},
		{i.neighbour, "udp", hostAddress + ":5300", neighbourAddress},
		{"", "tcp", hostAddress + ":8080", a.Gateway.String()},
		{"", "tcp", "127.0.0.1:8080", a.Gateway.String()},
		{"", "tcp", "127.0.0.1:9000", a.Gateway.String()},
		{"", "udp", "127.0.0.1:5300", a.Gateway.String()},
		{"", "tcp", netip.AddrPortFrom(a.Gateway, 8080).String(), a.Gateway.String()},
		{a.Namespace, "tcp", hostAddress + ":8080", a.Gateway.String()},
		{a.Namespace, "tcp", netip.AddrPortFrom(a.Gateway, 8080).String(), a.Gateway.String()},
		{a.Namespace, "udp", hostAddress + ":5300", a.Gateway.String()},
		{b.Namespace, "tcp", hostAddress + ":8080", a.Gateway.String()},
		{b.Namespace, "tcp", hostAddress + ":9001", a.Gateway.String()},
	} {
		if test.from == "" && test.address == hostAddress+":8080" {
			test.want = hostAddress
		}
		w.says(test.from, test.protocol, test.address, test.want)
	}
	if hasIPv6() {
		w.says(i.neighbour, "tcp", "["+hostAddress6+"]:8080", neighbourAddress6)
		w.says(a.Namespace, "tcp", "["+hostAddress6+"]:8080", a.Gateway6.String())
		w.says(b.Namespace, "tcp", "["+hostAddress6+"]:8080", a.Gateway6.String())
		w.says("", "tcp", "["+hostAddress6+"]:8080", hostAddress6)
		if got, err := ask("", "tcp", "[::1]:8080", patient); !errors.Is(err, unix.ECONNREFUSED) {
			t.Errorf("[::1]:8080: %q, %v: want it refused at once, for 127.0.0.1 to be tried", got, err)
		}
	}
	w.silent(i.neighbour, "tcp", hostAddress+":9000") // on 127.0.0.1 only
	w.silent(i.neighbour, "tcp", hostAddress+":7003")
	w.must(w.Disconnect(a.ID))
	w.silent(i.neighbour, "tcp", hostAddress+":8080")
	w.must(w.Disconnect(b.ID))
	w.checkNothingLeft("the last container")
}

// TestWithoutIPv6: on a host that speaks none.
func TestWithoutIPv6(t *testing.T) {
	w := newWorld(t)
	i := w.online()
	const setting = "/proc/sys/net/ipv6/conf/all/disable_ipv6"
	if hasIPv6() {
		w.must(w.Door.Write(setting, "1"))
		t.Cleanup(func() { w.check(w.Door.Write(setting, "0")) })
	}
	w.before = w.belongings()
	c := w.container(publishing("c", "8080:80"))
	w.serve(c.Namespace, ":80")
	if c.IPv6.IsValid() || c.Gateway6.IsValid() {
		t.Errorf("%+v", c)
	}
	w.says(i.neighbour, "tcp", hostAddress+":8080", neighbourAddress)
	w.says(c.Namespace, "tcp", serverAddress+":80", routerOutside)
	w.resolves(c, "udp", "c", c.IPv4.Addr().String())
	w.must(w.Disconnect(c.ID))
	w.checkNothingLeft("the last container")
}

// TestManyPorts: a range of thousands is as good as one port.
func TestManyPorts(t *testing.T) {
	w := newWorld(t)
	i := w.online()
	c := w.container(publishing("c", "10000-12999:20000-22999"))
	w.serve(c.Namespace, ":22999")
	w.says(i.neighbour, "tcp", hostAddress+":12999", neighbourAddress)
	if _, err := w.tryContainer(publishing("d", "11500:80")); err == nil || !strings.Contains(err.Error(), "container c has it") {
		t.Errorf("one of them: %v", err)
	}
	w.must(w.Disconnect(c.ID))
	w.checkNothingLeft("the last container")
}
