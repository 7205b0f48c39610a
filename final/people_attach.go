//go:build linux && !engine

package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/simple-container/simple-container/final/internal/console"
	"github.com/simple-container/simple-container/final/internal/engine"
)

func attachCommand(s *session) *cobra.Command {
	var noStdin, proxy bool
	var keys string
	command := &cobra.Command{
		Use:   "attach CONTAINER",
		Short: "Connect to a container that runs, as if it had been started here",
		Args:  oneContainer,
		RunE: func(_ *cobra.Command, args []string) error {
			c, err := s.engine().Find(args[0])
			if err != nil {
				return err
			}
			if c.State.Status == engine.Paused {
				return fmt.Errorf("container %s is paused: final unpause %s first", c.Name, c.Name)
			}
			p := presence{stdin: c.Options.Stdin && !noStdin, proxy: proxy}
			if p.keys, err = console.ParseKeys(keys); err != nil {
				return err
			}
			client, err := c.Attach()
			if err != nil {
				return err
			}
			streams, release := p.streams()
			defer release()
			return attend(c, client, streams)
		},
	}
	command.Flags().BoolVar(&noStdin, "no-stdin", false, "it does not read what is typed here")
	command.Flags().BoolVar(&proxy, "sig-proxy", true, "signals that reach this program are for the container")
	command.Flags().StringVar(&keys, "detach-keys", console.DefaultDetachKeys, "keys that leave a terminal, and the container running")
	complete(command, once(completeContainers(s, engine.Running)))
	return command
}
