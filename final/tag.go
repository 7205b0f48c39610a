//go:build linux && !engine

package main

import (
	"github.com/spf13/cobra"

	"github.com/simple-container/simple-container/final/internal/image"
)

func tagCommand(s *session) *cobra.Command {
	return &cobra.Command{
		Use:               "tag IMAGE NAME[:TAG]",
		Short:             "Give an image one more name",
		Args:              arguments(2, 2),
		ValidArgsFunction: completeImages(s),
		RunE: s.withImages(func(store *image.Store, args []string) error {
			return store.Tag(args[0], args[1])
		}),
	}
}
