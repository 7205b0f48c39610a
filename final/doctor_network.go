//go:build linux && !engine

package main

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/simple-container/simple-container/final/internal/kernel"
	"github.com/simple-container/simple-container/final/internal/network"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const installIptables = "sudo apt-get install -y iptables"

// iptables tries the rules of step 04 in a network namespace that ends with the thread.
func (d *doctor) iptables() result {
	variants := kernel.IptablesVariants()
	version, err := d.door.IptablesVersion()
	if err != nil || len(variants) == 0 {
		return result{fail, "not in PATH: step 04 needs it", installIptables}
	}
	if !d.root {
		return good("%s", version)
	}
	err = kernel.OnThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("unshare net: %w", err)
		}
		plain := kernel.Iptables{Name: "iptables"}
		tag := []string{"-m", "comment", "--comment", kernel.Prefix + "doctor"}
		for _, rule := range [][]string{
			{"-t", "nat", "-A", "POSTROUTING", "-j", "MASQUERADE"},
			{"-t", "filter", "-A", "FORWARD", "-m", "conntrack", "--ctstate", "ESTABLISHED", "-j", "ACCEPT"},
		} {
			if err := d.door.Iptables(plain, append(rule, tag...)...); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return result{fail, fmt.Sprintf("%s does not work: %v", version, err),
			"sudo modprobe -a nf_tables nft_compat nft_chain_nat xt_MASQUERADE xt_comment xt_conntrack"}
	}
	return good("%s", version)
}

// ruleSets looks whether both variants have rules. They do not see each other's, and a packet must please
// both.
func (d *doctor) ruleSets() result {
	if !d.root {
		return needsRoot
	}
	rules := map[string]int{}
	for _, v := range kernel.IptablesVariants() {
		text, err := d.door.IptablesSave(v)
		if err != nil {
			return result{note, err.Error(), ""}
		}
		if n := countRules(text); n > 0 {
			rules[v.Name] = n
		}
	}
	return judgeRuleSets(rules)
}

func judgeRuleSets(rules map[string]int) result {
	if len(rules) > 1 {
		return result{note, fmt.Sprintf("both iptables-nft (%d rules) and iptables-legacy (%d rules) are in use: a packet must please both",
			rules["iptables-nft"], rules["iptables-legacy"]), "sudo update-alternatives --config iptables"}
	}
	for name, n := range rules {
		return good("%d rules in %s", n, name)
	}
	return good("no rules")
}

// countRules counts what decides something: rules, and policies other than ACCEPT.
func countRules(text string) (n int) {
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		switch {
		case len(words) > 1 && words[0] == "-A":
			n++
		case len(words) > 1 && strings.HasPrefix(words[0], ":") && words[1] == "DROP":
			n++
		}
	}
	return n
}

func (d *doctor) forwarding() result {
	switch firstLine(forwardSysctl) {
	case "":
		return result{note, forwardSysctl + " cannot be read", ""}
	case "0":
		return good("off; step 04 turns it on while a container runs")
	}
	return good("on")
}

func (d *doctor) forwardPolicy() result {
	if !d.root {
		return needsRoot
	}
	for _, v := range kernel.IptablesVariants() {
		text, err := d.door.IptablesSave(v)
		if err != nil {
			return result{note, err.Error(), ""}
		}
		if policy := network.Policy(text, "filter", "FORWARD"); policy == "DROP" {
			return result{note, v.Name + " drops what is forwarded, as Docker sets it: step 04 adds rules of its own", ""}
		}
	}
	return good("nothing dropped")
}

func (d *doctor) subnet() result {
	routes, err := d.door.Routes()
	if err != nil {
		return result{note, err.Error(), ""}
	}
	links, err := d.door.Links()
	if err != nil {
		return result{note, err.Error(), ""}
	}
	return judgeRoutes(others(routes, links))
}

// route is where packets for some addresses go.
type route struct {
	to   netip.Prefix
	link string
}

// others picks the routes that are not those of our own containers, nor the default route.
func others(routes []netlink.Route, links []netlink.Link) (rest []route) {
	for _, r := range routes {
		if r.Dst == nil || r.Dst.IP.IsUnspecified() {
			continue
		}
		name, ours := "", false
		for _, link := range links {
			if link.Attrs().Index == r.LinkIndex {
				name = link.Attrs().Name
				_, ours = network.LinkID(link)
			}
		}
		address, valid := netip.AddrFromSlice(r.Dst.IP.To4())
		bits, _ := r.Dst.Mask.Size()
		if !ours && valid {
			rest = append(rest, route{netip.PrefixFrom(address, bits), name})
		}
	}
	return rest
}

// judgeRoutes looks for networks where containers want theirs. Of a wider one, as a VPN's 10.0.0.0/8, they
// only hide a few addresses; of one inside, step 04 makes no use; one that is all of it leaves nothing.
func judgeRoutes(routes []route) result {
	found := good("%s is free", network.Addresses)
	for _, r := range routes {
		switch {
		case !r.to.Overlaps(network.Addresses):
		case r.to.Bits() == network.Addresses.Bits():
			return result{fail, fmt.Sprintf("%s goes to %s: no address is left for containers", r.to, r.link),
				fmt.Sprintf("sudo ip route del %s dev %s", r.to, r.link)}
		default:
			found = result{note, fmt.Sprintf("%s goes to %s: containers share the addresses with it", r.to, r.link), ""}
		}
	}
	return found
}

func (d *doctor) nameServers() result {
	text, err := os.ReadFile("/etc/resolv.conf")
	if err != nil {
		return result{note, err.Error(), ""}
	}
	resolved, _ := os.ReadFile("/run/systemd/resolve/resolv.conf") // only where systemd-resolved runs
	return judgeNameServers(string(text), string(resolved))
}

// judgeNameServers looks whether a container of step 04 can reach the host's name servers: 127.0.0.53 in a container is
// the container itself, and it has no IPv6.
func judgeNameServers(resolvConf, resolved string) result {
	beyond := func(server netip.Addr) bool { return server.IsLoopback() || server.Is6() }
	servers := nameServers(resolvConf)
	reachable := slices.DeleteFunc(slices.Clone(servers), beyond)
	behind := slices.DeleteFunc(nameServers(resolved), beyond)
	switch {
	case len(reachable) > 0:
		return good("%s", join(reachable))
	case len(behind) > 0:
		return good("%s, behind systemd-resolved", join(behind))
	case len(servers) > 0:
		return result{note, join(servers) + " is loopback or IPv6, which step 04 does not reach: it takes a public name server", ""}
	}
	return result{note, "no name server: fine offline; a container gets a public one", ""}
}

func join(addresses []netip.Addr) string {
	var words []string
	for _, a := range addresses {
		words = append(words, a.String())
	}
	return strings.Join(words, ", ")
}

// nameServers reads resolv.conf(5): nameserver 192.168.1.1
func nameServers(text string) (servers []netip.Addr) {
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) < 2 || words[0] != "nameserver" {
			continue
		}
		if address, err := netip.ParseAddr(words[1]); err == nil {
			servers = append(servers, address)
		}
	}
	return servers
}

// metricsAddress looks whether the address can be had, and gives it back at once.
func (d *doctor) metricsAddress() result {
	listener, err := net.Listen("tcp", d.metrics)
	if err != nil {
		return result{note, fmt.Sprintf("%v: take another with --metrics; this one is held by what the command shows", err),
			fmt.Sprintf("sudo ss -ltnp 'src = %s'", d.metrics)}
	}
	_ = listener.Close() // nothing was sent
	return good("%s is free", d.metrics)
}
