//go:build linux

package network

import (
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
)

// texts are the files that tell a container about its network.
func (c *Connection) texts() (err error) {
	if c.Hosts, err = Hosts(c); err != nil {
		return err
	}
	c.ResolvConf = resolvConf(c)
	return nil
}

// Hosts is what /etc/hosts is to say in a container (hosts(5)); a zero Connection has no address.
func Hosts(c *Connection) (string, error) {
	var text strings.Builder
	text.WriteString("127.0.0.1\tlocalhost\n")
	text.WriteString("::1\tlocalhost ip6-localhost ip6-loopback\n")
	text.WriteString("fe00::\tip6-localnet\nff00::\tip6-mcastprefix\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n")
	for _, extra := range c.ExtraHosts {
		name, address := extra, ""
		if at := strings.IndexAny(extra, ":="); at >= 0 { // newer Dockers have =
			name, address = extra[:at], extra[at+1:]
		}
		if address == "host-gateway" && c.Gateway.IsValid() {
			address = c.Gateway.String()
		}
		ip, err := netip.ParseAddr(strings.Trim(address, "[]"))
		if name == "" || strings.ContainsAny(name, " \t\n#") || err != nil {
			return "", fmt.Errorf("host %q: want NAME:ADDRESS, or NAME:host-gateway on a network", extra)
		}
		fmt.Fprintf(&text, "%s\t%s\n", ip, name)
	}
	for _, prefix := range []netip.Prefix{c.IPv4, c.IPv6} {
		names := strings.Join(slices.DeleteFunc([]string{c.Hostname, c.Name}, func(s string) bool { return s == "" }), " ")
		if prefix.IsValid() && names != "" {
			fmt.Fprintf(&text, "%s\t%s\n", prefix.Addr(), names)
		}
	}
	return text.String(), nil
}

// resolvConf is what /etc/resolv.conf is to say in a container (resolv.conf(5)): ask the network's resolver, and
// search where the host does.
func resolvConf(c *Connection) string {
	host, _ := os.ReadFile("/etc/resolv.conf") // without one there is nothing to search
	_, search, options := ParseResolvConf(string(host))
	if len(c.DNSSearch) > 0 {
		search = slices.DeleteFunc(slices.Clone(c.DNSSearch), func(s string) bool { return s == "." })
	}
	if len(c.DNSOptions) > 0 {
		options = c.DNSOptions
	}
	options = slices.DeleteFunc(slices.Clone(options), func(s string) bool {
		return s == "trust-ad" || s == "use-vc" // between the host and its server
	})
	return resolvText([]string{c.Gateway.String()}, search, options)
}

// ResolvConf is what /etc/resolv.conf is to say in a container that asks its servers itself, as one in the host's
// network does; what is not given is the host's.
func ResolvConf(servers, search, options []string) string {
	host, _ := os.ReadFile("/etc/resolv.conf")
	if len(servers) == 0 && len(search) == 0 && len(options) == 0 {
		return string(host)
	}
	hostServers, hostSearch, hostOptions := ParseResolvConf(string(host))
	if len(servers) == 0 {
		servers = hostServers
	}
	if len(search) == 0 {
		search = hostSearch
	}
	if len(options) == 0 {
		options = hostOptions
	}
	return resolvText(servers, search, options)
}

func resolvText(servers, search, options []string) string {
	var text strings.Builder
	for _, server := range servers {
		fmt.Fprintf(&text, "nameserver %s\n", server)
	}
	if len(search) > 0 {
		fmt.Fprintf(&text, "search %s\n", strings.Join(search, " "))
	}
	if len(options) > 0 {
		fmt.Fprintf(&text, "options %s\n", strings.Join(options, " "))
	}
	return text.String()
}

// ParseResolvConf reads a resolv.conf(5); what it does not know it passes over.
func ParseResolvConf(text string) (servers, search, options []string) {
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) < 2 {
			continue
		}
		switch words[0] {
		case "nameserver":
			servers = append(servers, words[1])
		case "domain", "search": // the last of them counts
			search = words[1:]
		case "options":
			options = append(options, words[1:]...)
		}
	}
	return servers, search, options
}
