//go:build linux

package main

import (
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/kernel"
	"github.com/simple-container/simple-container/final/internal/runtime"
)

// A session is what the flags before the verb say. They are runc's.
type session struct {
	root     string // directory of the containers' states
	placed   bool   // it was named
	log      string // a file; empty is the standard error, without errors, which are there anyway
	format   string // of the log: text or json
	systemd  bool   // cgroups are made by systemd
	explain  bool   // kernel calls are said
	debug    bool   // and are in the log
	executor string // stub or reexec
	version  bool
	help     bool
	dataRoot string // of images and containers
	oci      bool   // a flag was given that only an engine gives a runtime
}

// dataRoot is where images and containers are that outlast the machine.
const dataRoot = "/var/lib/simple-container"

// flags are those before the verb.
func (s *session) flags() *flagSet {
	flags := newFlagSet("final")
	flags.SetInterspersed(false)
	flags.StringVar(&s.root, "root", kernel.OCIStateDir, "directory of the containers' states")
	flags.StringVar(&s.log, "log", "", "file for errors, beside the standard error, and for warnings, in its place")
	flags.StringVar(&s.format, "log-format", "text", "of that file: text or json")
	flags.BoolVar(&s.debug, "debug", false, "have each kernel call in the log, too")
	flags.BoolVar(&s.systemd, "systemd-cgroup", false, "let systemd make the cgroups")
	flags.BoolVar(&s.explain, "explain", false, "say every kernel call, with the shell command that does the same")
	flags.StringVar(&s.executor, "executor", "stub", "the container side: stub, or reexec for the one in Go")
	flags.BoolVarP(&s.version, "version", "v", false, "print the version")
	flags.StringVar(&s.dataRoot, "data-root", dataRoot, "directory of the images and containers of Docker's verbs")
	flags.String("rootless", "auto", "accepted, as runc's")
	flags.String("criu", "", "accepted, as runc's")
	flags.BoolVarP(&s.help, "help", "h", false, "this help")
	return flags
}

// parseGlobals takes the flags before the verb off the command line.
func parseGlobals(args []string) (s *session, rest []string, err error) {
	s = &session{}
	flags := s.flags()
	if err := flags.Parse(args); err != nil {
		return nil, nil, fmt.Errorf("%w (see final --help)", err)
	}
	if s.format != "text" && s.format != "json" {
		return nil, nil, fmt.Errorf("--log-format %q: want text or json", s.format)
	}
	if s.executor != "stub" && s.executor != "reexec" {
		return nil, nil, fmt.Errorf("--executor %q: want stub or reexec", s.executor)
	}
	if s.root, err = filepath.Abs(s.root); err != nil {
		return nil, nil, err
	}
	if s.dataRoot, err = filepath.Abs(s.dataRoot); err != nil {
		return nil, nil, err
	}
	flags.Visit(func(f *flag) {
		s.placed = s.placed || f.Name == "root"
		s.oci = s.oci || !slices.Contains([]string{"data-root", "explain", "executor", "version", "help"}, f.Name)
	})
	if !s.placed {
		s.root = ownRoot()
	}
	rest = flags.Args()
	switch {
	case s.version:
		rest = []string{"version"}
	case s.help || len(rest) == 1 && rest[0] == "help":
		rest = []string{"--help"}
	case len(rest) > 1 && rest[0] == "help":
		rest = []string{rest[1], "--help"}
	}
	return s, rest, nil
}

// runtime is the one that the flags ask for.
func (s *session) runtime() *runtime.Runtime {
	door := &kernel.Door{Warn: func(text string) { s.record("warning", text) }}
	if s.explain {
		door.Explain = os.Stderr
		signal.Notify(make(chan os.Signal, 1), unix.SIGPIPE) // a reader that goes away must not end us half-way
	}
	if s.debug && !s.explain {
		door.Explain = debugLog{s}
	}
	return &runtime.Runtime{Root: s.root, Door: door, Systemd: s.systemd, Reexec: s.executor == "reexec"}
}
