//go:build linux && !engine

package main

import (
	"slices"

	"github.com/spf13/cobra"

	"github.com/simple-container/simple-container/final/internal/image"
)

// A completion offers what may come next on the command line.
type completion = func(args []string) []string

// complete has the shell offer a verb's arguments.
func complete(command *cobra.Command, offer completion) {
	command.ValidArgsFunction = func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		return offer(args), cobra.ShellCompDirectiveNoFileComp
	}
}

// completeContainers offers the names that are not there yet.
func completeContainers(s *session) completion {
	return func(args []string) []string {
		return slices.DeleteFunc(s.engine().Names(), func(name string) bool { return slices.Contains(args, name) })
	}
}

// completeImages offers the names of images for the first argument.
func completeImages(s *session) completion {
	return func(args []string) []string {
		if len(args) > 0 {
			return nil
		}
		names := []string{image.LabName}
		store, err := s.engine().Images()
		if err != nil {
			return names
		}
		list, _ := store.List() // none is what can be offered after an error, too
		for _, img := range list {
			for _, full := range img.Names {
				names = append(names, image.ShortName(full))
			}
		}
		slices.Sort(names)
		return slices.Compact(names)
	}
}
