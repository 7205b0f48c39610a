//go:build linux && !engine

package main

import "github.com/spf13/cobra"

func exportCommand(s *session) *cobra.Command {
	var output string
	command := &cobra.Command{
		Use:     "export CONTAINER",
		Short:   "Write a container's root file system as a tar archive",
		Example: "  final export web | tar t\n  final export -o web.tar web",
		Args:    oneContainer,
		RunE: func(_ *cobra.Command, args []string) error {
			c, err := s.engine().Find(args[0])
			if err != nil {
				return err
			}
			return writeOutput("export", output, c.Export)
		},
	}
	command.Flags().StringVarP(&output, "output", "o", "", "file, in place of the standard output")
	complete(command, once(completeContainers(s)))
	return command
}
