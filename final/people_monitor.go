//go:build linux && !engine

package main

import "github.com/spf13/cobra"

// The two verbs that a container's monitor has carried out (package monitor). People do not type them.

func beginCommand(s *session) *cobra.Command {
	return &cobra.Command{
		Use: "begin ID", Short: "For a container's monitor: make and start it", Hidden: true, Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if s.engine().Begin(args[0]) != nil {
				return exitError(1) // it has said why
			}
			return nil
		},
	}
}

func endCommand(s *session) *cobra.Command {
	return &cobra.Command{
		Use: "end ID", Short: "For a container's monitor: clear away what is left of it", Hidden: true, Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return s.engine().End(args[0]) },
	}
}
