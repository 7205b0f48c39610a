//go:build linux && !engine

package main

import (
	"fmt"
	"net/netip"
	"os"

	"github.com/spf13/pflag"

	"github.com/simple-container/simple-container/final/internal/engine"
	"github.com/simple-container/simple-container/final/internal/network"
)

// connectionFlags say how a container is connected, beside --network.
type connectionFlags struct {
	c              engine.Wishes
	ports          []string
	address, addr6 string
}

func (f *connectionFlags) add(flags *pflag.FlagSet) {
	flags.StringArrayVarP(&f.ports, "publish", "p", nil, "port of the host that is one of its own: [[ADDRESS:]PORT:]PORT[/udp]")
	flags.BoolVarP(&f.c.PublishAll, "publish-all", "P", false, "each port that the image names, at a free one of the host")
	flags.StringVar(&f.address, "ip", "", "its IPv4 address (default one that is free)")
	flags.StringVar(&f.addr6, "ip6", "", "its IPv6 address")
	flags.StringVar(&f.c.MAC, "mac-address", "", "its hardware address")
	flags.StringArrayVar(&f.c.Aliases, "network-alias", nil, "further name that others on the network know it by")
	flags.StringArrayVar(&f.c.ExtraHosts, "add-host", nil, "NAME:ADDRESS for its /etc/hosts; NAME:host-gateway is this machine")
	flags.StringArrayVar(&f.c.DNS, "dns", nil, "address of a name server, in place of the host's")
	flags.StringArrayVar(&f.c.DNSSearch, "dns-search", nil, "domain to search names in, in place of the host's; . for none")
	flags.StringArrayVar(&f.c.DNSOptions, "dns-option", nil, "option of resolv.conf, in place of the host's")
}

func (f *connectionFlags) options(o *engine.CreateOptions) (err error) {
	for _, text := range f.ports {
		ports, err := network.ParsePort(text)
		if err != nil {
			return fmt.Errorf("--publish: %w", err)
		}
		f.c.Ports = append(f.c.Ports, ports...)
	}
	for _, set := range []struct {
		flag, text string
		to         *netip.Addr
	}{{"ip", f.address, &f.c.Address}, {"ip6", f.addr6, &f.c.Address6}} {
		if set.text == "" {
			continue
		}
		if *set.to, err = netip.ParseAddr(set.text); err != nil {
			return fmt.Errorf("--%s %q: want an address", set.flag, set.text)
		}
	}
	if o.Options.Network == "host" && len(f.c.Ports) > 0 {
		fmt.Fprintln(os.Stderr, "final: warning: --publish: not with --network host: what the container listens on is the host's already")
	}
	o.Wishes = f.c
	return nil
}
