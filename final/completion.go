//go:build linux && !engine

package main

import (
	"slices"

	"github.com/spf13/cobra"

	"github.com/simple-container/simple-container/final/internal/engine"
)

// A completion offers what may come next on the command line.
type completion = func(args []string) []string

// complete has the shell offer a verb's arguments.
func complete(command *cobra.Command, offer completion) {
	command.ValidArgsFunction = func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		return offer(args), cobra.ShellCompDirectiveNoFileComp
	}
}

// completeFlag has the shell offer a flag's values. (The error is for a flag that the verb does not have.)
func completeFlag(command *cobra.Command, flag string, offer completion) {
	_ = command.RegisterFlagCompletionFunc(flag, func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		return offer(args), cobra.ShellCompDirectiveNoFileComp
	})
}

// words offers the same always.
func words(list ...string) completion { return func([]string) []string { return list } }

// once offers the first argument only.
func once(offer completion) completion {
	return func(args []string) []string {
		if len(args) > 0 {
			return nil
		}
		return offer(args)
	}
}

// completeContainers offers the names that are not there yet, of containers that are this or that, or of all.
func completeContainers(s *session, are ...engine.Status) completion {
	return func(args []string) (names []string) {
		if len(are) == 0 {
			names = s.engine().Names()
		} else {
			list, _ := s.engine().List(engine.ListOptions{All: true}) // what cannot be read is not offered
			for _, c := range list {
				if slices.Contains(are, c.State.Status) {
					names = append(names, c.Name)
				}
			}
		}
		return slices.DeleteFunc(names, func(name string) bool { return slices.Contains(args, name) })
	}
}

// completeNetworks offers the names that are not there yet, and words beside.
func completeNetworks(s *session, words ...string) completion {
	return func(args []string) []string {
		list, _ := s.engine().Networks().List() // what cannot be read is not offered
		names := slices.Clone(words)
		for _, n := range list {
			names = append(names, n.Name)
		}
		return slices.DeleteFunc(names, func(name string) bool { return slices.Contains(args, name) })
	}
}

// completeRun offers what run and create take.
func completeRun(s *session, command *cobra.Command) {
	command.ValidArgsFunction = completeImages(s)
	completeFlag(command, "network", completeNetworks(s, "host", "none"))
	completeFlag(command, "pull", words("missing", "always", "never"))
}
