//go:build linux && !engine

package main

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"

	"github.com/simple-container/simple-container/final/internal/engine"
	"github.com/simple-container/simple-container/final/internal/kernel"
	"github.com/simple-container/simple-container/final/internal/runtime"
)

// Docker and the OCI runtime have verbs of the same name: people mean Docker's, engines the runtime's. An engine
// shows itself by what only an engine says.

// isForPeople tells whether a verb that both have is Docker's here.
//
//	final --root R kill X     a flag of the runtime stands before the verb: the runtime's
//	final run --bundle B X    so does one behind it that Docker's has not: the runtime's
//	final kill X              Docker's, unless X is one of the runtime's containers and none of the engine's
func (s *session) isForPeople(name string, args []string) bool {
	if name == "events" {
		return isWatch(args) // also with --root: the runtime's wants just one container
	}
	add, both := flagsOf[name]
	if !both || s.oci {
		return false
	}
	people, own := pflag.NewFlagSet(name, pflag.ContinueOnError), newFlagSet(name)
	add(people)
	v, _ := findVerb(name)
	v.flags(own)
	foreign := false
	rest := scan(args, people, own.pflags(), func(flag *pflag.Flag, isPeoples bool) { foreign = foreign || flag != nil && !isPeoples })
	if foreign || name == "run" || name == "create" || len(rest) == 0 {
		return !foreign
	}
	if os.Geteuid() == 0 { // nobody else has containers of that kind
		if _, err := s.engine().Find(rest[0]); !engine.IsNotFound(err) {
			return true
		}
	}
	_, err := (&runtime.Runtime{Root: s.root, Door: &kernel.Door{}}).Load(rest[0])
	return err != nil
}

// pflags are the flags of an OCI verb as those of verbs for people are.
func (s *flagSet) pflags() *pflag.FlagSet {
	all := pflag.NewFlagSet(s.name, pflag.ContinueOnError)
	for _, f := range s.flags {
		all.StringP(f.Name, f.short, "", f.usage)
		if f.kind == "" {
			all.Lookup(f.Name).NoOptDefVal = "true"
		}
	}
	return all
}

// flagsOf are the flags of the verbs that both have, as Docker's.
var flagsOf = map[string]func(*pflag.FlagSet){
	"run": func(flags *pflag.FlagSet) {
		new(runFlags).add(flags)
		new(waitFlags).add(flags)
	},
	"create": func(flags *pflag.FlagSet) { new(runFlags).add(flags) },
	"start":  func(flags *pflag.FlagSet) { new(startFlags).add(flags) },
	"exec":   func(flags *pflag.FlagSet) { new(peopleExecFlags).add(flags) },
	"kill":   func(flags *pflag.FlagSet) { addSignal(flags) },
	"ps":     func(flags *pflag.FlagSet) { new(psFlags).add(flags) },
	"pause":  func(*pflag.FlagSet) {},
	"update": func(flags *pflag.FlagSet) { new(updateFlags).add(flags) },
}

// scan goes over the flags before the first argument and returns what follows them. A flag is looked up in the
// first set, then in the second; see is told which, and nil for one that neither has.
func scan(args []string, first, second *pflag.FlagSet, see func(flag *pflag.Flag, inFirst bool)) (rest []string) {
	for i := 0; i < len(args); i++ {
		word := args[i]
		if word == "--" {
			return args[i+1:]
		}
		if len(word) < 2 || word[0] != '-' {
			return args[i:]
		}
		flag, inFirst, joined := find(word, first, second)
		see(flag, inFirst)
		if flag != nil && !joined && flag.NoOptDefVal == "" {
			i++ // its value
		}
	}
	return nil
}

// find looks up the flag that a word ends with: -itd is three, and only the last may have its value in the next word.
func find(word string, first, second *pflag.FlagSet) (flag *pflag.Flag, inFirst, joined bool) {
	if long, ok := strings.CutPrefix(word, "--"); ok {
		name, _, joined := strings.Cut(long, "=")
		if flag := first.Lookup(name); flag != nil {
			return flag, true, joined
		}
		return second.Lookup(name), false, joined
	}
	for i := 1; i < len(word); i++ {
		letter := word[i : i+1]
		flag, inFirst = first.ShorthandLookup(letter), true
		if flag == nil {
			flag, inFirst = second.ShorthandLookup(letter), false
		}
		if flag == nil || flag.NoOptDefVal == "" {
			return flag, inFirst, i+1 < len(word)
		}
	}
	return flag, inFirst, false
}

// engine is the one that the flags ask for.
func (s *session) engine() *engine.Engine {
	r := s.runtime()
	r.Root, r.Systemd = kernel.OCIStateDir, false
	return &engine.Engine{
		Root: s.dataRoot, Run: engine.RunDir, Door: r.Door, OCI: r,
		Program: []string{"final", "--data-root", s.dataRoot, "--executor", s.executor},
	}
}

// bundleHint is advice for who forgot --bundle.
func bundleHint(name string) string {
	if _, err := os.Stat("config.json"); err != nil {
		return ""
	}
	if _, err := os.Stat(filepath.Join("rootfs")); err != nil {
		return ""
	}
	return " (for the bundle in this directory: final run --bundle . " + name + ")"
}
