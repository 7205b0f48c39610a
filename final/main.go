//go:build linux

// Command final is the workshop's last step: a container runtime that people and engines can use.
//
// main only wires the verbs together. Each verb is one file of this folder, named after it, and each
// does its work with the packages under internal, where imports point strictly downward
// (layout_test.go holds the order).
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/simple-container/simple-container/final/internal/lab"
)

func main() {
	// In a root file system made by `final rootfs` this program is sh, ls and the rest.
	if code, ok := lab.Main(os.Args); ok {
		os.Exit(code)
	}
	root := &cobra.Command{
		Use:           "final",
		Short:         "A container runtime in Go, straight on the kernel",
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.AddCommand(rootfsCommand(), doctorCommand(), cleanCommand())

	if err := root.Execute(); err != nil {
		var exit exitError
		if errors.As(err, &exit) {
			os.Exit(int(exit))
		}
		fmt.Fprintln(os.Stderr, "final:", err)
		os.Exit(1)
	}
}

// noArguments is for verbs without any. (cobra's own NoArgs calls what is left over an unknown command.)
func noArguments(command *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("%s: %q: it takes no arguments", command.Name(), args[0])
	}
	return nil
}

// exitError ends the program with this code and no message: the verb has already said what there is to say.
type exitError int

func (code exitError) Error() string { return fmt.Sprintf("exit status %d", int(code)) }
