//go:build linux && !engine

package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/simple-container/simple-container/final/internal/engine"
	"github.com/simple-container/simple-container/final/internal/network"
)

// portCommand says where a container's ports are reached, a line each: 80/tcp -> 0.0.0.0:8080.
func portCommand(s *session) *cobra.Command {
	command := &cobra.Command{
		Use:   "port CONTAINER [PORT[/PROTOCOL]]",
		Short: "Say where a container's ports are reached at the host",
		Args:  arguments(1, 2),
		RunE: func(command *cobra.Command, args []string) error {
			c, err := s.engine().Find(args[0])
			if err != nil {
				return err
			}
			ports := network.SortPorts(c.PortList())
			if len(args) == 1 {
				for _, p := range ports {
					fmt.Fprintln(command.OutOrStdout(), p.Exposed(), "->", p.Published())
				}
				return nil
			}
			return printPort(command, c, ports, args[1])
		},
	}
	complete(command, once(completeContainers(s)))
	return command
}

// printPort says where one port is reached.
func printPort(command *cobra.Command, c *engine.Container, ports []network.Port, asked string) error {
	if !strings.Contains(asked, "/") {
		asked += "/tcp"
	}
	ports = slices.DeleteFunc(ports, func(p network.Port) bool { return p.Exposed() != asked })
	if len(ports) == 0 {
		return fmt.Errorf("port %s of container %s is not published: see final port %s", asked, c.Name, c.Name)
	}
	for _, p := range ports {
		fmt.Fprintln(command.OutOrStdout(), p.Published())
	}
	return nil
}
