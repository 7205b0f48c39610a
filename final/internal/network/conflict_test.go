//go:build linux

package network

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/kernel"
)

// publishing asks for ports.
func publishing(name string, texts ...string) func(*Endpoint) {
	return func(e *Endpoint) {
		e.Name = name
		for _, text := range texts {
			ports, err := ParsePort(text)
			if err != nil {
				e.Ports = append(e.Ports, Port{Protocol: err.Error()})
			}
			e.Ports = append(e.Ports, ports...)
		}
	}
}

// TestConflicts: a port has one owner, who is named.
func TestConflicts(t *testing.T) {
	w := newWorld(t)
	listener, err := net.Listen("tcp", "127.0.0.1:8099")
	w.must(err)
	defer listener.Close()
	first := w.container(publishing("web", "8080:80", "127.0.0.1:8081:80", "53:53/udp"))
	self, _ := os.ReadFile("/proc/self/comm")
	for port, complaint := range map[string]string{
		"8080:81":               "port 0.0.0.0:8080/tcp: container web has it",
		"127.0.0.1:8080:81":     "port 127.0.0.1:8080/tcp: container web has it",
		"[::]:8080:81":          "container web has it",
		"8081:81":               "container web has it",
		"53:5300/udp":           "container web has it",
		"8079-8081:81-83":       "container web has it",
		"8099:80":               fmt.Sprintf("port 0.0.0.0:8099/tcp: %s (process %d) listens there", strings.TrimSpace(string(self)), os.Getpid()),
		"203.0.113.1:8082:80":   "it is no address of this host",
		"[2001:db8::9]:8082:80": "it is no address of this host",
		"[::1]:8082:80":         "publish it on 127.0.0.1",
		"8080-8081:80":          "container web has it",
	} {
		if strings.Contains(port, "[") && !hasIPv6() {
			continue
		}
		if c, err := w.tryContainer(publishing("other", port)); err == nil || !strings.Contains(err.Error(), complaint) {
			t.Errorf("%s: %+v, %v: want %s", port, c, err, complaint)
		}
	}
	if _, err := w.tryContainer(publishing("other", "8090:80", "8090:81")); err == nil || !strings.Contains(err.Error(), "asked for twice") {
		t.Errorf("twice: %v", err)
	}
	second := w.container(publishing("other", "53:53/tcp", "8080-8089:80", "80", "81/udp"))
	if p := second.Ports; p[1].HostPort != 8081 && p[1].HostPort != 8082 || p[2].HostPort < 1024 || p[3].HostPort < 1024 {
		t.Errorf("%v", p)
	}
	w.must(w.Disconnect(first.ID))
	w.container(publishing("web", "8080:80"))
}

// TestDead: what a dead container had is found again when somebody needs it, and a live one's is not touched.
func TestDead(t *testing.T) {
	w := newWorld(t)
	alive := w.container(publishing("alive", "8081:80"))
	dead := w.container(publishing("dead", "8080:80"), func(e *Endpoint) { e.Address = netip.MustParseAddr("10.192.0.77") })
	link, err := w.handle("").LinkByName(dead.Link)
	w.must(err)
	w.must(w.handle("").LinkDel(link)) // as the kernel does with the last process
	heir := w.container(publishing("heir", "8080:80"), func(e *Endpoint) { e.Address = netip.MustParseAddr("10.192.0.77") })
	w.serve(heir.Namespace, ":80")
	w.says("", "tcp", "127.0.0.1:8080", heir.Gateway.String())
	for _, c := range []*Connection{alive, heir} {
		link, err := w.handle("").LinkByName(c.Link)
		w.must(err)
		w.must(w.handle("").LinkDel(link))
	}
	again := w.container(func(e *Endpoint) { e.ID, e.Namespace = heir.ID, w.space() }) // it starts again
	w.must(w.Disconnect(again.ID))
	w.checkNothingLeft("the last one, with the dead") // alive's leave with it
}

// TestIsolation: user networks do not reach each other, an internal one nobody; what is published all may use.
func TestIsolation(t *testing.T) {
	w := newWorld(t)
	i := w.online()
	on := func(name string) func(*Endpoint) { return func(e *Endpoint) { e.Network = name } }
	for _, n := range []Network{{Name: "one"}, {Name: "two"}, {Name: "inner", Internal: true}, {Name: "old", NoIPv6: true}} {
		_, err := w.Create(n)
		w.must(err)
	}
	a, b, c := w.container(on("one")), w.container(on("one")), w.container(on("two"), publishing("c", "8080:80"))
	d, e := w.container(on("inner")), w.container(on("inner"))
	f := w.container(on("old"))
	for _, station := range []*Connection{a, b, c, d, e, f} {
		w.serve(station.Namespace, ":80")
	}
	w.says(a.Namespace, "tcp", hostPort(b.IPv4, 80), a.IPv4.Addr().String())
	w.says(d.Namespace, "tcp", hostPort(e.IPv4, 80), d.IPv4.Addr().String())
	w.says("", "tcp", hostPort(d.IPv4, 80), d.Gateway.String())
	w.says(a.Namespace, "tcp", serverAddress+":80", routerOutside)
	w.says(a.Namespace, "tcp", hostAddress+":8080", c.Gateway.String())
	w.silent(a.Namespace, "tcp", hostPort(c.IPv4, 80))
	w.silent(a.Namespace, "tcp", hostPort(d.IPv4, 80))
	w.silent(d.Namespace, "tcp", hostPort(a.IPv4, 80))
	w.silent(d.Namespace, "tcp", serverAddress+":80")
	if hasIPv6() {
		w.says(a.Namespace, "tcp", hostPort(b.IPv6, 80), a.IPv6.Addr().String())
		w.silent(a.Namespace, "tcp", hostPort(c.IPv6, 80))
		w.silent(d.Namespace, "tcp", "["+serverAddress6+"]:80")
	}
	if f.IPv6.IsValid() || a.Bridge == c.Bridge || a.IPv4.Masked() == c.IPv4.Masked() {
		t.Errorf("%+v\n%+v\n%+v", a, c, f)
	}
	// A neighbour who knows the way in finds only what is published; nor does it help to come as a loopback.
	w.routeVia(i.neighbour, a.IPv4.Masked(), hostAddress)
	w.silent(i.neighbour, "tcp", hostPort(a.IPv4, 80))
	if _, err := w.tryContainer(on("inner"), publishing("x", "8081:80")); err == nil || !strings.Contains(err.Error(), "internal") {
		t.Errorf("a port of an internal network: %v", err)
	}
}

// TestLoopback: what listens on the host's 127.0.0.1 is out of a container's reach, though the bridge has
// route_localnet (CVE-2020-8558).
func TestLoopback(t *testing.T) {
	w := newWorld(t)
	w.serve("", "127.0.0.1:8098")
	c := w.container(publishing("c", "127.0.0.1:8080:80"))
	w.serve(c.Namespace, ":80")
	w.says("", "tcp", "127.0.0.1:8098", "127.0.0.1")
	attack := func() {
		w.Helper()
		handle := w.handle(c.Namespace)
		lo, err := handle.LinkByName("lo")
		w.must(err)
		w.must(at(c.Namespace, func() error {
			return (&kernel.Door{}).Write("/proc/sys/net/ipv4/conf/all/route_localnet", "1")
		}))
		addresses, err := handle.AddrList(lo, unix.AF_INET)
		w.must(err)
		for _, address := range addresses {
			w.must(handle.AddrDel(lo, &address))
		}
		w.routeVia(c.Namespace, netip.MustParsePrefix("127.0.0.0/8"), c.Gateway.String())
	}
	attack()
	w.silent(c.Namespace, "tcp", "127.0.0.1:8098")
	w.silent(c.Namespace, "tcp", "127.0.0.1:8080")
	nft := &nftables.Conn{} // without the guard it is open: the attack is a real one
	nft.FlushChain(&nftables.Chain{Table: table, Name: "outward"})
	w.must(nft.Flush())
	w.says(c.Namespace, "tcp", "127.0.0.1:8098", c.IPv4.Addr().String())
}

// TestFlushed: whoever flushes the ruleset takes our table along; the next container brings all of it back.
func TestFlushed(t *testing.T) {
	w := newWorld(t)
	a := w.container(publishing("a", "8080:80"))
	w.serve(a.Namespace, ":80")
	nft := &nftables.Conn{}
	nft.DelTable(table)
	w.must(nft.Flush())
	w.silent("", "tcp", "127.0.0.1:8080")
	w.container()
	w.says("", "tcp", "127.0.0.1:8080", a.Gateway.String())
	nft.DelTable(table)
	w.must(nft.Flush())
	w.must(w.Disconnect(a.ID))
}

// TestParallel: fifty start at once, and each has its own.
func TestParallel(t *testing.T) {
	w := newWorld(t)
	const count = 50
	endpoints := make([]Endpoint, count)
	for i := range endpoints {
		endpoints[i] = Endpoint{ID: fmt.Sprintf("parallel-%d", i), Namespace: w.space(), Ports: []Port{{Port: 80, Protocol: "tcp"}}}
	}
	connections := make([]*Connection, count)
	var all sync.WaitGroup
	for i, e := range endpoints {
		all.Go(func() {
			c, err := w.Connect(e)
			connections[i] = c
			w.check(err)
		})
	}
	all.Wait()
	seen := map[string]string{}
	for i, c := range connections {
		if c == nil {
			continue
		}
		for _, what := range []string{c.IPv4.String(), c.IPv6.String(), c.MAC, c.Link, c.Ports[0].Published()} {
			if other, ok := seen[what]; ok && what != "invalid Prefix" {
				t.Errorf("%s and %s have %s", other, c.ID, what)
			}
			seen[what] = c.ID
		}
		if i%10 == 0 {
			w.serve(c.Namespace, ":80")
			w.says(connections[1].Namespace, "tcp", hostPort(c.IPv4, 80), connections[1].IPv4.Addr().String())
		}
	}
	for _, e := range endpoints {
		all.Go(func() { w.check(w.Disconnect(e.ID)) })
	}
	all.Wait()
	w.checkNothingLeft("fifty")
}

// TestEveryCallFails: whichever call fails, nothing is left of a connection, and the others go on.
func TestEveryCallFails(t *testing.T) {
	for _, name := range []string{"first", "second"} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.online()
			var other *Connection
			if name == "second" {
				other = w.container()
				w.serve(other.Namespace, ":80")
			}
			before := w.before
			w.before = w.belongings()
			space := w.space()
			trouble := errors.New("trouble")
			for n := 1; ; n++ {
				start := w.Door.Calls()
				failed := kernel.Call{}
				w.Door.Trap = func(number int, call kernel.Call) error {
					if number-start == n {
						failed = call
						return trouble
					}
					return nil
				}
				c, err := w.Connect(Endpoint{ID: "failing", Namespace: space, Ports: []Port{{HostPort: 8080, Port: 80, Protocol: "tcp"}, {HostPort: 53, Port: 53, Protocol: "udp"}}})
				w.Door.Trap = nil
				if failed.Op == "" {
					w.must(err)
					w.must(w.Disconnect(c.ID))
					break
				}
				if err == nil { // it can do without
					w.must(w.Disconnect(c.ID))
				} else if !errors.Is(err, trouble) {
					t.Errorf("%s: %v", failed, err)
				}
				w.checkNothingLeft(fmt.Sprintf("call %d, %s", n, failed))
				if t.Failed() {
					return
				}
			}
			w.before = before
			if other != nil {
				w.says("", "tcp", hostPort(other.IPv4, 80), other.Gateway.String())
			}
		})
	}
}

// TestDieAtEveryCall: wherever we are killed, the next start finds its way, and leaves nothing at its end.
func TestDieAtEveryCall(t *testing.T) {
	w := newWorld(t)
	space := w.space()
	e := Endpoint{ID: "dying", Namespace: space, Ports: []Port{{HostPort: 8080, Port: 80, Protocol: "tcp"}}}
	for n := 1; ; n++ {
		start, died := w.Door.Calls(), false
		w.Door.Trap = func(number int, call kernel.Call) error {
			died = died || number-start == n
			if died { // and nothing more, no undoing either
				return unix.EINTR
			}
			return nil
		}
		_, err := w.Connect(e)
		w.Door.Trap = nil
		if !died {
			w.must(err)
			break
		}
		e.ID = fmt.Sprintf("dying-%d", n)
		e.Namespace = w.space() // the one before has died with its container
		w.must(unix.Unmount(space, unix.MNT_DETACH))
		w.must(os.Remove(space))
		w.spaces = append(w.spaces[:0:0], w.spaces[1:]...)
		space = e.Namespace
	}
	w.must(w.Disconnect(e.ID))
	w.checkNothingLeft("the last container")
}

// TestAgain: the same id may come again without having left.
func TestAgain(t *testing.T) {
	w := newWorld(t)
	a := w.container(publishing("a", "8080:80"))
	b := w.container(publishing("a", "8080:80"), func(e *Endpoint) { e.ID = a.ID })
	if files, _ := filepath.Glob(filepath.Join(upDir, "*/endpoints/*")); len(files) != 1 || b.Link != a.Link {
		t.Errorf("%q, %+v", files, b)
	}
}

func (w *world) routeVia(space string, to netip.Prefix, gateway string) {
	w.Helper()
	w.must(w.handle(space).RouteAdd(route(to, gateway)))
}

// TestElsewhere: from another network namespace all containers look dead, and are left alone.
func TestElsewhere(t *testing.T) {
	w := newWorld(t)
	c := w.container()
	n := &Network{}
	file := (&Network{Name: Default}).statePath()
	w.must(read(file, n))
	space := n.Space
	n.Space = "net:[1]"
	w.must(w.write(file, n))
	w.must(w.Clean(false, func(kind, name string) { t.Errorf("cleans %s %s", kind, name) }))
	if err := w.Disconnect(c.ID); err == nil || !strings.Contains(err.Error(), "another network namespace") {
		t.Errorf("disconnect: %v", err)
	}
	if _, err := w.tryContainer(); err == nil || !strings.Contains(err.Error(), "another network namespace") {
		t.Errorf("connect: %v", err)
	}
	n.Space = space
	w.must(w.write(file, n))
}

// TestBesideSteps: a container of step 04 has links, a saved setting and a lock like ours, and neither is in the
// other's way.
func TestBesideSteps(t *testing.T) {
	w := newWorld(t)
	attributes := netlink.NewLinkAttrs()
	attributes.Name = "sc0"
	step := &netlink.Veth{LinkAttrs: attributes, PeerName: "sc0p"}
	w.must(w.handle("").LinkAdd(step))
	w.must(w.handle("").LinkSetAlias(step, kernel.Prefix+"0123456789ab"))
	w.must(os.MkdirAll(kernel.StateDir, 0o755))
	w.must(os.WriteFile(savedForward, []byte("0\n"), 0o600))
	w.must(w.Door.Set("/proc/sys/net/ipv4/ip_forward", "1"))
	before := w.before
	w.before = w.belongings()
	c := w.container()
	if c.Bridge != "sc1" {
		t.Errorf("bridge %s, want sc1: sc0 is the step's", c.Bridge)
	}
	if links, err := w.handle("").LinkList(); err != nil || slices.ContainsFunc(links, func(l netlink.Link) bool {
		_, theirs := LinkID(l)
		return theirs && l.Attrs().Name != "sc0" || HalfMade(l, links)
	}) {
		t.Errorf("one of ours looks like a step's: %v, %v", links, err)
	}
	w.must(w.Disconnect(c.ID))
	w.checkNothingLeft("ours")
	c = w.container()
	w.must(w.handle("").LinkDel(step)) // the step's ends first, and sees our alias
	w.must(w.Disconnect(c.ID))
	w.before = before
	w.checkNothingLeft("both")
}

// TestRemoveDead: a network whose containers are all dead can be removed.
func TestRemoveDead(t *testing.T) {
	w := newWorld(t)
	_, err := w.Create(Network{Name: "mine"})
	w.must(err)
	if _, err := w.Create(Network{Name: "mine"}); !errors.Is(err, ErrExist) {
		t.Errorf("again: %v", err)
	}
	for _, name := range []string{"", "host", "none", "bridge", "container", "../x", "a b", ".a"} {
		if n, err := w.Create(Network{Name: name}); err == nil {
			t.Errorf("%q: %+v", name, n)
		}
	}
	c := w.container(func(e *Endpoint) { e.Network, e.Name = "mine", "c" })
	if err := w.Host.Remove("mine"); !errors.Is(err, ErrInUse) {
		t.Errorf("in use: %v", err)
	}
	link, err := w.handle("").LinkByName(c.Link)
	w.must(err)
	w.must(w.handle("").LinkDel(link))
	w.must(w.Host.Remove("mine"))
	w.checkNothingLeft("the network")
	if err := w.Host.Remove("mine"); !errors.Is(err, ErrNotExist) {
		t.Errorf("again: %v", err)
	}
	if _, err := w.tryContainer(func(e *Endpoint) { e.Network = "mine" }); !errors.Is(err, ErrNotExist) {
		t.Errorf("connect: %v", err)
	}
}
