//go:build linux && !engine

package main

import (
	"context"
	"fmt"
	"os/signal"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

func createCommand(s *session) *cobra.Command {
	var f runFlags
	command := &cobra.Command{
		Use:   "create [flags] IMAGE [CMD [ARG...]]",
		Short: "Make a container, and do not start it",
		RunE: func(_ *cobra.Command, args []string) error {
			ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM)
			defer stop()
			o, err := f.options(args, true)
			if err != nil {
				return failedRun(err)
			}
			o.Once = o.Stdin
			c, err := s.engine().Create(ctx, o)
			if err != nil {
				return failedRun(withHint(err, o.Image))
			}
			fmt.Println(c.ID)
			return nil
		},
	}
	f.add(command.Flags())
	command.Flags().SetInterspersed(false)
	completeRun(s, command)
	return command
}
