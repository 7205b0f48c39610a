//go:build linux

package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/simple-container/simple-container/final/internal/lab"
)

func rootfsCommand() *cobra.Command {
	return &cobra.Command{
		Use:  "rootfs DIR",
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := os.Mkdir(args[0], 0o755); err != nil {
				return err
			}
			return lab.Write(args[0])
		},
	}
}
