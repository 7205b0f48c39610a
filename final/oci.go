//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/simple-container/simple-container/final/internal/runtime"
)

// A verb is a command of the OCI runtime.
type verb struct {
	use   string // name and arguments
	short string
	least int // arguments
	most  int
	flags func(*flagSet) func(s *session, args []string) error
}

// verbs are the OCI runtime's.
var verbs = []verb{
	createVerb, startVerb, stateVerb, killVerb, deleteVerb, runVerb, execVerb, listVerb, psVerb, pauseVerb,
	resumeVerb, updateVerb, eventsVerb, specVerb, featuresVerb, versionVerb, planVerb, checkpointVerb, restoreVerb,
}

func (v verb) name() string {
	name, _, _ := strings.Cut(v.use, " ")
	return name
}

func findVerb(name string) (verb, bool) {
	for _, v := range verbs {
		if v.name() == name {
			return v, true
		}
	}
	return verb{}, false
}

// call parses the arguments of a verb and carries it out. Flags may stand before and after the arguments, but
// for the verbs whose arguments are a command's.
func (v verb) call(s *session, args []string) error {
	flags := newFlagSet(v.name())
	flags.SetInterspersed(v.most >= 0)
	help := flags.BoolP("help", "h", false, "this help")
	do := v.flags(flags)
	err := flags.Parse(args)
	switch {
	case *help:
		v.usage(os.Stdout, flags)
		return nil
	case err != nil:
		return fmt.Errorf("%s: %w (see final %s --help)", v.name(), err, v.name())
	case flags.NArg() < v.least || v.most >= 0 && flags.NArg() > v.most:
		return fmt.Errorf("%s: %d arguments: want: final %s", v.name(), flags.NArg(), v.use)
	}
	if v.hasContainer() {
		if err := s.needPlace(v.name()); err != nil {
			return err
		}
	}
	return do(s, flags.Args())
}

// hasContainer tells whether the verb is about containers, and not about this program or a file.
func (v verb) hasContainer() bool {
	return !slices.Contains([]string{"spec", "features", "version", "plan", "checkpoint", "restore"}, v.name())
}

func (v verb) usage(out io.Writer, flags *flagSet) {
	name, arguments, _ := strings.Cut(v.use, " ")
	line := strings.TrimSpace(name + " [flag...] " + arguments)
	fmt.Fprintf(out, "usage: final [FLAG...] %s\n\n%s.\n\n%s\nThe FLAGs before the verb are in: final --help\n",
		line, v.short, flags.FlagUsages())
}

// printJSON prints a value as engines read it.
func printJSON(value any) error {
	out := json.NewEncoder(os.Stdout)
	out.SetIndent("", "  ")
	return out.Encode(value)
}

// simple is a verb that has no flags and one argument, a container.
func simple(use, short string, do func(*runtime.Container) error) verb {
	return verb{use, short, 1, 1, func(*flagSet) func(*session, []string) error {
		return func(s *session, args []string) error {
			c, err := s.runtime().Load(args[0])
			if err != nil {
				return err
			}
			return do(c)
		}
	}}
}

var (
	startVerb  = simple("start ID", "Have a created container execute its command", (*runtime.Container).Start)
	pauseVerb  = simple("pause ID", "Stop all processes of a container where they are", (*runtime.Container).Pause)
	resumeVerb = simple("resume ID", "Let the processes of a paused container go on", (*runtime.Container).Resume)
	stateVerb  = simple("state ID", "Print the state of a container", func(c *runtime.Container) error {
		state, err := c.State()
		if err != nil {
			return err
		}
		return printJSON(state)
	})
)

// unsupported is a verb that runc has and this runtime does not.
func unsupported(name string) verb {
	return verb{name + " ID", "Not offered", 0, -1, func(*flagSet) func(*session, []string) error {
		return func(*session, []string) error {
			return fmt.Errorf("%s: not offered: this runtime does not save and restore processes (CRIU)", name)
		}
	}}
}

var checkpointVerb, restoreVerb = unsupported("checkpoint"), unsupported("restore")
