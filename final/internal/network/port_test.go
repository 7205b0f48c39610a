//go:build linux

package network

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
)

func TestParsePort(t *testing.T) {
	for text, want := range map[string]string{
		"80":                      "0.0.0.0:0->80/tcp",
		"80/UDP":                  "0.0.0.0:0->80/udp",
		"8080:80":                 "0.0.0.0:8080->80/tcp",
		"8080:80/sctp":            "0.0.0.0:8080->80/sctp",
		"127.0.0.1:8080:80":       "127.0.0.1:8080->80/tcp",
		"127.0.0.1::80":           "127.0.0.1:0->80/tcp",
		"[2001:db8::1]:8080:80":   "[2001:db8::1]:8080->80/tcp",
		"[::]:8080:80":            "[::]:8080->80/tcp",
		"::1:8080:80":             "[::1]:8080->80/tcp",
		"0.0.0.0:8080:80":         "0.0.0.0:8080->80/tcp",
		"[::ffff:1.2.3.4]:1:2":    "1.2.3.4:1->2/tcp",
		"8000-8002:80-82":         "0.0.0.0:8000->80/tcp 0.0.0.0:8001->81/tcp 0.0.0.0:8002->82/tcp",
		"80-81":                   "0.0.0.0:0->80/tcp 0.0.0.0:0->81/tcp",
		"8000-8002:80":            "0.0.0.0:8000->80/tcp",
		"65535:65535":             "0.0.0.0:65535->65535/tcp",
		"":                        `"" is no port`,
		"0":                       `"0" is no port`,
		"65536":                   `"65536" is no port`,
		"80:":                     `"" is no port`,
		"a:80":                    `"a" is no port`,
		"82-80":                   `"82-80" is no port`,
		"8000-8001:80-82":         "differ in length",
		"80/icmp":                 `protocol "icmp"`,
		"host:80:80":              `address "host"`,
		"[fe80::1%eth0]:80:80":    "address",
		"1.2.3.4.5:80:80":         "address",
		"80/":                     "protocol",
		"-1:80":                   "is no port",
		"80:80:80":                `address "80"`,
		strings.Repeat("1:", 100): "address",
	} {
		list, err := ParsePort(text)
		var words []string
		for _, p := range list {
			words = append(words, p.String())
		}
		got := strings.Join(words, " ")
		if err != nil {
			got = err.Error()
		}
		if got != want && (err == nil || !strings.Contains(got, want)) {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

func TestClaims(t *testing.T) {
	port := func(address string, number uint16, protocol string) Port {
		a, _ := netip.ParseAddr(address)
		return Port{Address: a, HostPort: number, Protocol: protocol}
	}
	all := []Port{
		port("", 80, "tcp"), port("0.0.0.0", 80, "tcp"), port("::", 80, "tcp"), port("1.2.3.4", 80, "tcp"),
		port("1.2.3.5", 80, "tcp"), port("2001:db8::1", 80, "tcp"), port("", 80, "udp"), port("", 81, "tcp"),
	}
	collisions := []string{"11111100", "11011000", "10100100", "11010000", "11001000", "10100100", "00000010", "00000001"}
	for i, p := range all {
		for j, other := range all {
			if want := collisions[i][j] == '1'; p.collides(other) != want {
				t.Errorf("%s and %s collide: want %v", p.claimPath(), other.claimPath(), want)
			}
		}
	}
}

func TestSubnets(t *testing.T) {
	prefixes := func(texts ...string) (list []netip.Prefix) {
		for _, text := range texts {
			list = append(list, netip.MustParsePrefix(text))
		}
		return list
	}
	for _, test := range []struct {
		taken []netip.Prefix
		want  string
	}{
		{nil, "10.192.0.0/20"},
		{prefixes("10.192.0.0/20", "10.192.16.0/24"), "10.192.32.0/20"},
		{prefixes("10.192.5.5/32"), "10.192.16.0/20"},
		{prefixes("10.192.0.0/13", "10.200.0.0/13"), "172.16.0.0/20"},
		{prefixes("10.0.0.0/8"), "172.16.0.0/20"},
		{prefixes("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"), "10.192.0.0/20"}, // a VPN's way out
		{prefixes("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "10.192.1.0/24"), "10.192.16.0/20"},
	} {
		got, err := pickSubnet(test.taken)
		if err != nil || got.String() != test.want {
			t.Errorf("%v: %v, %v: want %s", test.taken, got, err, test.want)
		}
	}
	var taken []netip.Prefix
	for range 16*16 - 16 {
		subnet, err := pickSubnet(taken)
		if err != nil || subnet.Overlaps(Addresses) || slices.ContainsFunc(taken, subnet.Overlaps) {
			t.Fatalf("after %d: %v, %v", len(taken), subnet, err)
		}
		taken = append(taken, subnet)
	}
	for subnet, want := range map[string]string{
		"10.192.0.0/20": "10.192.16.0", "10.255.255.0/24": "11.0.0.0", "255.255.255.0/24": "0.0.0.0", "fd00::/64": "fd00:0:0:1::",
	} {
		if got := after(netip.MustParsePrefix(subnet)); got.String() != want {
			t.Errorf("after %s: %s, want %s", subnet, got, want)
		}
	}
	a := netip.MustParseAddr("10.192.1.254")
	if b := plus(a, 5); b.String() != "10.192.2.3" || minus(b, a) != 5 {
		t.Errorf("%s, %d", b, minus(b, a))
	}
}
