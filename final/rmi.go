//go:build linux && !engine

package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/simple-container/simple-container/final/internal/image"
)

func rmiCommand(s *session) *cobra.Command {
	force := false
	command := &cobra.Command{
		Use:   "rmi IMAGE...",
		Short: "Remove images",
		Long: "Take names away from images; with its last name an image goes, and the layers that no other has.\n" +
			"An image that containers were made of stays; with --force it loses its names.",
		Args:              arguments(1, -1),
		ValidArgsFunction: completeImages(s),
		RunE: s.withImages(func(store *image.Store, args []string) error {
			return eachImage(args, func(reference string) error {
				removed, err := store.Remove(reference, force)
				for _, name := range removed.Untagged {
					fmt.Println("Untagged:", name)
				}
				if removed.Deleted != "" {
					fmt.Println("Deleted:", removed.Deleted)
				}
				if force && image.IsNotFound(err) { // as rm -f
					fmt.Fprintln(os.Stderr, "final:", err)
					return nil
				}
				return err
			})
		}),
	}
	command.Flags().BoolVarP(&force, "force", "f", false, "also if it has several names, or containers use it")
	return command
}
