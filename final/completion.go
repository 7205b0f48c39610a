//go:build linux && !engine

package main

import (
	"slices"

	"github.com/spf13/cobra"
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
