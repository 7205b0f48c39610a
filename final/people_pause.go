//go:build linux && !engine

package main

import (
	"github.com/spf13/cobra"

	"github.com/simple-container/simple-container/final/internal/engine"
)

func pauseCommand(s *session) *cobra.Command {
	return onEach(s, "pause", "Stop all processes of containers where they are", engine.Running, (*engine.Container).Pause)
}

func unpauseCommand(s *session) *cobra.Command {
	return onEach(s, "unpause", "Let the processes of paused containers go on", engine.Paused, (*engine.Container).Unpause)
}

// onEach is a verb without flags, for containers that are of a status.
func onEach(s *session, name, short string, is engine.Status, do func(*engine.Container) error) *cobra.Command {
	command := &cobra.Command{
		Use: name + " CONTAINER...", Short: short, Args: someContainers,
		RunE: func(_ *cobra.Command, args []string) error { return s.eachContainer(args, do) },
	}
	complete(command, completeContainers(s, is))
	return command
}
