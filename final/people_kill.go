//go:build linux && !engine

package main

import (
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/simple-container/simple-container/final/internal/engine"
)

func addSignal(flags *pflag.FlagSet) *string {
	return flags.StringP("signal", "s", "KILL", "the signal, by name or number")
}

func killCommand(s *session) *cobra.Command {
	command := &cobra.Command{Use: "kill CONTAINER...", Short: "Send containers a signal, SIGKILL if none is named", Args: someContainers}
	name := addSignal(command.Flags())
	command.RunE = func(_ *cobra.Command, args []string) error {
		signal, err := parseSignal(*name)
		if err != nil {
			return err
		}
		return s.eachContainer(args, func(c *engine.Container) error { return c.Kill(signal) })
	}
	complete(command, completeContainers(s, engine.Running, engine.Paused))
	return command
}
