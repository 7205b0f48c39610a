//go:build linux && !engine

package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/simple-container/simple-container/final/internal/engine"
)

func topCommand(s *session) *cobra.Command {
	command := &cobra.Command{
		Use:   "top CONTAINER [OPTION...]",
		Short: "List the processes of a container, as the host numbers them, by ps(1) with the options",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return fmt.Errorf("top: want: final top CONTAINER [OPTION...]")
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			c, err := s.engine().Find(args[0])
			if err != nil {
				return err
			}
			if c.State.Status != engine.Running && c.State.Status != engine.Paused {
				return fmt.Errorf("container %s: %w", c.Name, engine.ErrNotRunning)
			}
			pids, err := c.Pids()
			if err != nil {
				return err
			}
			return printProcesses(pids, args[1:])
		},
	}
	command.Flags().SetInterspersed(false)
	complete(command, completeContainers(s))
	return command
}
