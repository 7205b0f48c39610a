//go:build linux

package main

import (
	"errors"

	"github.com/spf13/cobra"
)

func cleanCommand() *cobra.Command {
	return &cobra.Command{
		Use:  "clean",
		RunE: func(*cobra.Command, []string) error { return errors.New("clean: in the making") },
	}
}
