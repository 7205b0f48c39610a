//go:build linux && !engine

package main

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/simple-container/simple-container/final/internal/tree"
)

func exportCommand(s *session) *cobra.Command {
	var output string
	command := &cobra.Command{
		Use:     "export CONTAINER",
		Short:   "Write a container's root file system as a tar archive",
		Example: "  final export web | tar t\n  final export -o web.tar web",
		Args:    oneContainer,
		RunE: func(_ *cobra.Command, args []string) (err error) {
			c, err := s.engine().Find(args[0])
			if err != nil {
				return err
			}
			if output == "" {
				if term.IsTerminal(1) {
					return errors.New("export: an archive is not for a terminal: use -o, or a pipe")
				}
				return c.Export(os.Stdout)
			}
			file, err := os.CreateTemp(filepath.Dir(output), ".export-")
			if err != nil {
				return err
			}
			defer func() {
				if err != nil {
					_ = os.Remove(file.Name()) // what is reported is why
				}
			}()
			out := tree.NewHoleWriter(int(file.Fd()))
			if err := errors.Join(c.Export(out), out.End(), file.Chmod(0o644), file.Close()); err != nil {
				return err
			}
			return os.Rename(file.Name(), output)
		},
	}
	command.Flags().StringVarP(&output, "output", "o", "", "file, in place of the standard output")
	complete(command, completeContainers(s))
	return command
}
