//go:build linux && !engine

package main

import (
	"fmt"

	"github.com/spf13/cobra"
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
			for _, change := range changes {
				fmt.Printf("%c %s\n", change.Kind, change.Path)
			}
			return err
		},
	}
	complete(command, completeContainers(s))
	return command
}
