//go:build linux && !engine

package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/simple-container/simple-container/final/internal/lab"
)

// userland is the other face of this program: in a root file system made by `final rootfs` it is sh, ls and
// the rest.
func userland(args []string) (code int, ok bool) { return lab.Main(args) }

// people carries out the verbs for people.
func people(s *session, args []string) error {
	root := &cobra.Command{
		Use:           "final",
		Short:         "A container runtime in Go, straight on the kernel",
		SilenceErrors: true,
		SilenceUsage:  true,

		TraverseChildren: true, // final trace --summary run lab
		Args:             unknownCommand,
		Run:              func(root *cobra.Command, _ []string) { _ = root.Help() }, // to the standard output
	}
	root.SetUsageTemplate(root.UsageTemplate() + "\nFlags before the verbs of the OCI runtime, create to restore:\n" +
		(&session{}).flags().FlagUsages())
	root.AddCommand(imageCommands(s)...)
	root.AddCommand(
		runCommand(s), createCommand(s), startCommand(s), stopCommand(s), restartCommand(s), killCommand(s), rmCommand(s),
		psCommand(s), inspectCommand(s), logsCommand(s), execCommand(s), attachCommand(s), waitCommand(s),
		pauseCommand(s), unpauseCommand(s), updateCommand(s), cpCommand(s), diffCommand(s), commitCommand(s),
		beginCommand(s), endCommand(s),
		networkCommand(s), portCommand(s),
		statsCommand(s), topCommand(s), watchCommand(s), metricsCommand(s), traceCommand(s), dashboardCommand(s),
		rootfsCommand(), doctorCommand(), cleanCommand(s),
	)
	for _, v := range verbs {
		if command, _, err := root.Find([]string{v.name()}); err != nil || command == root {
			root.AddCommand(v.help())
		}
	}
	root.SuggestionsMinimumDistance = 2
	root.SetFlagErrorFunc(wrongFlag)
	group(root)
	root.SetArgs(args)
	return root.Execute()
}

// unknownCommand is for a word that is no verb.
func unknownCommand(root *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if meant := root.SuggestionsFor(args[0]); len(meant) > 0 {
		return fmt.Errorf("%q: unknown command: did you mean %s? (see final --help)", args[0], strings.Join(meant, " or "))
	}
	return fmt.Errorf("%q: unknown command (see final --help)", args[0])
}

// wrongFlag words what is wrong with a verb's flags.
func wrongFlag(command *cobra.Command, err error) error {
	err = fmt.Errorf("%s: %w (see final %s --help)", command.Name(), err, command.Name())
	if command.Name() == "run" || command.Name() == "create" {
		return &coded{125, err} // as Docker
	}
	return err
}

// noArguments is for verbs without any. (cobra's own NoArgs calls what is left over an unknown command.)
func noArguments(command *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("%s: %q: it takes no arguments", command.Name(), args[0])
	}
	return nil
}

// help is an OCI verb in cobra's list.
func (v verb) help() *cobra.Command {
	return &cobra.Command{Use: v.use, Short: v.short, DisableFlagParsing: true, RunE: func(*cobra.Command, []string) error {
		flags := newFlagSet(v.name())
		v.flags(flags)
		v.usage(os.Stdout, flags)
		return nil
	}}
}
