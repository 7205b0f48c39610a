//go:build linux && !engine

package main

import (
	"github.com/spf13/cobra"

	"github.com/simple-container/simple-container/final/internal/engine"
)

func rmCommand(s *session) *cobra.Command {
	var o engine.RemoveOptions
	command := &cobra.Command{
		Use:   "rm CONTAINER...",
		Short: "Remove containers",
		Args:  someContainers,
		RunE: func(_ *cobra.Command, args []string) error {
			return s.eachContainer(args, func(c *engine.Container) error { return c.Remove(o) })
		},
	}
	command.Flags().BoolVarP(&o.Force, "force", "f", false, "kill those that run")
	command.Flags().BoolVarP(&o.Volumes, "volumes", "v", false, "remove the volumes too that were made for them alone")
	complete(command, completeContainers(s))
	return command
}
