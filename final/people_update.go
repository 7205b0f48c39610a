//go:build linux && !engine

package main

import (
	"errors"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/simple-container/simple-container/final/internal/engine"
)

// updateFlags are those of update.
type updateFlags struct{ resourceFlags }

func (f *updateFlags) add(flags *pflag.FlagSet) { f.resourceFlags.add(flags) }

func updateCommand(s *session) *cobra.Command {
	var f updateFlags
	command := &cobra.Command{
		Use:   "update CONTAINER...",
		Short: "Change the limits of containers; those that are not named stay",
		Args:  someContainers,
		RunE: func(command *cobra.Command, args []string) error {
			if command.Flags().NFlag() == 0 {
				return errors.New("update: want a limit to change, as --memory 64m (see final update --help)")
			}
			resources, err := f.resources()
			if err != nil {
				return err
			}
			return s.eachContainer(args, func(c *engine.Container) error { return c.Update(resources) })
		},
	}
	f.add(command.Flags())
	complete(command, completeContainers(s))
	return command
}
