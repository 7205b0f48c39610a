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

		TraverseChildren:  true, // final trace --summary run lab
		PersistentPreRunE: checkRoot,
		Args:              unknownCommand,
		Run:               func(root *cobra.Command, _ []string) { _ = root.Help() }, // to the standard output
	}
	root.SetUsageTemplate(root.UsageTemplate() + "{{if .HasParent}}\nThe flags before the verb are in: final --help\n{{else}}" +
		"\nFlags before the verb:\n" + (&session{}).flags().FlagUsages() + "{{end}}")
	root.AddCommand(imageCommands(s)...)
	root.AddCommand(
		runCommand(s), createCommand(s), startCommand(s), stopCommand(s), restartCommand(s), killCommand(s), rmCommand(s),
		psCommand(s), inspectCommand(s), logsCommand(s), execCommand(s), attachCommand(s), waitCommand(s),
		pauseCommand(s), unpauseCommand(s), updateCommand(s), cpCommand(s), diffCommand(s), commitCommand(s),
		beginCommand(s), endCommand(s),
		networkCommand(s), portCommand(s), volumeCommand(s),
		statsCommand(s), topCommand(s), watchCommand(s), metricsCommand(s), traceCommand(s), dashboardCommand(s),
		rootfsCommand(), doctorCommand(), cleanCommand(s),
	)
	for _, v := range verbs {
		if command, _, err := root.Find([]string{v.name()}); err != nil || command == root {
			root.AddCommand(v.help())
		}
	}
	root.SuggestionsMinimumDistance = 2
	root.SetFlagErrorFunc(func(command *cobra.Command, err error) error {
		if command == root && !strings.HasPrefix(args[0], "-") { // the flag is that of a verb which is none
			return unknownCommand(root, args)
		}
		return wrongFlag(command, err)
	})
	group(root)
	root.SetArgs(args)
	return root.Execute()
}

// otherVerbs are verbs of Docker that are not here, and what is.
var otherVerbs = [...]struct{ verb, instead string }{
	{"build", "an image comes from final pull, final import or final commit"},
	{"container", "its verbs stand alone, as final ps and final rm"},
	{"history", "the layers are in final inspect"},
	{"image", "its verbs stand alone: final images, final rmi, final inspect"},
	{"info", "final doctor looks at the machine"},
	{"login", "the logins of docker login and podman login are used"},
	{"push", "final save makes an archive, and skopeo copy brings it to a registry"},
	{"rename", "a container keeps the name of final run --name"},
	{"system", "final doctor looks at the machine, final clean tidies it up"},
}

// unknownCommand is for a word that is no verb.
func unknownCommand(root *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	for _, d := range otherVerbs {
		if d.verb == args[0] {
			return fmt.Errorf("%q: a verb of Docker's that final does not have: %s (see final --help)", args[0], d.instead)
		}
	}
	if meant := root.SuggestionsFor(args[0]); len(meant) > 0 {
		return fmt.Errorf("%q: unknown command: did you mean %s? (see final --help)", args[0], strings.Join(meant, " or "))
	}
	return fmt.Errorf("%q: unknown command (see final --help)", args[0])
}

// otherFlags are flags of run, create and update in the same way.
var otherFlags = [...]struct{ flag, instead string }{
	{"--attach", "without -d all streams are attached"},
	{"--cgroup-parent", "the limits are those of its own group"},
	{"--expose", "-p publishes any port, and on a network all are open"},
	{"--gpus", "--device gives it a device's file"},
	{"--health-cmd", "there is no daemon that would run it; final exec can"},
	{"--link", "containers on one network know each other's names"},
	{"--log-driver", "the log is a file, for final logs"},
	{"--log-opt", "the log is a file, of 64 MB at most"},
	{"--restart", "there is no daemon that would do it; a systemd unit with final run can"},
	{"--runtime", "final is the runtime"},
	{"--storage-opt", "there is room for what the disk has room for"},
	{"--volumes-from", "name the volumes with -v"},
}

// verbOf is a verb as it is typed: run, or network ls.
func verbOf(command *cobra.Command) string {
	return strings.TrimPrefix(command.CommandPath(), "final ")
}

// wrongFlag words what is wrong with a verb's flags.
func wrongFlag(command *cobra.Command, err error) error {
	name := verbOf(command)
	err = fmt.Errorf("%s: %w (see final %s --help)", name, err, name)
	if name != "run" && name != "create" && name != "update" {
		return err
	}
	for _, d := range otherFlags {
		if strings.HasPrefix(err.Error(), name+": unknown flag: "+d.flag+" ") {
			err = fmt.Errorf("%s: %s: a flag of Docker's that final does not have: %s", name, d.flag, d.instead)
		}
	}
	if name == "update" {
		return err
	}
	return &coded{125, err} // as Docker
}

// noArguments is for verbs without any. (cobra's own NoArgs calls what is left over an unknown command.)
func noArguments(command *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("%s: %q: it takes no arguments", verbOf(command), args[0])
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
