//go:build linux

package engine

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/simple-container/simple-container/final/internal/network"
	"github.com/simple-container/simple-container/final/internal/ocispec"
)

// Wishes are what a person wants of the container's connection, beside the network that it is to.
type Wishes struct {
	Ports             []network.Port
	PublishAll        bool // the ports that the image names, too
	Address, Address6 netip.Addr
	MAC               string
	Aliases           []string
	DNS               []string
	DNSSearch         []string
	DNSOptions        []string
	ExtraHosts        []string
}

// Network is the name of the one that the container is in; or none, host, or container:NAME.
func (c *Container) Network() string {
	if c.Options.Network == "" || c.Options.Network == "default" {
		return network.Default
	}
	return c.Options.Network
}

// isConnected tells whether the container has a network of its own that leads somewhere.
func (c *Container) isConnected() bool {
	_, other := ocispec.Other(c.Network())
	return c.Network() != "none" && c.Network() != "host" && !other
}

// Networks are those that containers can be connected to.
func (e *Engine) Networks() *network.Host {
	return &network.Host{Door: e.Door, Dir: filepath.Join(e.Root, "networks")}
}

// checkConnection refuses what a container without a connection cannot have.
func (c *Container) checkConnection() error {
	if c.isConnected() {
		_, err := c.engine.Networks().Inspect(c.Network())
		return err
	}
	w := c.Wishes
	for flag, wanted := range map[string]bool{
		"publish": len(w.Ports) > 0, "publish-all": w.PublishAll, "ip": w.Address.IsValid(), "ip6": w.Address6.IsValid(),
		"mac-address": w.MAC != "", "network-alias": len(w.Aliases) > 0,
	} {
		if wanted && c.Network() != "none" && !strings.HasPrefix(flag, "publish") || wanted && c.Network() == "none" {
			return fmt.Errorf("--%s: not with --network %s, which gives it no connection of its own", flag, c.Network())
		}
	}
	return nil
}

// endpoint is what is asked of package network.
func (c *Container) endpoint(namespace, hostname string) (network.Endpoint, error) {
	w := c.Wishes
	e := network.Endpoint{
		ID: c.ID, Name: c.Name, Hostname: hostname, Aliases: w.Aliases, Network: c.Network(), Namespace: namespace,
		Address: w.Address, Address6: w.Address6, MAC: w.MAC, Ports: w.Ports,
		DNS: w.DNS, DNSSearch: w.DNSSearch, DNSOptions: w.DNSOptions, ExtraHosts: w.ExtraHosts,
	}
	if !w.PublishAll {
		return e, nil
	}
	for _, exposed := range c.Config.ExposedPorts {
		ports, err := network.ParsePort(exposed)
		if err != nil {
			return e, fmt.Errorf("the image's port %s: %w", exposed, err)
		}
		e.Ports = append(e.Ports, ports...)
	}
	return e, nil
}

// connect gives a container that has been created, and not started, its network. pid is its first process.
func (c *Container) connect(pid int, host ocispec.Host) error {
	if !c.isConnected() {
		return nil
	}
	e, err := c.endpoint(fmt.Sprintf("/proc/%d/ns/net", pid), c.Options.HostnameOf(c.ID, host))
	if err != nil {
		return err
	}
	connection, err := c.engine.Networks().Connect(e)
	if err != nil {
		return fmt.Errorf("network %s: %w", c.Network(), err)
	}
	c.State.Connection = connection
	for name, text := range map[string]string{"hosts": connection.Hosts, "resolv.conf": connection.ResolvConf} {
		if err := os.WriteFile(c.path(name), []byte(text), 0o644); err != nil { // mounted by now: the file must stay the same one
			return err
		}
	}
	return nil
}

// disconnect takes it away. Whoever was killed while it made the connection may have left a network that nobody is
// on.
func (c *Container) disconnect() error {
	if !c.isConnected() {
		return nil
	}
	networks := c.engine.Networks()
	err := networks.Disconnect(c.ID)
	if c.State.Status == Starting {
		err = errors.Join(err, networks.Clean(false, func(string, string) {}))
	}
	return err
}

// PortList are the container's ports that are reached at the host.
func (c *Container) PortList() []network.Port {
	if c.State.Connection == nil || !c.State.active() {
		return nil
	}
	return c.State.Connection.Ports
}

// Ports are those as people read them.
func (c *Container) Ports() (list []string) {
	for _, port := range c.PortList() {
		list = append(list, port.String())
	}
	return list
}

// A binding is a port of the host in Docker's JSON.
type binding struct{ HostIp, HostPort string }

func bindings(ports []network.Port) map[string][]binding {
	all := map[string][]binding{}
	for _, port := range ports {
		b := binding{HostPort: fmt.Sprint(port.HostPort)}
		if port.Address.IsValid() {
			b.HostIp = port.Address.String()
		}
		all[port.Exposed()] = append(all[port.Exposed()], b)
	}
	return all
}

// InspectedNetwork is the container's network in Docker's JSON.
type InspectedNetwork struct {
	IPAddress, Gateway, MacAddress string
	IPPrefixLen                    int
	GlobalIPv6Address, IPv6Gateway string
	GlobalIPv6PrefixLen            int
	Bridge                         string                      `json:",omitempty"`
	Ports                          map[string][]binding        `json:",omitempty"`
	Networks                       map[string]InspectedNetwork `json:",omitempty"`
	Aliases                        []string                    `json:",omitempty"`
}

func (c *Container) networkSettings() InspectedNetwork {
	one := InspectedNetwork{Aliases: c.Wishes.Aliases}
	if connection := c.State.Connection; connection != nil && c.State.active() {
		one.IPAddress, one.IPPrefixLen = address(connection.IPv4)
		one.GlobalIPv6Address, one.GlobalIPv6PrefixLen = address(connection.IPv6)
		one.MacAddress, one.Gateway = connection.MAC, connection.Gateway.String()
		if connection.Gateway6.IsValid() {
			one.IPv6Gateway = connection.Gateway6.String()
		}
	}
	all := one
	all.Aliases, all.Networks = nil, map[string]InspectedNetwork{c.Network(): one}
	if connection := c.State.Connection; connection != nil && c.State.active() {
		all.Bridge, all.Ports = connection.Bridge, bindings(connection.Ports)
	}
	return all
}

func address(p netip.Prefix) (string, int) {
	if !p.IsValid() {
		return "", 0
	}
	return p.Addr().String(), p.Bits()
}
