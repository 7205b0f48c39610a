//go:build linux && !engine

package main

import "github.com/spf13/cobra"

func diffCommand(s *session) *cobra.Command   { return &cobra.Command{Use: "diff CONTAINER"} }
func cpCommand(s *session) *cobra.Command     { return &cobra.Command{Use: "cp"} }
func commitCommand(s *session) *cobra.Command { return &cobra.Command{Use: "commit"} }
