//go:build linux

package lab

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

var networkCommands = []command{
	{"ip", "show and change addresses, links and routes: ip [-br] addr | link | route [add ...]", runIP},
	{"ifconfig", "list interfaces", runIfconfig},
	{"ping", "ask a host for an echo: ping [-c COUNT] [-W SECONDS] [-i SECONDS] HOST", runPing},
	{"wget", "fetch a page: wget [-qS] [-O FILE] [-T SECONDS] URL", runWget},
	{"nslookup", "ask for a name's addresses: nslookup NAME [SERVER]", runNslookup},
}

var serverCommands = []command{
	{"nc", "connect or listen: nc HOST PORT; nc -l -p PORT", runNc},
	{"httpd", "serve one text over HTTP: httpd [-p PORT] [-t TEXT]", runHttpd},
}

// resolver reads /etc/hosts and /etc/resolv.conf itself. With cgo the C library would do it, with plug-ins of
// the host that are not here.
var resolver = &net.Resolver{PreferGo: true}

var dialer = &net.Dialer{Timeout: 10 * time.Second, Resolver: resolver}

func runPing(c *call) error {
	o, err := c.options("c:W:i:w:qn46s:")
	if err != nil {
		return err
	}
	if len(o.rest) != 1 {
		return usagef("usage: ping [-c COUNT] [-W SECONDS] [-i SECONDS] HOST")
	}
	count, err := o.int('c', 0)
	if err != nil {
		return err
	}
	wait, err := o.duration('W', 10*time.Second)
	if err != nil {
		return err
	}
	every, err := o.duration('i', time.Second)
	if err != nil {
		return err
	}
	ctx, stop := interruptible()
	defer stop()
	addresses, err := resolver.LookupIP(ctx, "ip4", o.rest[0])
	if err != nil {
		return fmt.Errorf("bad address %q: %w", o.rest[0], err)
	}
	p := pinger{c: c, to: addresses[0], wait: wait}
	if err := p.open(); err != nil {
		return err
	}
	defer unix.Close(p.fd)
	c.say("PING %s (%s): 56 data bytes", o.rest[0], p.to)
	for seq := 0; (count == 0 || seq < count) && ctx.Err() == nil; seq++ {
		if seq > 0 {
			select {
			case <-ctx.Done():
				continue
			case <-time.After(every):
			}
		}
		if err := p.once(seq); err != nil {
			c.complain(err)
		}
	}
	return p.summary(o.rest[0])
}

type pinger struct {
	c              *call
	fd             int
	raw            bool
	to             net.IP
	wait           time.Duration
	sent, received int
	least, most    time.Duration
	sum            time.Duration
}

// open makes an ICMP socket: the datagram kind, if net.ipv4.ping_group_range allows it, needs no privilege; the raw
// kind needs CAP_NET_RAW (icmp(7)).
func (p *pinger) open() (err error) {
	p.fd, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.IPPROTO_ICMP)
	if err != nil {
		p.raw = true
		p.fd, err = unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_ICMP)
	}
	if err != nil {
		return fmt.Errorf("ICMP socket: %w (it takes CAP_NET_RAW)", err)
	}
	return nil
}

func (p *pinger) once(seq int) error {
	const echoRequest, headerSize, dataSize = 8, 8, 56
	packet := make([]byte, headerSize+dataSize)
	packet[0] = echoRequest
	id := uint16(os.Getpid())
	binary.BigEndian.PutUint16(packet[4:], id)
	binary.BigEndian.PutUint16(packet[6:], uint16(seq))
	binary.BigEndian.PutUint16(packet[2:], checksum(packet))
	to := &unix.SockaddrInet4{Addr: [4]byte(p.to.To4())}
	began := time.Now()
	p.sent++
	if err := unix.Sendto(p.fd, packet, 0, to); err != nil {
		return fmt.Errorf("sendto %s: %w", p.to, err)
	}
	buffer := make([]byte, 1500)
	for {
		left := time.Until(began.Add(p.wait))
		if left <= 0 {
			return nil // lost: the summary counts it
		}
		limit := unix.NsecToTimeval(int64(left))
		if err := unix.SetsockoptTimeval(p.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit); err != nil {
			return fmt.Errorf("SO_RCVTIMEO: %w", err)
		}
		n, _, err := unix.Recvfrom(p.fd, buffer, 0)
		switch {
		case errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR):
			return nil
		case err != nil:
			return fmt.Errorf("recvfrom: %w", err)
		}
		if ttl, ok := p.reply(buffer[:n], id, uint16(seq)); ok {
			p.count(time.Since(began))
			p.c.say("%d bytes from %s: seq=%d ttl=%d time=%.3f ms", headerSize+dataSize, p.to, seq, ttl,
				float64(time.Since(began).Microseconds())/1000)
			return nil
		}
	}
}

// reply recognises the answer. A raw socket gets the IP header and everybody's packets; a datagram socket its own
// only, with an id that the kernel chose.
func (p *pinger) reply(packet []byte, id, seq uint16) (ttl int, ok bool) {
	if p.raw {
		if len(packet) < 20 {
			return 0, false
		}
		ttl = int(packet[8])
		packet = packet[int(packet[0]&0xf)*4:]
	} else {
		ttl = 64
	}
	if len(packet) < 8 || packet[0] != 0 || binary.BigEndian.Uint16(packet[6:]) != seq {
		return 0, false
	}
	return ttl, !p.raw || binary.BigEndian.Uint16(packet[4:]) == id
}

func (p *pinger) count(took time.Duration) {
	if p.received == 0 || took < p.least {
		p.least = took
	}
	p.most = max(p.most, took)
	p.sum += took
	p.received++
}

func (p *pinger) summary(host string) error {
	lost := 0
	if p.sent > 0 {
		lost = 100 * (p.sent - p.received) / p.sent
	}
	p.c.say("\n--- %s ping statistics ---\n%d packets transmitted, %d packets received, %d%% packet loss", host, p.sent, p.received, lost)
	if p.received == 0 {
		return exitCode(1)
	}
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	p.c.say("round-trip min/avg/max = %.3f/%.3f/%.3f ms", ms(p.least), ms(p.sum/time.Duration(p.received)), ms(p.most))
	return nil
}

// checksum is the Internet checksum of RFC 1071.
func checksum(packet []byte) uint16 {
	sum := uint32(0)
	for i := 0; i+1 < len(packet); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(packet[i:]))
	}
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}

func runWget(c *call) error {
	o, err := c.options("qSO:T:c", "quiet=q", "output-document=O", "timeout=T", "server-response=S", "no-check-certificate=c", "spider=c")
	if err != nil {
		return err
	}
	if len(o.rest) != 1 {
		return usagef("usage: wget [-qS] [-O FILE] [-T SECONDS] URL")
	}
	address := o.rest[0]
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	timeout, err := o.duration('T', 30*time.Second)
	if err != nil {
		return err
	}
	ctx, stop := interruptible()
	defer stop()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return usagef("%v", err)
	}
	request.Header.Set("User-Agent", "lab-wget")
	client := &http.Client{Timeout: timeout, Transport: &http.Transport{DialContext: dialer.DialContext, Proxy: http.ProxyFromEnvironment}}
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("can't connect: %w", err)
	}
	defer response.Body.Close()
	if o.has('S') {
		fmt.Fprintf(c.err, "  %s %s\n", response.Proto, response.Status)
		for _, name := range sortedKeys(response.Header) {
			fmt.Fprintf(c.err, "  %s: %s\n", name, strings.Join(response.Header[name], ", "))
		}
	}
	if response.StatusCode >= 400 {
		return fmt.Errorf("server returned error: %s %s", response.Proto, response.Status)
	}
	return c.save(response, o.value('O', ""), o.has('q'))
}

func (c *call) save(response *http.Response, name string, quiet bool) (err error) {
	if name == "-" {
		_, err := io.Copy(c.out, response.Body)
		return err
	}
	if name == "" {
		if name = filepath.Base(response.Request.URL.Path); name == "/" || name == "." {
			name = "index.html"
		}
	}
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	n, err := io.Copy(f, response.Body)
	if err = errors.Join(err, f.Close()); err == nil && !quiet {
		fmt.Fprintf(c.err, "saved %d bytes as '%s'\n", n, name)
	}
	return err
}

func runNslookup(c *call) error {
	if len(c.args) == 0 || len(c.args) > 2 {
		return usagef("usage: nslookup NAME [SERVER]")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	asked := &net.Resolver{PreferGo: true}
	if len(c.args) == 2 {
		server := c.args[1]
		c.printf("Server:    %s\n", server)
		asked.Dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, network, net.JoinHostPort(server, "53"))
		}
	} else {
		for _, line := range linesOf("/etc/resolv.conf") {
			if server, ok := strings.CutPrefix(line, "nameserver "); ok {
				c.printf("Server:    %s\n", server)
				break
			}
		}
	}
	name := c.args[0]
	if net.ParseIP(name) != nil {
		names, err := asked.LookupAddr(ctx, name)
		if err != nil {
			return fmt.Errorf("can't find %s: %w", name, err)
		}
		for _, n := range names {
			c.printf("%s\tname = %s\n", name, n)
		}
		return nil
	}
	addresses, err := asked.LookupIPAddr(ctx, name)
	if err != nil {
		return fmt.Errorf("can't resolve '%s': %w", name, err)
	}
	for _, a := range addresses {
		c.printf("Name:      %s\nAddress:   %s\n", name, a.String())
	}
	return nil
}

func runNc(c *call) error {
	o, err := c.options("lp:w:vzne")
	if err != nil {
		return err
	}
	wait, err := o.duration('w', 0)
	if err != nil {
		return err
	}
	var conn net.Conn
	if o.has('l') {
		port := o.value('p', "")
		if port == "" && len(o.rest) > 0 {
			port = o.rest[len(o.rest)-1]
		}
		conn, err = accept(port, wait)
	} else {
		if len(o.rest) != 2 {
			return usagef("usage: nc HOST PORT; nc -l -p PORT")
		}
		d := *dialer
		if wait > 0 {
			d.Timeout = wait
		}
		conn, err = d.Dial("tcp", net.JoinHostPort(o.rest[0], o.rest[1]))
	}
	if err != nil {
		return err
	}
	defer conn.Close()
	if o.has('v') {
		fmt.Fprintf(c.err, "%s to %s\n", conn.LocalAddr(), conn.RemoteAddr())
	}
	if o.has('z') {
		return nil
	}
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		_, _ = io.Copy(conn, c.in) // a broken connection shows at the other direction
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.CloseWrite()
		}
	}()
	_, err = io.Copy(os.Stdout, conn)
	// The other side has said all it had to say. What is on its way from here still goes; a person who might type
	// more is not waited for.
	select {
	case <-sent:
	case <-time.After(300 * time.Millisecond):
	}
	return err
}

// accept waits for one connection.
func accept(port string, wait time.Duration) (net.Conn, error) {
	listener, err := net.Listen("tcp", ":"+port)
	if err != nil {
		return nil, err
	}
	defer listener.Close()
	if wait > 0 {
		if err := listener.(*net.TCPListener).SetDeadline(time.Now().Add(wait)); err != nil {
			return nil, err
		}
	}
	return listener.Accept()
}

func runHttpd(c *call) error {
	o, err := c.options("p:t:fh:")
	if err != nil {
		return err
	}
	host, _ := os.Hostname() // "" is fine
	text := o.value('t', "Hello from "+host)
	listener, err := net.Listen("tcp", ":"+o.value('p', "80"))
	if err != nil {
		return err
	}
	ctx, stop := interruptible()
	defer stop()
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, text) })}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	c.say("serving on %s", listener.Addr())
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
