//go:build linux

package main

import (
	"errors"

	"github.com/spf13/cobra"
)

func rootfsCommand() *cobra.Command {
	return &cobra.Command{
		Use:  "rootfs",
		RunE: func(*cobra.Command, []string) error { return errors.New("rootfs: in the making") },
	}
}
