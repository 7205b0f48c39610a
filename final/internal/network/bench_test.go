//go:build linux

package network

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/simple-container/simple-container/final/internal/kernel"
)

// quantile is of times that are sorted here.
func quantile(times []time.Duration, q float64) time.Duration {
	slices.Sort(times)
	return times[int(q*float64(len(times)-1))]
}

// BenchmarkConnect is what a network adds to a container's start: from a namespace that is there to one that is
// connected, with a published port. The first container of all also makes the bridge and starts the resolver. The
// next ones are compared with those after five hundred others.
//
//	go test ./final/internal/network -run '^$' -bench Connect
func BenchmarkConnect(b *testing.B) {
	w := newWorld(b)
	connect := func(number int) (*Connection, time.Duration) {
		e := Endpoint{ID: fmt.Sprintf("bench-%d", number), Name: fmt.Sprintf("c%d", number), Namespace: w.space(),
			Ports: []Port{{HostPort: uint16(20000 + number), Port: 80, Protocol: "tcp"}}}
		start := time.Now()
		c, err := w.Connect(e)
		w.must(err)
		return c, time.Since(start)
	}
	_, first := connect(0)
	const others, rounds = 500, 40
	measure := func() (times []time.Duration) {
		for i := range rounds {
			c, took := connect(10000 + i)
			times = append(times, took)
			w.must(w.Disconnect(c.ID))
		}
		return times
	}
	for b.Loop() {
		few := measure()
		for i := 1; i < others; i++ {
			connect(i)
		}
		many := measure()
		fmt.Printf("\n%-28s %8s %8s\n", "ms", "p25", "median")
		for _, row := range []struct {
			name  string
			times []time.Duration
		}{{"after one other", few}, {fmt.Sprintf("after %d others", others), many}} {
			fmt.Printf("%-28s %8.2f %8.2f\n", row.name, milliseconds(quantile(row.times, 0.25)), milliseconds(quantile(row.times, 0.5)))
		}
		fmt.Printf("%-28s %8.2f\n", "the first, with the bridge", milliseconds(first))
		fmt.Printf("%-28s %8.2f\n", "many by few", float64(quantile(many, 0.25))/float64(quantile(few, 0.25)))
	}
	b.ReportMetric(0, "ns/op")
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// BenchmarkThroughput is how much TCP carries from container to container, and from a neighbour to a published port,
// beside the same veth pairs and bridge made by hand, on a host without any rules, and on one with the two that
// publish a port. They take turns, so that whatever
// else the machine does hits them alike: the ratios count.
func BenchmarkThroughput(b *testing.B) {
	w := newWorld(b)
	i := w.online()
	ours, other := w.container(publishing("ours", "8080:80")), w.container()
	hand, natted := w.byHand(false), w.byHand(true)
	const rounds, span = 30, 100 * time.Millisecond
	paths := []*path{
		{name: "container to container", from: other.Namespace, to: hostPort(ours.IPv4, 80)},
		{name: "  by hand", from: hand.other, to: "10.9.0.2:80"},
		{name: "published", from: i.neighbour, to: hostAddress + ":8080"},
		{name: "  by hand", from: natted.neighbour, to: "10.8.0.1:8080"},
	}
	w.sink(ours.Namespace, ":80")
	w.sink(hand.station, ":80")
	w.sink(natted.station, ":80")
	for b.Loop() {
		for range rounds {
			for _, turn := range rand.Perm(len(paths)) { // who comes after whom must not matter
				paths[turn].send(w, span)
			}
		}
		fmt.Printf("\n%-24s %10s\n", "Gbit/s", "p90")
		for n, p := range paths {
			slices.Sort(p.rates)
			p.rate = p.rates[len(p.rates)*9/10] // when nobody else had much to do
			fmt.Printf("%-24s %10.2f", p.name, p.rate*8/1e9)
			if n%2 == 1 {
				fmt.Printf("   ratio %.2f", paths[n-1].rate/p.rate)
			}
			fmt.Println()
		}
	}
	b.ReportMetric(0, "ns/op")
}

// A path is from somewhere to somewhere.
type path struct {
	name, from, to string
	rates          []float64 // bytes a second
	rate           float64
}

// send sends as fast as it goes.
func (p *path) send(w *world, span time.Duration) {
	w.must(at(p.from, func() error {
		conn, err := net.DialTimeout("tcp", p.to, patient)
		if err != nil {
			return err
		}
		defer conn.Close()
		buffer := make([]byte, 256<<10)
		sent, start := 0, time.Now()
		for time.Since(start) < span {
			n, err := conn.Write(buffer)
			if err != nil {
				return err
			}
			sent += n
		}
		p.rates = append(p.rates, float64(sent)/time.Since(start).Seconds())
		return nil
	}))
}

// sink takes all that comes.
func (w *world) sink(space, address string) {
	w.must(at(space, func() error {
		listener, err := net.Listen("tcp", address)
		if err != nil {
			return err
		}
		w.Cleanup(func() { listener.Close() })
		go func() {
			for {
				conn, err := listener.Accept()
				if err != nil {
					return
				}
				go func() {
					defer conn.Close()
					_, _ = io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{conn}, make([]byte, 256<<10))
				}()
			}
		}()
		return nil
	}))
}

// handMade is another host, with two stations on a bridge and a neighbour outside.
type handMade struct{ host, station, other, neighbour string }

func (w *world) byHand(publish bool) (h handMade) {
	h = handMade{w.space(), w.space(), w.space(), w.space()}
	host := w.handle(h.host)
	w.must(at(h.host, func() error {
		return (&kernel.Door{}).Write("/proc/sys/net/ipv4/ip_forward", "1")
	}))
	attributes := netlink.NewLinkAttrs()
	attributes.Name, attributes.MTU = "hand", 1400
	bridge := &netlink.Bridge{LinkAttrs: attributes}
	w.must(host.LinkAdd(bridge))
	for name, space := range map[string]string{"one": h.station, "two": h.other} {
		w.cable(h.host, name, space, "eth0")
		port, err := host.LinkByName(name)
		w.must(err)
		w.must(host.LinkSetMaster(port, bridge))
		w.must(host.LinkSetUp(port))
	}
	w.cable(h.host, "out", h.neighbour, "eth0")
	for _, station := range []struct{ space, link, address, gateway string }{
		{h.host, "hand", "10.9.0.1/24", ""}, {h.host, "out", "10.8.0.1/24", ""}, {h.station, "eth0", "10.9.0.2/24", "10.9.0.1"},
		{h.other, "eth0", "10.9.0.3/24", "10.9.0.1"}, {h.neighbour, "eth0", "10.8.0.2/24", "10.8.0.1"},
	} {
		handle := w.handle(station.space)
		link, err := handle.LinkByName(station.link)
		w.must(err)
		w.must(handle.AddrAdd(link, &netlink.Addr{IPNet: ipNet(netip.MustParsePrefix(station.address))}))
		w.must(handle.LinkSetUp(link))
		if station.gateway != "" {
			w.must(handle.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Gw: net.ParseIP(station.gateway)}))
		}
	}
	if publish {
		w.must(at(h.host, func() error {
			w.run("nft", "table ip hand { chain pre { type nat hook prerouting priority -100; tcp dport 8080 dnat to 10.9.0.2:80; };"+
				" chain post { type nat hook postrouting priority 100; ip saddr 10.9.0.0/24 oifname != hand masquerade; }; }")
			return nil
		}))
	}
	return h
}
