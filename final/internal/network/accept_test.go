//go:build linux

package network

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/nftables"
)

// run runs a tool in the world.
func (w *world) run(name string, args ...string) string {
	w.Helper()
	if _, err := exec.LookPath(name); err != nil && os.Getenv("CI") != "true" {
		w.Skipf("%s: %v: vagrant/provision.sh installs it", name, err)
	}
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		w.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// besides starts a container beside others' rules, uses the network, and looks for what is left.
func besides(t *testing.T, rules func(w *world), saved func(w *world) string) {
	w := newWorld(t)
	i := w.online()
	w.after = append(w.after, func() {
		nft := &nftables.Conn{}
		nft.FlushRuleset()
		w.check(nft.Flush())
	})
	rules(w)
	before := saved(w)
	w.before = w.belongings()
	c, d := w.container(publishing("c", "8080:80")), w.container()
	w.serve(c.Namespace, ":80")
	w.serve(i.server, ":81")
	w.says(c.Namespace, "tcp", serverAddress+":81", routerOutside)
	w.says(i.neighbour, "tcp", hostAddress+":8080", neighbourAddress)
	w.says(d.Namespace, "tcp", hostPort(c.IPv4, 80), d.IPv4.Addr().String())
	w.says(d.Namespace, "tcp", hostAddress+":8080", c.Gateway.String())
	if hasIPv6() {
		w.says(c.Namespace, "tcp", "["+serverAddress6+"]:81", routerOutside6)
		w.says(i.neighbour, "tcp", "["+hostAddress6+"]:8080", neighbourAddress6)
	}
	if now := saved(w); strings.Count(now, "simple-container-network-bridge") < 2 {
		t.Errorf("the accept rules are not tagged, or not readable:\n%s", now)
	}
	w.must(w.Disconnect(c.ID))
	w.must(w.Disconnect(d.ID))
	w.checkNothingLeft("the last container")
	if now := saved(w); now != before {
		t.Errorf("rules before:\n%s\nand after:\n%s", before, now)
	}
}

// rulesOf prints rules without what the tools say of the time.
func rulesOf(tools ...string) func(w *world) string {
	return func(w *world) (text string) {
		w.Helper()
		for _, tool := range tools {
			words := strings.Fields(tool)
			for line := range strings.Lines(w.run(words[0], words[1:]...)) {
				if !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, ":") {
					text += line
				}
			}
		}
		return text
	}
}

func TestBesideNft(t *testing.T) {
	besides(t, func(w *world) {
		w.run("nft", `table inet mine {
	chain f { type filter hook forward priority 0; policy drop; tcp dport 1 accept; }
	chain i { type filter hook input priority 0; policy drop; iifname lo accept; ct state established,related accept; icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept; }
}`)
	}, rulesOf("nft list table inet mine"))
}

func TestBesideIptablesNft(t *testing.T) {
	besides(t, func(w *world) {
		for _, tool := range []string{"iptables-nft", "ip6tables-nft"} {
			w.run(tool, "-P", "FORWARD", "DROP")
			w.run(tool, "-A", "INPUT", "-i", "lo", "-j", "ACCEPT")
			w.run(tool, "-A", "INPUT", "-m", "conntrack", "--ctstate", "ESTABLISHED,RELATED", "-j", "ACCEPT")
			w.run(tool, "-A", "INPUT", "-p", map[bool]string{true: "icmp", false: "icmpv6"}[tool == "iptables-nft"], "-j", "ACCEPT")
			w.run(tool, "-P", "INPUT", "DROP")
		}
	}, rulesOf("iptables-nft-save", "ip6tables-nft-save"))
}

// TestBesideDocker: chains as Docker makes them.
func TestBesideDocker(t *testing.T) {
	besides(t, func(w *world) {
		for _, tool := range []string{"iptables-nft", "ip6tables-nft"} {
			for _, command := range []string{
				"-P FORWARD DROP", "-N DOCKER", "-N DOCKER-ISOLATION-STAGE-1", "-N DOCKER-USER",
				"-A FORWARD -j DOCKER-USER", "-A FORWARD -j DOCKER-ISOLATION-STAGE-1",
				"-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT", "-A FORWARD -o docker0 -j DOCKER",
				"-A DOCKER-ISOLATION-STAGE-1 -j RETURN", "-A DOCKER-USER -p tcp --dport 9 -j DROP", "-A DOCKER-USER -j RETURN",
			} {
				w.run(tool, strings.Fields(command)...)
			}
		}
	}, rulesOf("iptables-nft-save", "ip6tables-nft-save"))
}

func TestBesideIptablesLegacy(t *testing.T) {
	besides(t, func(w *world) {
		for _, tool := range []string{"iptables-legacy", "ip6tables-legacy"} {
			if out, err := exec.Command(tool, "-L").CombinedOutput(); err != nil && strings.Contains(string(out), "Table does not exist") {
				t.Skipf("this kernel has no tables of iptables-legacy: %s", out)
			}
			w.run(tool, "-P", "FORWARD", "DROP")
			t.Cleanup(func() { w.run(tool, "-P", "FORWARD", "ACCEPT") })
		}
	}, rulesOf("iptables-legacy-save", "ip6tables-legacy-save"))
}

// TestBesideFirewalld: its table as it makes it, as far as it decides about us.
func TestBesideFirewalld(t *testing.T) {
	besides(t, func(w *world) {
		w.run("nft", `table inet firewalld {
	chain filter_FORWARD { type filter hook forward priority 10; policy accept; ct state { established, related } accept; ct status dnat accept; iifname lo accept; ct state invalid drop; reject with icmpx type admin-prohibited; }
	chain filter_INPUT { type filter hook input priority 10; policy accept; ct state { established, related } accept; iifname lo accept; icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept; reject with icmpx type admin-prohibited; }
}`)
	}, rulesOf("nft list table inet firewalld"))
}
