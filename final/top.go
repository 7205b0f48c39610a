//go:build linux && !engine

package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/simple-container/simple-container/final/internal/cgroup"
	"github.com/simple-container/simple-container/final/internal/engine"
)

func topCommand(s *session) *cobra.Command {
	command := &cobra.Command{
		Use:   "top [flags] CONTAINER [PS-OPTION...]",
		Short: "List the processes of a container, as the host numbers them",
		Long: `List the processes of a container, as the host numbers them.

The options are those of ps(1), -ef without any; the table that they ask for must have a column PID.`,
		Args: arguments(1, -1),
		RunE: func(_ *cobra.Command, args []string) error {
			targets, err := s.allTargets()
			if err != nil {
				return err
			}
			picked, err := named(targets, args[:1])
			if err != nil {
				return err
			}
			if !runs(picked[0]) {
				return fmt.Errorf("container %s is not running", args[0])
			}
			pids, err := cgroup.Load(picked[0].Cgroups, "").Pids(true)
			if err != nil {
				return err
			}
			return printProcesses(pids, args[1:])
		},
	}
	command.Flags().SetInterspersed(false)
	complete(command, once(completeContainers(s, engine.Running)))
	return command
}
