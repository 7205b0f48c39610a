//go:build linux && !engine

package main

import (
	"fmt"
	"os"
	"slices"

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
			if o.Force { // as Docker: what is not there need not be removed
				args = slices.DeleteFunc(args, func(name string) bool {
					_, err := s.engine().Find(name)
					if !engine.IsNotFound(err) {
						return false
					}
					fmt.Fprintln(os.Stderr, "final:", err)
					return true
				})
			}
			return s.eachContainer(args, func(c *engine.Container) error {
				err := c.Remove(o)
				if o.Force && engine.IsNotFound(err) { // somebody was faster
					return nil
				}
				return err
			})
		},
	}
	command.Flags().BoolVarP(&o.Force, "force", "f", false, "kill those that run")
	command.Flags().BoolVarP(&o.Volumes, "volumes", "v", false, "remove the volumes too that were made for them alone")
	complete(command, completeContainers(s))
	return command
}
