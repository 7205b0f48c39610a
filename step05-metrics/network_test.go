//go:build linux

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// In these tests the world's network namespace is the host. The internet is another namespace, with one
// server that answers every request with the address it came from:
//
//	container ── world (the host) 192.0.2.2 ── 192.0.2.1 internet
const (
	serverAddress = "192.0.2.1"
	hostAddress   = "192.0.2.2"
)

func init() { helpers["internet"] = internet }

// internet is the server. It says its namespace is there, waits for its link, and serves until its
// standard input closes.
func internet() int {
	failed := func(err error) int {
		fmt.Fprintln(os.Stderr, "internet:", err)
		return 1
	}
	fmt.Println("here")
	in := bufio.NewReader(os.Stdin)
	if _, err := in.ReadString('\n'); err != nil {
		return failed(err)
	}
	for name, address := range map[string]string{"lo": "127.0.0.1/8", "internet": serverAddress + "/24"} {
		link, err := netlink.LinkByName(name)
		if err != nil {
			return failed(err)
		}
		ip, _ := netlink.ParseAddr(address)
		if err := netlink.AddrReplace(link, ip); err != nil {
			return failed(err)
		}
		if err := netlink.LinkSetUp(link); err != nil {
			return failed(err)
		}
	}
	listener, err := net.Listen("tcp", serverAddress+":80")
	if err != nil {
		return failed(err)
	}
	go http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { //nolint:errcheck
		host, _, _ := net.SplitHostPort(r.RemoteAddr)
		fmt.Fprintln(w, "you are "+host)
	}))
	fmt.Println("up")
	_, _ = io.Copy(io.Discard, in)
	return 0
}

// newConnectedWorld is a world with an uplink to the internet.
func newConnectedWorld(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	helper := exec.Command("/proc/self/exe")
	helper.Env = append(os.Environ(), "GRADER_HELPER=internet")
	helper.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET, Pdeathsig: unix.SIGKILL}
	helper.Stderr = os.Stderr
	stdin, err := helper.StdinPipe()
	w.must(err)
	stdout, err := helper.StdoutPipe()
	w.must(err)
	w.must(helper.Start())
	w.Cleanup(func() {
		stdin.Close()
		_ = helper.Wait()
	})
	out := bufio.NewReader(stdout)
	expect := func(want string) {
		w.Helper()
		line, err := out.ReadString('\n')
		if err != nil || strings.TrimSpace(line) != want {
			w.Fatalf("the internet said %q, %v", line, err)
		}
	}
	expect("here")
	loopback, err := netlink.LinkByName("lo")
	w.must(err)
	w.must(netlink.LinkSetUp(loopback))
	attributes := netlink.NewLinkAttrs()
	attributes.Name, attributes.MTU = "uplink", 1400 // as behind a VPN
	w.must(netlink.LinkAdd(&netlink.Veth{LinkAttrs: attributes, PeerName: "internet",
		PeerNamespace: netlink.NsPid(helper.Process.Pid)}))
	uplink, err := netlink.LinkByName("uplink")
	w.must(err)
	address, err := netlink.ParseAddr(hostAddress + "/24")
	w.must(err)
	w.must(netlink.AddrAdd(uplink, address))
	w.must(netlink.LinkSetUp(uplink))
	_, err = stdin.Write([]byte("\n"))
	w.must(err)
	expect("up")
	w.must(netlink.RouteAdd(&netlink.Route{LinkIndex: uplink.Attrs().Index, Gw: net.ParseIP(serverAddress)}))
	w.before = w.belongings()
	return w
}

// inside returns a handle on the network of a process.
func inside(w *world, pid int) *netlink.Handle {
	w.Helper()
	ns, err := netns.GetFromPid(pid)
	w.must(err)
	defer ns.Close()
	handle, err := netlink.NewHandleAt(ns, unix.NETLINK_ROUTE)
	w.must(err)
	w.Cleanup(handle.Close)
	return handle
}

// addressOf returns the container's address on eth0.
func addressOf(w *world, pid int) netip.Addr {
	w.Helper()
	handle := inside(w, pid)
	link, err := handle.LinkByName("eth0")
	if err != nil {
		w.wrong("links in the container", "eth0", err, "the veth's peer was not moved in, or not renamed", walk)
		w.FailNow()
	}
	list, err := handle.AddrList(link, unix.AF_INET)
	w.must(err)
	if len(list) != 1 {
		w.wrong("addresses of eth0", "one", list, "no address was added", walk)
		w.FailNow()
	}
	address, _ := netip.AddrFromSlice(list[0].IP.To4())
	return address
}

func TestLinksInside(t *testing.T) {
	w := newConnectedWorld(t)
	pid := w.start("run", "sleep", "1000").started()
	if host, theirs := namespacesOf(w, "thread-self", "net"), namespacesOf(w, strconv.Itoa(pid), "net"); host[0] == theirs[0] {
		w.wrong("network namespace", "its own", "the host's", "CLONE_NEWNET is missing", walk)
	}
	address := addressOf(w, pid)
	if !address.IsPrivate() {
		w.wrong("address of eth0", "a private one (RFC 1918)", address, "others own it", walk)
	}
	handle := inside(w, pid)
	links, err := handle.LinkList()
	w.must(err)
	for _, link := range links {
		if link.Attrs().Flags&net.FlagUp == 0 {
			w.wrong("link "+link.Attrs().Name, "up", "down", "a new namespace's links are down, lo too", walk)
		}
		if link.Attrs().Name == "eth0" && link.Attrs().MTU > 1400 {
			w.wrong("MTU of eth0", "at most the uplink's 1400", link.Attrs().MTU, "larger packets are lost on the way", walk)
		}
	}
	if len(links) != 2 {
		w.wrong("links in the container", "lo and eth0", links, "it has others", walk)
	}
	routes, err := handle.RouteList(nil, unix.AF_INET)
	w.must(err)
	if !slices.ContainsFunc(routes, func(r netlink.Route) bool { return r.Gw != nil && (r.Dst == nil || r.Dst.IP.IsUnspecified()) }) {
		w.wrong("routes in the container", "a default route", routes, "no route was added", walk)
	}
}

func TestReachesLoopbackAndHost(t *testing.T) {
	w := newConnectedWorld(t)
	inOwnNetwork(w)
	if r := w.run("run", "ping", "-c", "1", "-W", "20", "127.0.0.1"); r.code != 0 {
		w.wrong("ping 127.0.0.1", "an answer", r.stdout+r.stderr, "lo is down", walk)
	}
	if r := w.run("run", "ping", "-c", "1", "-W", "20", hostAddress); r.code != 0 {
		w.wrong("ping of the host", "an answer", r.stdout+r.stderr, "no default route, or the host's end is down", walk)
	}
}

// inOwnNetwork makes sure that what follows says something: the host's network reaches all of that too.
func inOwnNetwork(w *world) {
	w.Helper()
	host := namespacesOf(w, "thread-self", "net")[0]
	if got := strings.TrimSpace(w.run("run", "readlink", "/proc/self/ns/net").stdout); got == host {
		w.wrong("network namespace", "its own", "the host's", "CLONE_NEWNET is missing", walk)
	}
}

// asked is what the server says to a container.
func asked(w *world) string {
	w.Helper()
	inOwnNetwork(w)
	r := w.run("run", "wget", "-q", "-O", "-", "http://"+serverAddress+"/")
	if r.code != 0 {
		return r.stdout + r.stderr
	}
	return strings.TrimSpace(r.stdout)
}

func TestReachesTheInternet(t *testing.T) {
	w := newConnectedWorld(t)
	if got, want := asked(w), "you are "+hostAddress; got != want {
		w.wrong("what a server sees", want, got, "ip_forward is 0, or MASQUERADE is missing: the answer has no way back", walk)
	}
}

// Docker sets the policy of FORWARD to DROP.
func TestReachesTheInternetBesideDocker(t *testing.T) {
	w := newConnectedWorld(t)
	w.must(command("iptables", "-P", "FORWARD", "DROP"))
	if got, want := asked(w), "you are "+hostAddress; got != want {
		w.wrong("what a server sees, with FORWARD at DROP", want, got, "accept rules are missing, or come too late", "If it fails")
	}
}

func TestTwoContainersHaveTheirOwnAddresses(t *testing.T) {
	w := newConnectedWorld(t)
	first := w.start("run", "sleep", "1000")
	a := addressOf(w, first.started())
	second := w.start("run", "sleep", "1000")
	b := addressOf(w, second.started())
	if a == b {
		w.wrong("addresses of two containers", "different", a, "the address is fixed, or drawn by lot", walk)
	}
	w.must(first.Process.Signal(unix.SIGTERM))
	<-first.done
	if ipForward(w) != "1" {
		w.wrong("ip_forward while a container runs", "1", "0", "the first to leave has put it back: the last one must", walk)
	}
	if got, want := asked(w), "you are "+hostAddress; got != want {
		w.wrong("a third container, after the first left", want, got, "its end took what belongs to all", walk)
	}
	if r := w.run("run", "ping", "-c", "1", "-W", "20", b.String()); r.code != 0 {
		w.wrong("ping from container to container", "an answer", r.stdout+r.stderr, "the host does not forward between them", walk)
	}
}

// A VPN, or the Wi-Fi of the place, may have the addresses that a container would get.
func TestNetworksOfTheHostAreAvoided(t *testing.T) {
	w := newConnectedWorld(t)
	p := w.start("run", "sleep", "1000")
	taken, err := addressOf(w, p.started()).Prefix(24)
	w.must(err)
	w.must(p.Process.Signal(unix.SIGTERM))
	<-p.done
	uplink, err := netlink.LinkByName("uplink")
	w.must(err)
	there := &net.IPNet{IP: taken.Addr().AsSlice(), Mask: net.CIDRMask(24, 32)}
	w.must(netlink.RouteAdd(&netlink.Route{LinkIndex: uplink.Attrs().Index, Dst: there, Gw: net.ParseIP(serverAddress)}))
	if address := addressOf(w, w.start("run", "sleep", "1000").started()); taken.Contains(address) {
		w.wrong("address of eth0, on a host with a route to "+taken.String(), "one of another network", address,
			"the host's routes were not looked at: what is there cannot be reached any more", walk)
	}
}

func TestManyStartAtOnce(t *testing.T) {
	w := newConnectedWorld(t)
	var all []*process
	for range 6 {
		all = append(all, w.start("run", "sleep", "1000"))
	}
	seen := map[netip.Addr]bool{}
	for _, p := range all {
		seen[addressOf(w, p.started())] = true
	}
	if len(seen) != len(all) {
		w.wrong("addresses of containers started at once", len(all), seen, "looking and taking are two steps", walk)
	}
	for _, p := range all {
		w.must(p.Process.Signal(unix.SIGTERM))
	}
	for _, p := range all {
		if r := p.wait(); r.code != 143 {
			w.wrong("exit code of one among many", 143, r, "they are in each other's way", walk)
		}
	}
}

func ipForward(w *world) string {
	w.Helper()
	return strings.TrimSpace(w.read("/proc/sys/net/ipv4/ip_forward"))
}

func TestForwardingIsPutBack(t *testing.T) {
	w := newConnectedWorld(t)
	for _, value := range []string{"0", "1"} {
		w.must(os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte(value), 0))
		p := w.start("run", "sleep", "1000")
		p.started()
		if ipForward(w) != "1" {
			w.wrong("ip_forward while a container runs", "1", ipForward(w), "nobody routes between the cable and the world", walk)
		}
		w.must(p.Process.Signal(unix.SIGTERM))
		<-p.done
		if got := ipForward(w); got != value {
			w.wrong("ip_forward after the last container", value, got, "what it was before was not kept", walk)
		}
	}
}

// rules are the packet filter's rules.
func rules(w *world) (list []string) {
	w.Helper()
	out, err := exec.Command("iptables-save").Output()
	w.must(err)
	for _, line := range lines(string(out)) {
		if strings.HasPrefix(line, "-A") {
			list = append(list, line)
		}
	}
	return list
}

func TestRulesAreTaggedAndRemoved(t *testing.T) {
	w := newConnectedWorld(t)
	p := w.start("run", "sleep", "1000")
	p.started()
	while := rules(w)
	if !slices.ContainsFunc(while, func(r string) bool { return strings.Contains(r, "MASQUERADE") }) {
		w.wrong("rules while a container runs", "MASQUERADE", while, "no NAT", walk)
	}
	for _, rule := range while {
		if !strings.Contains(rule, "--comment") || !strings.Contains(rule, "simple-container-") {
			w.wrong("a rule", "a comment with the container's id", rule, "a clean-up could not know whose it is", walk)
		}
	}
	w.must(p.Process.Signal(unix.SIGTERM))
	<-p.done
	if left := rules(w); left != nil {
		w.wrong("rules after the end", "none", left, "each -I needs its -D", walk)
	}
}

// slowIptables has a program use an iptables that waits before one action. It is under way when called says so, and
// goes on when told.
func slowIptables(w *world, action string) (use func(*exec.Cmd), called func() bool, goOn func()) {
	w.Helper()
	real, err := exec.LookPath("iptables")
	w.must(err)
	dir := w.TempDir()
	script := fmt.Sprintf(`#!/bin/sh
case "$*" in *" %[1]s "*) : >%[2]s/called; until [ -e %[2]s/on ]; do sleep 0.05; done ;; esac
exec %[3]s "$@"
`, action, dir, real)
	w.writeProgram(dir+"/iptables", []byte(script))
	return func(cmd *exec.Cmd) {
			cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"))
			cmd.SysProcAttr.Setpgid = true
		}, func() bool {
			_, err := os.Stat(dir + "/called")
			return err == nil
		}, func() { w.must(os.WriteFile(dir+"/on", nil, 0o644)) }
}

// What a killed program has begun must not go on, unseen by whoever cleans up after it.
func TestKilledWhileItSetsRules(t *testing.T) {
	w := newConnectedWorld(t)
	use, called, goOn := slowIptables(w, "-I")
	p := w.startWith(use, "run", "true")
	if !eventually(func() bool { return called() || errors.Is(unix.Kill(p.Process.Pid, 0), unix.ESRCH) }) || !called() {
		w.wrong("while a container begins", "iptables -I", "not called", "no rules are set", walk)
		return
	}
	w.must(p.Process.Kill())
	<-p.done
	w.clean()
	goOn()
	time.Sleep(time.Second)
	if left := rules(w); left != nil {
		w.wrong("rules after kill -9 and final clean", "none", left,
			"iptables has outlived the program: Pdeathsig is for it too", walk)
	}
}

// An impatient Ctrl-C goes to all processes in the foreground, and comes when the container is gone already.
func TestInterruptedWhileItRemovesRules(t *testing.T) {
	w := newConnectedWorld(t)
	use, called, goOn := slowIptables(w, "-D")
	p := w.startWith(use, "run", "true")
	if !eventually(func() bool { return called() || errors.Is(unix.Kill(p.Process.Pid, 0), unix.ESRCH) }) || !called() {
		w.wrong("when a container ends", "iptables -D", "not called", "rules are not removed, or none were set", walk)
		return
	}
	w.must(unix.Kill(-p.Process.Pid, unix.SIGINT))
	goOn()
	r := p.wait()
	if left := rules(w); left != nil || r.code != 0 {
		w.wrong("after Ctrl-C while a container ends", "code 0, no rules", fmt.Sprintf("%v, rules: %v", r, left),
			"the signal has ended iptables: give it a process group of its own", walk)
	}
}

func TestNameServersCanBeReached(t *testing.T) {
	w := newConnectedWorld(t)
	resolved := "/run/systemd/resolve/resolv.conf"
	w.must(os.MkdirAll(filepath.Dir(resolved), 0o755))
	for _, c := range []struct{ what, host, resolved, want string }{
		{"a plain host", "search example.org\nnameserver 192.0.2.7\n", "", "nameserver 192.0.2.7"},
		{"a host with systemd-resolved", "nameserver 127.0.0.53\n", "nameserver 192.0.2.8\n", "nameserver 192.0.2.8"},
		{"a host with a server on loopback beside another", "nameserver 127.0.0.1\nnameserver 192.0.2.9\n", "", "nameserver 192.0.2.9"},
		{"a host with nothing but loopback", "nameserver ::1\n", "", "nameserver "},
		{"a host with nothing but IPv6", "nameserver 2001:db8::1\n", "nameserver 192.0.2.10\n", "nameserver 192.0.2.10"},
	} {
		file := filepath.Join(w.TempDir(), "resolv.conf")
		w.must(os.WriteFile(file, []byte(c.host), 0o644))
		w.must(os.WriteFile(resolved, []byte(c.resolved), 0o644))
		original, err := filepath.EvalSymlinks("/etc/resolv.conf")
		if err != nil {
			original = "/etc/resolv.conf"
			w.must(os.WriteFile(original, nil, 0o644))
		}
		w.must(unix.Mount(file, original, "", unix.MS_BIND, ""))
		r := w.run("run", "cat", "/etc/resolv.conf")
		w.must(unix.Unmount(original, unix.MNT_DETACH))
		if !strings.Contains(r.stdout, c.want) || strings.Contains(r.stdout, "127.0.0") || strings.Contains(r.stdout, "::1") {
			w.wrong("resolv.conf on "+c.what, c.want, r.stdout+r.stderr, "127.0.0.53 is the host's own, and the container has no IPv6", "If it fails")
		}
	}
}

func TestHostsFile(t *testing.T) {
	w := newConnectedWorld(t)
	name := randomName()
	r := w.run("run", "--hostname", name, "cat", "/etc/hosts")
	if !strings.Contains(r.stdout, name) || !strings.Contains(r.stdout, "localhost") {
		w.wrong("/etc/hosts", "localhost and "+name, r.stdout+r.stderr, "it is the image's", walk)
	}
}

func TestWithoutIptables(t *testing.T) {
	w := newConnectedWorld(t)
	p := w.startWith(func(cmd *exec.Cmd) { cmd.Env = []string{"PATH=" + w.TempDir()} }, "run", "true")
	if r := p.wait(); r.code != 125 || !strings.Contains(r.stderr, "iptables") || !strings.Contains(r.stderr, "install") {
		w.wrong("on a host without iptables", "code 125, and the package's name", r,
			"the error does not tell the remedy", "If it fails")
	}
	if ipForward(w) != "0" {
		w.wrong("ip_forward after a failed start", "0", "1", "set-up that fails half-way must be undone", walk)
	}
}
