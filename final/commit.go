//go:build linux && !engine

package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/simple-container/simple-container/final/internal/engine"
)

func commitCommand(s *session) *cobra.Command {
	var o engine.CommitOptions
	command := &cobra.Command{
		Use:     "commit CONTAINER [NAME[:TAG]]",
		Short:   "Make an image of a container: its own image, and what the container has changed",
		Example: "  final commit -c 'CMD [\"serve\"]' web mine:1",
		Args:    arguments(1, 2),
		RunE: func(_ *cobra.Command, args []string) error {
			c, err := s.engine().Find(args[0])
			if err != nil {
				return err
			}
			if len(args) > 1 {
				o.Name = args[1]
			}
			img, err := c.Commit(o)
			if err != nil {
				return err
			}
			fmt.Println(img.ID)
			return nil
		},
	}
	command.Flags().StringVarP(&o.Author, "author", "a", "", "who made it")
	command.Flags().StringVarP(&o.Comment, "message", "m", "", "why")
	command.Flags().BoolVarP(&o.Pause, "pause", "p", true, "the container's processes stop meanwhile")
	command.Flags().StringArrayVarP(&o.Changes, "change", "c", nil,
		"instruction of a Dockerfile: CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, ONBUILD, STOPSIGNAL, USER, VOLUME, WORKDIR")
	complete(command, completeContainers(s))
	return command
}
