//go:build linux && !engine

package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/simple-container/simple-container/final/internal/image"
)

// imageCommands are the verbs for images.
func imageCommands(s *session) []*cobra.Command {
	return []*cobra.Command{
		pullCommand(s), imagesCommand(s), tagCommand(s), rmiCommand(s), saveCommand(s), loadCommand(s),
		importCommand(s), exportCommand(s),
	}
}

// store is where the images are.
func (s *session) store() (*image.Store, error) {
	store, err := s.engine().Images() // which knows the containers that use them
	if err != nil {
		return nil, fmt.Errorf("open the images: %w", err)
	}
	return store, nil
}

// withImages is a verb's RunE that needs the store.
func (s *session) withImages(do func(store *image.Store, args []string) error) func(*cobra.Command, []string) error {
	return func(_ *cobra.Command, args []string) error {
		store, err := s.store()
		if err != nil {
			return err
		}
		return do(store, args)
	}
}

// arguments is for verbs with at least and at most so many; most -1 is any.
func arguments(least, most int) cobra.PositionalArgs {
	return func(command *cobra.Command, args []string) error {
		if len(args) < least || most >= 0 && len(args) > most {
			name := verbOf(command)
			return fmt.Errorf("%s: %d arguments: want: final %s%s", name, len(args), name, strings.TrimPrefix(command.Use, command.Name()))
		}
		return nil
	}
}

// completeImages completes names of images that are here.
func completeImages(s *session) cobra.CompletionFunc {
	return func(_ *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
		store, err := s.store()
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		images, err := store.List()
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var found []string
		for _, img := range images {
			for _, full := range img.Names {
				short := image.ShortName(full)
				if !strings.Contains(typed, ":") {
					short = strings.TrimSuffix(short, ":latest")
				}
				if strings.HasPrefix(short, typed) {
					found = append(found, short)
				}
			}
		}
		return found, cobra.ShellCompDirectiveNoFileComp
	}
}

// eachImage does something to several images; one that fails does not keep it from the others.
func eachImage(references []string, do func(reference string) error) error {
	var errs []error
	for _, reference := range references {
		errs = append(errs, do(reference))
	}
	return errors.Join(errs...)
}
