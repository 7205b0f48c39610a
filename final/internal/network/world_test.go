//go:build linux

package network

// These tests change a host's network: that of the world they run in, a mount and a network namespace made for the
// test binary, which starts itself in them. Around it is a little internet, each station a network namespace:
//
//	containers ── host 192.0.2.2 ──┐
//	                               ├── router 192.0.2.1, 198.51.100.1 ── server 198.51.100.2
//	          neighbour 192.0.2.3 ─┘
//
// and the same in IPv6 with 2001:db8:1:: and 2001:db8:2::. The router translates addresses as one at home does.

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/kernel"
	"github.com/simple-container/simple-container/final/internal/resolver"
)

const (
	role           = "NETWORK_TEST"
	resolvConfFile = "/run/resolv.conf" // the host's
)

var (
	inVM    = os.Getenv("MICROVM") != ""
	patient = 30 * time.Second
)

func TestMain(m *testing.M) {
	if os.Getenv(role) == "world" {
		os.Exit(inWorld(m))
	}
	if os.Geteuid() != 0 {
		fmt.Println("the tests make networks, so they must be root: sudo env PATH=$PATH go test")
		os.Exit(1)
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), role+"=world")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWNET, Pdeathsig: unix.SIGKILL}
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		os.Exit(exit.ExitCode())
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

func inWorld(m *testing.M) int {
	if inVM {
		patient = time.Minute
		_ = os.WriteFile("/etc/resolv.conf", nil, 0o644) // it has none
	}
	err := errors.Join(
		unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""),
		unix.Mount("tmpfs", "/run", "tmpfs", 0, "mode=755"),
		os.Mkdir("/run/stations", 0o755),
		os.WriteFile(resolvConfFile, nil, 0o644),
		unix.Mount(resolvConfFile, "/etc/resolv.conf", "", unix.MS_BIND, ""),
	)
	if err != nil {
		fmt.Println("the tests' world:", err)
		return 1
	}
	return m.Run()
}

// world is a test's own part of it.
type world struct {
	testing.TB
	*Host
	before []string
	spaces []string
	after  []func() // what goes when all has been looked at
}

// newWorld makes one, and looks at the end for what is left.
func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{TB: t, Host: &Host{Door: &kernel.Door{}, Dir: filepath.Join(t.TempDir(), "networks")}}
	lo, err := netlink.LinkByName("lo")
	w.must(err)
	w.must(netlink.LinkSetUp(lo))
	w.before = w.belongings()
	t.Cleanup(func() {
		w.Door.Trap = nil
		list, err := w.Connections("")
		w.check(err)
		for _, c := range list {
			w.check(w.Disconnect(c.ID))
		}
		w.checkNothingLeft("the test")
		for _, do := range w.after {
			do()
		}
		for _, path := range w.spaces {
			w.check(unix.Unmount(path, unix.MNT_DETACH))
			w.check(os.Remove(path))
		}
	})
	return w
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) check(err error) {
	w.Helper()
	if err != nil {
		w.Error(err)
	}
}

// belongings lists what a container could leave: links, rules, settings, files, processes.
func (w *world) belongings() (list []string) {
	w.Helper()
	links, err := netlink.LinkList()
	for errors.Is(err, netlink.ErrDumpInterrupted) { // some are just going, with their namespace
		links, err = netlink.LinkList()
	}
	w.must(err)
	for _, link := range links {
		if !strings.HasPrefix(link.Attrs().Name, "tun") {
			list = append(list, "link "+link.Attrs().Name+" "+link.Attrs().Alias)
		}
	}
	list = append(list, w.rules()...)
	list = append(list, w.resolvers()...)
	for _, pattern := range []string{"net/ipv4/ip_forward", "net/ipv6/conf/*/forwarding", "net/ipv6/conf/*/accept_ra", "net/ipv4/conf/*/route_localnet"} {
		files, _ := filepath.Glob("/proc/sys/" + pattern)
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err == nil {
				list = append(list, file+" = "+strings.TrimSpace(string(text)))
			}
		}
	}
	w.check(filepath.WalkDir(kernel.StateDir, func(path string, entry os.DirEntry, err error) error {
		if err == nil && (!entry.IsDir() || path == stateDir) { // the others go with that
			list = append(list, path)
		}
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		return err
	}))
	return list
}

// resolvers lists those of this host.
func (w *world) resolvers() (list []string) {
	paths, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	ours, err := os.Readlink("/proc/self/ns/net")
	w.must(err)
	for _, path := range paths {
		text, _ := os.ReadFile(path)
		theirs, _ := os.Readlink(filepath.Join(filepath.Dir(path), "ns/net"))
		if name, _, _ := strings.Cut(string(text), "\x00"); name == resolver.Name && ours == theirs {
			list = append(list, "process "+path)
		}
	}
	return list
}

// rules lists all of nftables, with handles: a rule that is made anew is another one.
func (w *world) rules() (list []string) {
	w.Helper()
	nft := &nftables.Conn{}
	tables, err := nft.ListTables()
	w.must(err)
	for _, table := range tables {
		list = append(list, fmt.Sprintf("table %d %s", table.Family, table.Name))
		chains, err := nft.ListChainsOfTableFamily(table.Family)
		w.must(err)
		for _, chain := range chains {
			if chain.Table.Name != table.Name {
				continue
			}
			rules, err := nft.GetRules(table, chain)
			w.must(err)
			for _, rule := range rules {
				list = append(list, fmt.Sprintf("rule %d %s %s %d", table.Family, table.Name, chain.Name, rule.Handle))
			}
		}
	}
	return list
}

// checkNothingLeft compares with the beginning. The kernel may take a moment for what goes with a namespace.
func (w *world) checkNothingLeft(by string) {
	w.Helper()
	var left, lost []string
	for deadline := time.Now().Add(patient); ; time.Sleep(5 * time.Millisecond) {
		now := w.belongings()
		left = slices.DeleteFunc(slices.Clone(now), func(s string) bool { return slices.Contains(w.before, s) })
		lost = slices.DeleteFunc(slices.Clone(w.before), func(s string) bool { return slices.Contains(now, s) })
		if len(left)+len(lost) == 0 {
			return
		}
		if time.Now().After(deadline) {
			w.Errorf("after %s: left behind %q, lost %q", by, left, lost)
			return
		}
	}
}

// space makes a network namespace, for a container or another station, and returns its path.
func (w *world) space() string {
	w.Helper()
	path := fmt.Sprintf("/run/stations/%d-%d", os.Getpid(), time.Now().UnixNano())
	w.must(os.WriteFile(path, nil, 0o600))
	w.must(kernel.OnThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return err
		}
		return unix.Mount("/proc/thread-self/ns/net", path, "", unix.MS_BIND, "")
	}))
	w.spaces = append(w.spaces, path)
	return path
}

// at does something in a network namespace; "" is the host's. Sockets opened there stay there.
func at(path string, do func() error) error {
	if path == "" {
		return do()
	}
	return kernel.OnThread(func() error {
		file, err := os.Open(path)
		if err != nil {
			return err
		}
		defer file.Close()
		if err := unix.Setns(int(file.Fd()), unix.CLONE_NEWNET); err != nil {
			return err
		}
		return do()
	})
}

// handle is a netlink socket in a namespace.
func (w *world) handle(path string) *netlink.Handle {
	w.Helper()
	if path == "" {
		path = "/proc/thread-self/ns/net"
	}
	ns, err := netns.GetFromPath(path)
	w.must(err)
	defer ns.Close()
	handle, err := netlink.NewHandleAt(ns, unix.NETLINK_ROUTE)
	w.must(err)
	w.Cleanup(handle.Close)
	return handle
}

// container connects a new one.
func (w *world) container(change ...func(*Endpoint)) *Connection {
	w.Helper()
	c, err := w.tryContainer(change...)
	w.must(err)
	return c
}

func (w *world) tryContainer(change ...func(*Endpoint)) (*Connection, error) {
	w.Helper()
	e := Endpoint{Namespace: w.space(), ID: fmt.Sprintf("%016x%048d", rand.Uint64(), 0)}
	for _, c := range change {
		c(&e)
	}
	return w.Connect(e)
}

// serve answers every TCP connection to an address in a namespace with who asks.
func (w *world) serve(path, address string) {
	w.Helper()
	w.must(at(path, func() error {
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
				host, _, _ := net.SplitHostPort(conn.RemoteAddr().String())
				fmt.Fprint(conn, host)
				conn.Close()
			}
		}()
		return nil
	}))
}

// serveUDP does the same with datagrams.
func (w *world) serveUDP(path, address string) {
	w.Helper()
	w.must(at(path, func() error {
		conn, err := net.ListenPacket("udp", address)
		if err != nil {
			return err
		}
		w.Cleanup(func() { conn.Close() })
		go func() {
			buffer := make([]byte, 100)
			for {
				_, from, err := conn.ReadFrom(buffer)
				if err != nil {
					return
				}
				host, _, _ := net.SplitHostPort(from.String())
				_, _ = conn.WriteTo([]byte(host), from)
			}
		}()
		return nil
	}))
}

// ask asks who we are, from a namespace: tcp or udp. A datagram may be lost, and is sent again.
func ask(path, protocol, address string, patience time.Duration) (answer string, err error) {
	err = at(path, func() error {
		conn, err := net.DialTimeout(protocol, address, patience)
		if err != nil {
			return err
		}
		defer conn.Close()
		buffer, tries := make([]byte, 100), 1
		if protocol == "udp" {
			tries = 10
		}
		for range tries {
			if protocol == "udp" {
				if _, err := conn.Write([]byte("?")); err != nil {
					return err
				}
			}
			_ = conn.SetReadDeadline(time.Now().Add(patience / time.Duration(tries)))
			var n int
			if n, err = conn.Read(buffer); !errors.Is(err, os.ErrDeadlineExceeded) {
				answer = string(buffer[:n])
				return err
			}
		}
		return err
	})
	return answer, err
}

// says checks the answer.
func (w *world) says(path, protocol, address, want string) {
	w.Helper()
	got, err := ask(path, protocol, address, patient)
	if err != nil || got != want {
		w.Errorf("%s %s: the server sees %q, %v: want %q", protocol, address, got, err, want)
	}
}

// silent checks that there is none.
func (w *world) silent(path, protocol, address string) {
	w.Helper()
	if got, err := ask(path, protocol, address, 300*time.Millisecond); err == nil {
		w.Errorf("%s %s: the server sees %q: want no answer", protocol, address, got)
	}
}

func hostPort(prefix netip.Prefix, port uint16) string {
	return netip.AddrPortFrom(prefix.Addr(), port).String()
}

func route(to netip.Prefix, gateway string) *netlink.Route {
	return &netlink.Route{Dst: ipNet(to), Gw: net.ParseIP(gateway)}
}

func unreachable(to string) *netlink.Route {
	return &netlink.Route{Dst: ipNet(netip.MustParsePrefix(to)), Type: unix.RTN_UNREACHABLE}
}
