//go:build linux

package lab

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// ipVerbs are what `ip` can do, by object and verb; the first of an object is the default.
var ipVerbs = []struct {
	object, verb, usage string
	run                 func(c *call, brief bool, args []string) error
}{
	{"address", "show", "[dev] LINK", ipAddressShow},
	{"address", "add", "ADDRESS/BITS dev LINK", ipAddressAdd},
	{"address", "delete", "ADDRESS/BITS dev LINK", ipAddressDelete},
	{"link", "show", "[dev] LINK", ipLinkShow},
	{"link", "set", "[dev] LINK [up|down] [name N] [mtu N] [netns PID] [master LINK] [address MAC]", ipLinkSet},
	{"link", "add", "NAME type dummy|bridge|veth [peer name PEER]", ipLinkAdd},
	{"link", "delete", "[dev] LINK", ipLinkDelete},
	{"route", "show", "", ipRouteShow},
	{"route", "add", "default|NETWORK [via ADDRESS] [dev LINK]", ipRouteAdd},
	{"route", "delete", "default|NETWORK", ipRouteDelete},
	{"neighbour", "show", "", ipNeighbourShow},
}

func runIP(c *call) error {
	args, brief := c.args, false
	for len(args) > 0 && strings.HasPrefix(args[0], "-") {
		switch args[0] {
		case "-br", "-brief":
			brief = true
		case "-4", "-6", "-o", "-c", "-color", "-d", "-s": // the output has it all in few lines anyway
		default:
			return usagef("unrecognized option '%s'", args[0])
		}
		args = args[1:]
	}
	if len(args) == 0 {
		return usagef("usage: ip [-br] address|link|route|neighbour [show|add|delete|set] ...")
	}
	object, rest, verb := args[0], args[1:], ""
	if len(rest) > 0 {
		verb = rest[0]
		if verb == "list" || verb == "ls" {
			verb = "show"
		}
	}
	var usage []string
	for _, v := range ipVerbs {
		// Every word may be shortened: `ip a`, `ip r add`.
		if !strings.HasPrefix(v.object, object) && !(object == "addr" && v.object == "address") {
			continue
		}
		if verb == "" || strings.HasPrefix(v.verb, verb) {
			return v.run(c, brief, rest[min(1, len(rest)):])
		}
		usage = append(usage, fmt.Sprintf("ip %s %s %s", v.object, v.verb, v.usage))
	}
	if usage == nil {
		return usagef("%q is not an object: address, link, route or neighbour", object)
	}
	return usagef("%q is no verb of it:\n  %s", verb, strings.Join(usage, "\n  "))
}

// words turns "dev eth0 via 10.0.0.1" into a map; operands without a key go to rest.
func words(args []string, keys ...string) (values map[string]string, rest []string, err error) {
	values = map[string]string{}
	for len(args) > 0 {
		if !slices.Contains(keys, args[0]) {
			rest = append(rest, args[0])
			args = args[1:]
			continue
		}
		if len(args) < 2 {
			return nil, nil, usagef("%s needs a value", args[0])
		}
		values[args[0]] = args[1]
		args = args[2:]
	}
	return values, rest, nil
}

// chosenLinks are all links, or the one named by args.
func chosenLinks(args []string) ([]netlink.Link, error) {
	values, rest, err := words(args, "dev")
	if err != nil {
		return nil, err
	}
	name := values["dev"]
	if name == "" && len(rest) > 0 {
		name = rest[0]
	}
	if name != "" {
		link, err := linkNamed(name)
		return []netlink.Link{link}, err
	}
	return retryDump(netlink.LinkList)
}

// retryDump repeats a netlink dump that a change interrupted (netlink(7), NLM_F_DUMP_INTR).
func retryDump[T any](dump func() ([]T, error)) (all []T, err error) {
	for range 5 {
		if all, err = dump(); !errors.Is(err, netlink.ErrDumpInterrupted) {
			return all, err
		}
	}
	return all, err
}

func linkNamed(name string) (netlink.Link, error) {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return nil, fmt.Errorf("device %q: %w", name, err)
	}
	return link, nil
}

func ipAddressShow(c *call, brief bool, args []string) error {
	links, err := chosenLinks(args)
	if err != nil {
		return err
	}
	for _, link := range links {
		addresses, err := retryDump(func() ([]netlink.Addr, error) { return netlink.AddrList(link, netlink.FAMILY_ALL) })
		if err != nil {
			return fmt.Errorf("addresses of %s: %w", link.Attrs().Name, err)
		}
		if brief {
			var shown []string
			for _, a := range addresses {
				shown = append(shown, a.IPNet.String())
			}
			c.printf("%-16s %-14s %s\n", linkName(link), linkState(link), strings.Join(shown, " "))
			continue
		}
		printLink(c, link)
		for _, a := range addresses {
			family := "inet"
			if a.IP.To4() == nil {
				family = "inet6"
			}
			extra := ""
			if a.Broadcast != nil {
				extra = " brd " + a.Broadcast.String()
			}
			c.printf("    %s %s%s scope %s %s\n", family, a.IPNet, extra, netlink.Scope(a.Scope), link.Attrs().Name)
		}
	}
	return nil
}

// linkName adds where the other end of a veth pair is: eth0@if7.
func linkName(link netlink.Link) string {
	a := link.Attrs()
	if a.ParentIndex == 0 {
		return a.Name
	}
	if peer, err := netlink.LinkByIndex(a.ParentIndex); err == nil && a.NetNsID < 0 {
		return a.Name + "@" + peer.Attrs().Name
	}
	return fmt.Sprintf("%s@if%d", a.Name, a.ParentIndex)
}

func linkState(link netlink.Link) string { return strings.ToUpper(link.Attrs().OperState.String()) }

func printLink(c *call, link netlink.Link) {
	a := link.Attrs()
	c.printf("%d: %s: <%s> mtu %d state %s qlen %d\n    link/%s %s", a.Index, linkName(link), linkFlags(a.RawFlags), a.MTU,
		linkState(link), max(a.TxQLen, 0), a.EncapType, a.HardwareAddr)
	if a.Alias != "" {
		c.printf("\n    alias %s", a.Alias)
	}
	c.println()
}

func linkFlags(raw uint32) string {
	var on []string
	for _, f := range []struct {
		bit  uint32
		name string
	}{{unix.IFF_LOOPBACK, "LOOPBACK"}, {unix.IFF_BROADCAST, "BROADCAST"}, {unix.IFF_MULTICAST, "MULTICAST"},
		{unix.IFF_POINTOPOINT, "POINTOPOINT"}, {unix.IFF_NOARP, "NOARP"}, {unix.IFF_UP, "UP"}, {unix.IFF_LOWER_UP, "LOWER_UP"}} {
		if raw&f.bit != 0 {
			on = append(on, f.name)
		}
	}
	return strings.Join(on, ",")
}

func parseAddress(args []string) (netlink.Link, *netlink.Addr, error) {
	values, rest, err := words(args, "dev", "brd", "broadcast", "scope")
	if err != nil {
		return nil, nil, err
	}
	if len(rest) != 1 || values["dev"] == "" {
		return nil, nil, usagef("usage: ip address add|delete ADDRESS/BITS dev LINK")
	}
	text := rest[0]
	if !strings.Contains(text, "/") {
		text += "/32"
	}
	address, err := netlink.ParseAddr(text)
	if err != nil {
		return nil, nil, usagef("%q is not an address: %v", rest[0], err)
	}
	link, err := linkNamed(values["dev"])
	return link, address, err
}

func ipAddressAdd(_ *call, _ bool, args []string) error {
	link, address, err := parseAddress(args)
	if err != nil {
		return err
	}
	if err := netlink.AddrAdd(link, address); err != nil {
		return fmt.Errorf("add %s to %s: %w", address.IPNet, link.Attrs().Name, err)
	}
	return nil
}

func ipAddressDelete(_ *call, _ bool, args []string) error {
	link, address, err := parseAddress(args)
	if err != nil {
		return err
	}
	if err := netlink.AddrDel(link, address); err != nil {
		return fmt.Errorf("delete %s from %s: %w", address.IPNet, link.Attrs().Name, err)
	}
	return nil
}

func ipLinkShow(c *call, brief bool, args []string) error {
	links, err := chosenLinks(args)
	if err != nil {
		return err
	}
	for _, link := range links {
		if brief {
			c.printf("%-16s %-14s %s <%s>\n", linkName(link), linkState(link), link.Attrs().HardwareAddr, linkFlags(link.Attrs().RawFlags))
			continue
		}
		printLink(c, link)
	}
	return nil
}

func ipLinkSet(_ *call, _ bool, args []string) error {
	values, rest, err := words(args, "dev", "name", "mtu", "netns", "master", "address", "alias")
	if err != nil {
		return err
	}
	if values["dev"] == "" {
		if len(rest) == 0 {
			return usagef("which link?")
		}
		values["dev"], rest = rest[0], rest[1:]
	}
	link, err := linkNamed(values["dev"])
	if err != nil {
		return err
	}
	for _, word := range rest {
		switch word {
		case "up":
			err = netlink.LinkSetUp(link)
		case "down":
			err = netlink.LinkSetDown(link)
		case "nomaster":
			err = netlink.LinkSetNoMaster(link)
		default:
			return usagef("%q is not understood", word)
		}
		if err != nil {
			return fmt.Errorf("set %s %s: %w", values["dev"], word, err)
		}
	}
	delete(values, "dev")
	for _, key := range sortedKeys(values) {
		if err := setLink(link, key, values[key]); err != nil {
			return fmt.Errorf("set %s %s %s: %w", link.Attrs().Name, key, values[key], err)
		}
	}
	return nil
}

func setLink(link netlink.Link, key, value string) error {
	switch key {
	case "name":
		return netlink.LinkSetName(link, value)
	case "alias":
		return netlink.LinkSetAlias(link, value)
	case "address":
		mac, err := net.ParseMAC(value)
		if err != nil {
			return err
		}
		return netlink.LinkSetHardwareAddr(link, mac)
	case "master":
		master, err := linkNamed(value)
		if err != nil {
			return err
		}
		return netlink.LinkSetMaster(link, master)
	}
	n, err := strconv.Atoi(value)
	if err != nil {
		return fmt.Errorf("%q is not a number", value)
	}
	if key == "mtu" {
		return netlink.LinkSetMTU(link, n)
	}
	return netlink.LinkSetNsPid(link, n)
}

func ipLinkAdd(_ *call, _ bool, args []string) error {
	values, rest, err := words(args, "type", "name", "dev")
	if err != nil {
		return err
	}
	// `veth peer name p`: the second name is the peer's, and words keeps the last.
	at := slices.Index(args, "peer")
	peer := ""
	if at >= 0 {
		peer = args[len(args)-1]
		if values, rest, err = words(args[:at], "type", "name", "dev"); err != nil {
			return err
		}
	}
	name := values["name"] + values["dev"]
	if name == "" && len(rest) > 0 {
		name = rest[0]
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name = name
	links := map[string]netlink.Link{"dummy": &netlink.Dummy{LinkAttrs: attrs}, "bridge": &netlink.Bridge{LinkAttrs: attrs},
		"veth": &netlink.Veth{LinkAttrs: attrs, PeerName: peer}}
	link, ok := links[values["type"]]
	if !ok || name == "" {
		return usagef("usage: ip link add NAME type dummy|bridge|veth [peer name PEER]")
	}
	if err := netlink.LinkAdd(link); err != nil {
		return fmt.Errorf("add %s %s: %w", values["type"], name, err)
	}
	return nil
}

func ipLinkDelete(_ *call, _ bool, args []string) error {
	if len(args) == 0 {
		return usagef("which link?")
	}
	links, err := chosenLinks(args)
	if err != nil {
		return err
	}
	if err := netlink.LinkDel(links[0]); err != nil {
		return fmt.Errorf("delete %s: %w", links[0].Attrs().Name, err)
	}
	return nil
}

func ipRouteShow(c *call, _ bool, _ []string) error {
	routes, err := retryDump(func() ([]netlink.Route, error) { return netlink.RouteList(nil, netlink.FAMILY_V4) })
	if err != nil {
		return fmt.Errorf("routes: %w", err)
	}
	for _, r := range routes {
		line := "default"
		if r.Dst != nil && r.Dst.String() != "0.0.0.0/0" {
			line = r.Dst.String()
		}
		if r.Gw != nil {
			line += " via " + r.Gw.String()
		}
		if link, err := netlink.LinkByIndex(r.LinkIndex); err == nil {
			line += " dev " + link.Attrs().Name
		}
		if r.Scope == netlink.SCOPE_LINK {
			line += " scope link"
		}
		if r.Src != nil {
			line += " src " + r.Src.String()
		}
		if r.Priority != 0 {
			line += " metric " + strconv.Itoa(r.Priority)
		}
		c.println(line)
	}
	return nil
}

func parseRoute(args []string) (*netlink.Route, error) {
	values, rest, err := words(args, "via", "dev", "src", "metric")
	if err != nil {
		return nil, err
	}
	if len(rest) != 1 {
		return nil, usagef("usage: ip route add default|NETWORK [via ADDRESS] [dev LINK]")
	}
	route := &netlink.Route{}
	if rest[0] == "default" {
		rest[0] = "0.0.0.0/0"
	}
	if !strings.Contains(rest[0], "/") {
		rest[0] += "/32"
	}
	if _, route.Dst, err = net.ParseCIDR(rest[0]); err != nil {
		return nil, usagef("%v", err)
	}
	for key, into := range map[string]*net.IP{"via": &route.Gw, "src": &route.Src} {
		if text := values[key]; text != "" {
			if *into = net.ParseIP(text); *into == nil {
				return nil, usagef("%s %q is not an address", key, text)
			}
		}
	}
	if name := values["dev"]; name != "" {
		link, err := linkNamed(name)
		if err != nil {
			return nil, err
		}
		route.LinkIndex = link.Attrs().Index
	}
	if route.Gw == nil {
		route.Scope = netlink.SCOPE_LINK
	}
	return route, nil
}

func ipRouteAdd(_ *call, _ bool, args []string) error {
	route, err := parseRoute(args)
	if err != nil {
		return err
	}
	if err := netlink.RouteAdd(route); err != nil {
		return fmt.Errorf("add route %s: %w", strings.Join(args, " "), err)
	}
	return nil
}

func ipRouteDelete(_ *call, _ bool, args []string) error {
	route, err := parseRoute(args)
	if err != nil {
		return err
	}
	route.Scope = netlink.SCOPE_UNIVERSE
	if err := netlink.RouteDel(route); err != nil {
		return fmt.Errorf("delete route %s: %w", strings.Join(args, " "), err)
	}
	return nil
}

func ipNeighbourShow(c *call, _ bool, _ []string) error {
	all, err := retryDump(func() ([]netlink.Neigh, error) { return netlink.NeighList(0, netlink.FAMILY_ALL) })
	if err != nil {
		return fmt.Errorf("neighbours: %w", err)
	}
	for _, n := range all {
		if n.State == netlink.NUD_NOARP {
			continue
		}
		name := strconv.Itoa(n.LinkIndex)
		if link, err := netlink.LinkByIndex(n.LinkIndex); err == nil {
			name = link.Attrs().Name
		}
		c.printf("%s dev %s lladdr %s\n", n.IP, name, n.HardwareAddr)
	}
	return nil
}

// runIfconfig is here for those who type it by habit.
func runIfconfig(c *call) error {
	if len(c.args) > 1 {
		return fmt.Errorf("only lists; use ip address and ip link to change things")
	}
	return ipAddressShow(c, false, c.args)
}
