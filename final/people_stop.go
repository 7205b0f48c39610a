//go:build linux && !engine

package main

import (
	"cmp"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/engine"
)

// stopFlags are those of stop and restart.
type stopFlags struct {
	seconds int
	signal  string
}

func (f *stopFlags) add(flags *pflag.FlagSet) {
	flags.IntVarP(&f.seconds, "time", "t", 10, "seconds until it is killed; -1 for never (default 10, or the container's)")
	flags.StringVarP(&f.signal, "signal", "s", "", "signal that asks it to end (default the container's)")
}

// stop stops a container.
func (f *stopFlags) stop(c *engine.Container, flags *pflag.FlagSet) error {
	signal, err := parseSignal(cmp.Or(f.signal, c.StopSignal()))
	if err != nil && f.signal == "" { // an image may say anything
		signal, err = unix.SIGTERM, nil
	}
	if err != nil {
		return err
	}
	if flags.Changed("time") {
		return c.Stop(signal, &f.seconds)
	}
	return c.Stop(signal, nil)
}

func stopCommand(s *session) *cobra.Command {
	var f stopFlags
	command := &cobra.Command{
		Use:   "stop CONTAINER...",
		Short: "Ask containers to end, and kill those that have not in time",
		Args:  someContainers,
	}
	command.RunE = func(_ *cobra.Command, args []string) error {
		return s.eachContainer(args, func(c *engine.Container) error { return f.stop(c, command.Flags()) })
	}
	f.add(command.Flags())
	complete(command, completeContainers(s, engine.Running, engine.Paused))
	return command
}

func restartCommand(s *session) *cobra.Command {
	var f stopFlags
	command := &cobra.Command{
		Use:   "restart CONTAINER...",
		Short: "Stop containers and start them again",
		Args:  someContainers,
	}
	command.RunE = func(_ *cobra.Command, args []string) error {
		return s.eachContainer(args, func(c *engine.Container) error {
			return c.Restart(func() error { return f.stop(c, command.Flags()) })
		})
	}
	f.add(command.Flags())
	complete(command, completeContainers(s))
	return command
}
