//go:build linux && !engine

package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
)

func waitCommand(s *session) *cobra.Command {
	command := &cobra.Command{
		Use:   "wait CONTAINER...",
		Short: "Wait until containers have ended, and print their exit codes",
		Args:  someContainers,
		RunE: func(_ *cobra.Command, args []string) error {
			e, errs := s.engine(), []error(nil)
			for _, name := range args {
				c, err := e.Find(name)
				if err != nil {
					errs = append(errs, err)
					continue
				}
				code, err := c.Wait()
				if err != nil {
					errs = append(errs, err)
					continue
				}
				fmt.Println(code)
			}
			return errors.Join(errs...)
		},
	}
	complete(command, completeContainers(s))
	return command
}
