//go:build linux && !engine

package main

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/simple-container/simple-container/final/internal/network"
)

// networkCommand has the verbs for networks.
func networkCommand(s *session) *cobra.Command {
	command := &cobra.Command{
		Use:   "network",
		Short: "Create, list, inspect and remove networks",
		Long: `Create, list, inspect and remove networks. Containers on one network reach each other, by name too; those on
different ones do not. A network that nobody creates is "bridge", where all are that name none.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("network %s: want create, ls, inspect or rm", args[0])
			}
			return nil
		},
		RunE: func(command *cobra.Command, _ []string) error { return command.Help() },
	}
	command.AddCommand(networkCreateCommand(s), networkListCommand(s), networkInspectCommand(s), networkRemoveCommand(s))
	return command
}

// A networkWish is what the flags of create say.
type networkWish struct {
	subnets, gateways, labels []string
	driver                    string
	noIPv6, internal          bool
	mtu                       int
}

func networkCreateCommand(s *session) *cobra.Command {
	var f networkWish
	command := &cobra.Command{
		Use:   "create NAME",
		Short: "Create a network, and print its name",
		Args:  arguments(1, 1),
		RunE: func(command *cobra.Command, args []string) error {
			n, err := f.network(args[0])
			if err != nil {
				return err
			}
			if _, err = s.engine().Networks().Create(n); err != nil {
				return err
			}
			fmt.Fprintln(command.OutOrStdout(), n.Name)
			return nil
		},
	}
	flags := command.Flags()
	flags.StringArrayVar(&f.subnets, "subnet", nil, "its addresses, as 10.1.2.0/24; once for IPv4, once for IPv6 (default what is free)")
	flags.StringArrayVar(&f.gateways, "gateway", nil, "the host's address on it (default the first one)")
	flags.BoolVar(&f.noIPv6, "no-ipv6", false, "no IPv6")
	flags.Bool("ipv6", true, "accepted, as Docker's: it is so where the host has IPv6")
	flags.BoolVar(&f.internal, "internal", false, "no way out of it, nor in")
	flags.StringArrayVarP(&f.labels, "label", "l", nil, "label NAME=VALUE")
	flags.IntVar(&f.mtu, "mtu", 0, "largest packet (default the uplink's)")
	flags.StringVarP(&f.driver, "driver", "d", "bridge", "accepted, as Docker's: only bridge")
	return command
}

// network reads the flags.
func (f *networkWish) network(name string) (n network.Network, err error) {
	if f.driver != "bridge" {
		return n, fmt.Errorf("--driver %q: want bridge: there is no other", f.driver)
	}
	n = network.Network{Name: name, NoIPv6: f.noIPv6, Internal: f.internal, MTU: f.mtu, Labels: map[string]string{}}
	if f.mtu != 0 && (f.mtu < 1280 || f.mtu > 65535) {
		return n, fmt.Errorf("--mtu %d: want 1280 to 65535", f.mtu)
	}
	for _, text := range f.subnets {
		subnet, err := netip.ParsePrefix(text)
		if err != nil {
			return n, fmt.Errorf("--subnet %q: want addresses and a length, as 10.1.2.0/24", text)
		}
		if subnet.Addr().Is4() {
			n.Subnet = subnet
		} else {
			n.Subnet6 = subnet
		}
	}
	for _, text := range f.gateways {
		gateway, err := netip.ParseAddr(text)
		if err != nil {
			return n, fmt.Errorf("--gateway %q: want an address", text)
		}
		if gateway.Is4() {
			n.Gateway = gateway
		} else {
			n.Gateway6 = gateway
		}
	}
	for _, label := range f.labels {
		name, value, _ := strings.Cut(label, "=")
		n.Labels[name] = value
	}
	return n, nil
}

// A networkRow is a line of ls. The names are those of Docker's templates, as far as it has them.
type networkRow struct {
	Name, Driver, Scope, Bridge, Subnet, Subnet6, Labels string
	Internal                                             bool
}

var networkColumns = []column[networkRow]{
	{"NAME", func(r networkRow) string { return r.Name }},
	{"BRIDGE", func(r networkRow) string { return orDash(r.Bridge) }},
	{"SUBNET", func(r networkRow) string { return orDash(r.Subnet) }},
	{"SUBNET6", func(r networkRow) string { return orDash(r.Subnet6) }},
	{"INTERNAL", func(r networkRow) string { return strconv.FormatBool(r.Internal) }},
}

func networkListCommand(s *session) *cobra.Command {
	var quiet bool
	var format string
	command := &cobra.Command{
		Use: "ls", Aliases: []string{"list"},
		Short: "List networks",
		Args:  noArguments,
		RunE: func(*cobra.Command, []string) error {
			list, err := s.engine().Networks().List()
			if err != nil {
				return err
			}
			var rows []networkRow
			for _, n := range list {
				rows = append(rows, networkRow{
					n.Name, "bridge", "local", n.Bridge, prefixText(n.Subnet), prefixText(n.Subnet6), joinLabels(n.Labels), n.Internal,
				})
			}
			if quiet {
				format = "{{.Name}}"
			}
			return printRows(format, networkColumns, rows)
		},
	}
	command.Flags().BoolVarP(&quiet, "quiet", "q", false, "only the names")
	command.Flags().StringVar(&format, "format", "", "table, json, or a template of Go, as {{.Name}}")
	return command
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

func prefixText(p netip.Prefix) string {
	if !p.IsValid() {
		return ""
	}
	return p.String()
}

// An inspectedNetwork is a network with who is connected.
type inspectedNetwork struct {
	network.Network
	Containers []connectedContainer `json:"containers"`
}

type connectedContainer struct {
	ID   string       `json:"id"`
	Name string       `json:"name"`
	MAC  string       `json:"mac"`
	Link string       `json:"link"`
	IPv4 netip.Prefix `json:"ipv4"`
	IPv6 netip.Prefix `json:"ipv6,omitzero"`
}

func networkInspectCommand(s *session) *cobra.Command {
	var format string
	command := &cobra.Command{
		Use:   "inspect NETWORK...",
		Short: "Say all there is to say of networks, in JSON",
		Args:  arguments(1, -1),
		RunE: func(_ *cobra.Command, args []string) error {
			host := s.engine().Networks()
			var found []any
			var errs []error
			for _, name := range args {
				n, err := host.Inspect(name)
				if err == nil {
					var with inspectedNetwork
					with, err = inspectNetwork(host, n)
					found = append(found, with)
				}
				errs = append(errs, err)
			}
			return errors.Join(append([]error{printInspected(format, found)}, errs...)...)
		},
	}
	command.Flags().StringVarP(&format, "format", "f", "", "json, or a template of Go, as {{.Subnet}}")
	complete(command, completeNetworks(s))
	return command
}

func inspectNetwork(host *network.Host, n *network.Network) (inspectedNetwork, error) {
	connections, err := host.Connections(n.Name)
	with := inspectedNetwork{*n, []connectedContainer{}}
	for _, c := range connections {
		with.Containers = append(with.Containers, connectedContainer{c.ID, c.Name, c.MAC, c.Link, c.IPv4, c.IPv6})
	}
	slices.SortFunc(with.Containers, func(a, b connectedContainer) int { return a.IPv4.Addr().Compare(b.IPv4.Addr()) })
	return with, err
}

func networkRemoveCommand(s *session) *cobra.Command {
	command := &cobra.Command{
		Use: "rm NETWORK...", Aliases: []string{"remove"},
		Short: "Remove networks that nobody is connected to, and print their names",
		Args:  arguments(1, -1),
		RunE: func(command *cobra.Command, args []string) error {
			var errs []error
			for _, name := range args {
				err := s.engine().Networks().Remove(name)
				if err == nil {
					fmt.Fprintln(command.OutOrStdout(), name)
				}
				errs = append(errs, err)
			}
			return errors.Join(errs...)
		},
	}
	complete(command, completeNetworks(s))
	return command
}
