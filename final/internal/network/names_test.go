//go:build linux

package network

import (
	"context"
	"errors"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/simple-container/simple-container/final/internal/kernel"
)

// lookup asks as a program in a container does that reads the container's resolv.conf: Go's own resolver.
func lookup(c *Connection, protocol string, do func(ctx context.Context, r *net.Resolver) error) error {
	servers, _, _ := ParseResolvConf(c.ResolvConf)
	r := &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (conn net.Conn, err error) {
		err = at(c.Namespace, func() error { // wherever the resolver's goroutine runs
			conn, err = net.DialTimeout(protocol, servers[0]+":53", patient)
			return err
		})
		return conn, err
	}}
	ctx, cancel := context.WithTimeout(context.Background(), 3*patient)
	defer cancel()
	return do(ctx, r)
}

// resolves checks the addresses of a name.
func (w *world) resolves(c *Connection, protocol, name string, want ...string) {
	w.Helper()
	err := lookup(c, protocol, func(ctx context.Context, r *net.Resolver) error {
		got, err := r.LookupHost(ctx, name+".")
		slices.Sort(got)
		want = slices.DeleteFunc(want, func(s string) bool { return s == "invalid IP" })
		slices.Sort(want)
		if err == nil && !slices.Equal(got, want) {
			w.Errorf("%s by %s: %q, want %q", name, protocol, got, want)
		}
		return err
	})
	if err != nil {
		w.Errorf("%s by %s: %v, want %q", name, protocol, err, want)
	}
}

// unknown checks that there is no such name, and that it is said soon.
func (w *world) unknown(c *Connection, name string, temporary bool) {
	w.Helper()
	start := time.Now()
	err := lookup(c, "udp", func(ctx context.Context, r *net.Resolver) error {
		_, err := r.LookupHost(ctx, name+".")
		return err
	})
	e, ok := errors.AsType[*net.DNSError](err)
	if !ok || e.IsNotFound == temporary || time.Since(start) > 3*patient {
		w.Errorf("%s: %v after %v", name, err, time.Since(start))
	}
}

// nameserver answers for example.org in a namespace: a small answer, and a large one that does not fit in a datagram.
func (w *world) nameserver(space, address string) {
	w.Helper()
	answer := func(question []byte, tcp bool) []byte {
		var m dnsmessage.Message
		if err := m.Unpack(question); err != nil || len(m.Questions) != 1 {
			return nil
		}
		q := m.Questions[0]
		m.Response, m.Additionals = true, nil
		head := dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 60}
		switch {
		case q.Name.String() == "example.org." && q.Type == dnsmessage.TypeA:
			m.Answers = []dnsmessage.Resource{{Header: head, Body: &dnsmessage.AResource{A: [4]byte{203, 0, 113, 1}}}}
		case q.Name.String() == "large.example.org." && q.Type == dnsmessage.TypeA && !tcp:
			m.Truncated = true
		case q.Name.String() == "large.example.org." && q.Type == dnsmessage.TypeA:
			for i := range 200 {
				m.Answers = append(m.Answers, dnsmessage.Resource{Header: head, Body: &dnsmessage.AResource{A: [4]byte{203, 0, 113, byte(i)}}})
			}
		case !strings.HasSuffix(q.Name.String(), "example.org."):
			m.RCode = dnsmessage.RCodeNameError
		}
		packed, err := m.Pack()
		if err != nil {
			w.Error(err)
		}
		return packed
	}
	w.must(at(space, func() error {
		udp, err := net.ListenPacket("udp", address+":53")
		if err != nil {
			return err
		}
		tcp, err := net.Listen("tcp", address+":53")
		if err != nil {
			return err
		}
		w.Cleanup(func() { udp.Close(); tcp.Close() })
		go func() {
			buffer := make([]byte, 4096)
			for {
				n, from, err := udp.ReadFrom(buffer)
				if err != nil {
					return
				}
				_, _ = udp.WriteTo(answer(buffer[:n], false), from)
			}
		}()
		go func() {
			for {
				conn, err := tcp.Accept()
				if err != nil {
					return
				}
				buffer := make([]byte, 4096)
				if n, err := conn.Read(buffer); err == nil && n > 2 {
					a := answer(buffer[2:n], true)
					_, _ = conn.Write(append([]byte{byte(len(a) >> 8), byte(len(a))}, a...))
				}
				conn.Close()
			}
		}()
		return nil
	}))
}

func (w *world) resolvConf(text string) {
	w.Helper()
	w.must(os.WriteFile(resolvConfFile, []byte(text), 0o644))
}

// TestNames: the names of the network, and what the resolver asks others for.
func TestNames(t *testing.T) {
	w := newWorld(t)
	i := w.online()
	w.nameserver(i.server, serverAddress)
	w.resolvConf("nameserver " + serverAddress + "\nsearch example.org\noptions ndots:2 trust-ad\n")
	_, err := w.Create(Network{Name: "mine"})
	w.must(err)
	named := func(network, name string, aliases ...string) func(*Endpoint) {
		return func(e *Endpoint) { e.Network, e.Name, e.Aliases = network, name, aliases }
	}
	a, b := w.container(named("", "a", "both")), w.container(named("", "B-Two", "both"))
	other := w.container(named("mine", "c", "both"))
	if want := "nameserver " + a.Gateway.String() + "\nsearch example.org\noptions ndots:2\n"; a.ResolvConf != want {
		t.Errorf("resolv.conf %q, want %q", a.ResolvConf, want)
	}
	for _, protocol := range []string{"udp", "tcp"} {
		w.resolves(a, protocol, "a", a.IPv4.Addr().String(), a.IPv6.Addr().String())
		w.resolves(a, protocol, "b-two", b.IPv4.Addr().String(), b.IPv6.Addr().String())
		w.resolves(a, protocol, b.ID[:12], b.IPv4.Addr().String(), b.IPv6.Addr().String())
		w.resolves(a, protocol, "BOTH", a.IPv4.Addr().String(), a.IPv6.Addr().String(), b.IPv4.Addr().String(), b.IPv6.Addr().String())
		w.resolves(other, protocol, "both", other.IPv4.Addr().String(), other.IPv6.Addr().String())
		w.resolves(a, protocol, "example.org", "203.0.113.1")
	}
	w.unknown(a, "c", false)
	w.unknown(a, "nobody", false)
	for _, address := range []string{b.IPv4.Addr().String(), b.IPv6.Addr().String()} {
		w.check(lookup(a, "udp", func(ctx context.Context, r *net.Resolver) error {
			names, err := r.LookupAddr(ctx, address)
			if len(names) != 1 || names[0] != "B-Two." {
				t.Errorf("%s is %q", address, names)
			}
			return err
		}))
		if !hasIPv6() {
			break
		}
	}
	if err := lookup(a, "udp", func(ctx context.Context, r *net.Resolver) error {
		_, err := r.LookupAddr(ctx, plus(b.IPv4.Addr(), 9).String())
		return err
	}); err == nil || !strings.Contains(err.Error(), "no such host") {
		t.Errorf("nobody's address: %v", err)
	}
	w.must(w.Disconnect(b.ID))
	w.unknown(a, "b-two", false)
	// A container's own wish, and the way for answers that are too long for a datagram.
	w.resolvConf("")
	d := w.container(named("", "d"), func(e *Endpoint) { e.DNS, e.DNSSearch = []string{serverAddress}, []string{"."} })
	if want := "nameserver " + d.Gateway.String() + "\n"; d.ResolvConf != want {
		t.Errorf("resolv.conf %q, want %q", d.ResolvConf, want)
	}
	w.resolves(d, "udp", "example.org", "203.0.113.1")
	var many []string
	w.check(lookup(d, "tcp", func(ctx context.Context, r *net.Resolver) (err error) {
		many, err = r.LookupHost(ctx, "large.example.org.")
		return err
	}))
	if len(many) != 200 {
		t.Errorf("large answer: %d addresses", len(many))
	}
	if got := w.raw(d, "large.example.org."); !got.Truncated {
		t.Errorf("large answer by datagram: %+v", got)
	}
	// A host without servers, one that cannot reach its own, and one with systemd-resolved that has ended.
	w.unknown(a, "example.org", true)
	w.resolvConf("nameserver 203.0.113.99\n")
	w.must(w.handle(i.router).RouteAdd(unreachable("203.0.113.0/24")))
	w.unknown(a, "example.org", true)
	w.resolvConf("nameserver 127.0.0.53\n")
	w.unknown(a, "example.org", true)
	w.must(os.MkdirAll("/run/systemd/resolve", 0o755))
	w.must(os.WriteFile("/run/systemd/resolve/resolv.conf", []byte("nameserver "+serverAddress+"\n"), 0o644))
	defer os.RemoveAll("/run/systemd")
	w.resolves(a, "udp", "example.org", "203.0.113.1")
}

// raw asks one question by datagram.
func (w *world) raw(c *Connection, name string) (m dnsmessage.Message) {
	w.Helper()
	q := dnsmessage.Message{Header: dnsmessage.Header{ID: 7, RecursionDesired: true}, Questions: []dnsmessage.Question{
		{Name: dnsmessage.MustNewName(name), Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET},
	}}
	packed, err := q.Pack()
	w.must(err)
	w.must(at(c.Namespace, func() error {
		conn, err := net.Dial("udp", c.Gateway.String()+":53")
		if err != nil {
			return err
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(patient))
		if _, err := conn.Write(packed); err != nil {
			return err
		}
		buffer := make([]byte, 4096)
		n, err := conn.Read(buffer)
		if err != nil {
			return err
		}
		return m.Unpack(buffer[:n])
	}))
	if m.ID != 7 {
		w.Errorf("id %d, want 7", m.ID)
	}
	return m
}

// TestResolverDies: the next start brings it back; and there is a way beside a name server on all addresses, and
// beside a container that publishes its port 53.
func TestResolverDies(t *testing.T) {
	w := newWorld(t)
	foreign, err := net.ListenPacket("udp", "0.0.0.0:53")
	w.must(err)
	a := w.container(func(e *Endpoint) { e.Name = "a" })
	w.resolves(a, "udp", "a", a.IPv4.Addr().String(), a.IPv6.Addr().String())
	w.must(foreign.Close())
	var state resolverState
	n, err := w.Inspect("")
	w.must(err)
	w.must(read(n.resolverPath(), &state))
	w.must((&kernel.Door{}).Kill(state.Pid, nil))
	for range int(patient / time.Millisecond) {
		if len(w.resolvers()) == 0 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	b := w.container(publishing("b", "53:53/udp", "53:53/tcp"))
	w.resolves(a, "udp", "b", b.IPv4.Addr().String(), b.IPv6.Addr().String())
	w.resolves(a, "tcp", "b", b.IPv4.Addr().String(), b.IPv6.Addr().String())
	w.serveUDP(b.Namespace, ":53")
	w.says("", "udp", "127.0.0.1:53", b.Gateway.String())
	w.must(w.Disconnect(a.ID))
	w.must(w.Disconnect(b.ID))
	w.checkNothingLeft("the last container")
}

// TestTexts: what a container's files say.
func TestTexts(t *testing.T) {
	w := newWorld(t)
	c := w.container(func(e *Endpoint) {
		e.Name, e.Hostname, e.ExtraHosts = "web", "box", []string{"db:10.0.0.1", "host:host-gateway", "six=[2001:db8::1]"}
	})
	for _, want := range []string{
		"127.0.0.1\tlocalhost\n", "10.0.0.1\tdb\n", c.Gateway.String() + "\thost\n", "2001:db8::1\tsix\n",
		c.IPv4.Addr().String() + "\tbox web\n",
	} {
		if !strings.Contains(c.Hosts, want) {
			t.Errorf("hosts: %q, want %q", c.Hosts, want)
		}
	}
	for _, bad := range []string{"db", "db:", ":10.0.0.1", "db:host", "a b:10.0.0.1"} {
		if _, err := w.tryContainer(func(e *Endpoint) { e.ExtraHosts = []string{bad} }); err == nil || !strings.Contains(err.Error(), "want NAME:ADDRESS") {
			t.Errorf("%q: %v", bad, err)
		}
	}
	w.resolvConf("nameserver 127.0.0.53\nsearch example.org\n")
	for want, got := range map[string]string{
		"nameserver 127.0.0.53\nsearch example.org\n": ResolvConf(nil, nil, nil),
		"nameserver 1.1.1.1\nsearch example.org\n":    ResolvConf([]string{"1.1.1.1"}, nil, nil),
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
