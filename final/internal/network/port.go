//go:build linux

package network

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// A Port is one of a container's that is reached at the host.
type Port struct {
	Address  netip.Addr `json:"address,omitzero"`   // of the host; zero: all of them, IPv4 and IPv6
	HostPort uint16     `json:"host_port"`          // 0: one that is free
	HostLast uint16     `json:"host_last,omitzero"` // the first free one from HostPort to this; 0: only HostPort
	Port     uint16     `json:"port"`               // the container's
	Protocol string     `json:"protocol"`           // tcp, udp or sctp
}

// protocols are those that have ports, by their numbers (RFC 790).
var protocols = map[string]byte{"tcp": 6, "udp": 17, "sctp": 132}

// String is how people read it: 0.0.0.0:8080->80/tcp.
func (p Port) String() string {
	return p.Published() + "->" + p.Exposed()
}

// Published is the host's side: 0.0.0.0:8080.
func (p Port) Published() string {
	address := p.Address
	if !address.IsValid() {
		address = netip.IPv4Unspecified()
	}
	return netip.AddrPortFrom(address, p.HostPort).String()
}

// Exposed is the container's side: 80/tcp.
func (p Port) Exposed() string { return strconv.Itoa(int(p.Port)) + "/" + p.Protocol }

// ParsePort reads what -p is given, in Docker's words: [[ADDRESS:][PORT]:]PORT[/PROTOCOL], where a PORT may be a range.
//
//	80                      the container's port 80, at any free port of the host
//	8080:80                 at port 8080, on all addresses
//	127.0.0.1:8080:80/udp   on that one only
//	[::1]::80               an IPv6 address in brackets; any free port
//	8000-8009:80-89         one by one
//	8000-8009:80            the first of these that is free
func ParsePort(text string) ([]Port, error) {
	bad := func(why string, values ...any) ([]Port, error) {
		return nil, fmt.Errorf("port %q: %s: want [[ADDRESS:]PORT:]PORT[/tcp|udp|sctp]", text, fmt.Sprintf(why, values...))
	}
	rest, protocol, found := strings.Cut(text, "/")
	if !found {
		protocol = "tcp"
	}
	protocol = strings.ToLower(protocol)
	if protocols[protocol] == 0 {
		return bad("protocol %q", protocol)
	}
	address, host, container, err := splitPort(rest)
	if err != nil {
		return bad("%v", err)
	}
	first, last, err := parseRange(container)
	if err != nil {
		return bad("%v", err)
	}
	if host == "" {
		return ports(address, 0, 0, first, last, protocol), nil
	}
	hostFirst, hostLast, err := parseRange(host)
	switch {
	case err != nil:
		return bad("%v", err)
	case first == last && hostFirst != hostLast:
		return []Port{{address, hostFirst, hostLast, first, protocol}}, nil
	case hostLast-hostFirst != last-first:
		return bad("the ranges %s and %s differ in length", host, container)
	}
	return ports(address, hostFirst, 1, first, last, protocol), nil
}

// ports lists a range; step is 0 where the host's ports are any.
func ports(address netip.Addr, host, step, first, last uint16, protocol string) (list []Port) {
	for i := range int(last-first) + 1 {
		list = append(list, Port{Address: address, HostPort: host + step*uint16(i), Port: first + uint16(i), Protocol: protocol})
	}
	return list
}

// splitPort takes ADDRESS:PORT:PORT apart.
func splitPort(text string) (address netip.Addr, host, container string, err error) {
	at := strings.LastIndex(text, ":")
	container = text[at+1:]
	if at < 0 {
		return address, "", container, nil
	}
	text = text[:at]
	at = strings.LastIndex(text, ":")
	host = text[at+1:]
	if at < 0 {
		return address, host, container, nil
	}
	text = text[:at]
	if inner, ok := strings.CutPrefix(text, "["); ok && strings.HasSuffix(inner, "]") {
		text = strings.TrimSuffix(inner, "]")
	}
	if text == "" {
		return address, host, container, nil
	}
	address, err = netip.ParseAddr(text)
	if err != nil || address.Zone() != "" {
		return address, "", "", fmt.Errorf("address %q", text)
	}
	return address.Unmap(), host, container, nil
}

func parseRange(text string) (first, last uint16, err error) {
	from, to, found := strings.Cut(text, "-")
	if !found {
		to = from
	}
	a, errA := strconv.ParseUint(from, 10, 16)
	b, errB := strconv.ParseUint(to, 10, 16)
	if errA != nil || errB != nil || a == 0 || b < a {
		return 0, 0, fmt.Errorf("%q is no port, nor a range of them", text)
	}
	return uint16(a), uint16(b), nil
}

// families are the kinds of address that a port is published on: 4, 6, or both.
func (p Port) families() []int {
	switch {
	case !p.Address.IsValid():
		return []int{4, 6}
	case p.Address.Is4():
		return []int{4}
	}
	return []int{6}
}

// SortPorts is the order in which people look for them.
func SortPorts(list []Port) []Port {
	return slices.SortedFunc(slices.Values(list), func(a, b Port) int {
		return cmp.Or(cmp.Compare(a.Port, b.Port), strings.Compare(a.Protocol, b.Protocol), cmp.Compare(a.HostPort, b.HostPort))
	})
}
