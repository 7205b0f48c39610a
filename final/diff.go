//go:build linux && !engine

package main

import (
	"fmt"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

func diffCommand(s *session) *cobra.Command {
	command := &cobra.Command{
		Use:   "diff CONTAINER",
		Short: "List the files that a container has added (A), changed (C) and deleted (D)",
		Args:  oneContainer,
		RunE: func(_ *cobra.Command, args []string) error {
			c, err := s.engine().Find(args[0])
			if err != nil {
				return err
			}
			changes, err := c.Changes()
			show := func(name string) string { return name }
			if term.IsTerminal(1) { // as ls does it
				show = visible
			}
			for _, change := range changes {
				fmt.Printf("%c %s\n", change.Kind, show(change.Path))
			}
			return err
		},
	}
	complete(command, once(completeContainers(s)))
	return command
}
