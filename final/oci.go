//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/kernel"
	"github.com/simple-container/simple-container/final/internal/runtime"
)

// version is what `final --version` prints; engines want a number behind "runc version".
const version = "1.0.0"

// A session is what the flags before the verb say. They are runc's.
type session struct {
	root     string
	placed   bool // the root was named
	log      string
	format   string
	systemd  bool
	explain  bool
	debug    bool
	executor string // the executor: stub or reexec
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

// finish says what went wrong, where people and where engines look, and returns the exit code.
func (s *session) finish(err error) int {
	code, silent := codeOf(err)
	if silent {
		return code
	}
	fmt.Fprintln(os.Stderr, "final:", visible(err.Error()))
	s.record("error", err.Error())
	return code
}

// record appends a line to the log, if there is one. Engines take the last line of level error.
func (s *session) record(level, message string) {
	if s.log == "" {
		switch level {
		case "warning":
			fmt.Fprintln(os.Stderr, "final: warning:", visible(message))
		case "debug":
			s.line(os.Stderr, level, message)
		}
		return
	}
	file, err := os.OpenFile(s.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		fmt.Fprintln(os.Stderr, "final: --log:", err)
		return
	}
	defer file.Close()
	s.line(file, level, message)
}

// line writes one line of a log, in the format that was asked for.
func (s *session) line(file io.Writer, level, message string) {
	now := time.Now().Format(time.RFC3339)
	if s.format == "json" {
		_ = json.NewEncoder(file).Encode(map[string]string{"level": level, "msg": message, "time": now})
		return
	}
	fmt.Fprintf(file, "time=%q level=%s msg=%q\n", now, level, message)
}

// debugLog passes what --explain would say to the log, line by line. What is said at once are whole lines, so there is
// nothing to keep: several may say something at the same time.
type debugLog struct{ session *session }

func (d debugLog) Write(text []byte) (int, error) {
	for line := range strings.Lines(string(text)) {
		d.session.record("debug", strings.TrimSuffix(line, "\n"))
	}
	return len(text), nil
}

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

var versionVerb = verb{"version", "Print the version", 0, 0, func(*flagSet) func(*session, []string) error {
	return func(*session, []string) error {
		fmt.Printf("runc version %s (simple-container final)\ncommit: %s\nspec: %s\n", version, commit(), specs.Version)
		return nil
	}
}}

// commit is what this program was built from, as far as the compiler was told.
func commit() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, setting := range info.Settings {
			if setting.Key == "vcs.revision" {
				return setting.Value
			}
		}
	}
	return "unknown"
}

// unsupported is a verb that runc has and this runtime does not.
func unsupported(name string) verb {
	return verb{name + " ID", "Not offered", 0, -1, func(*flagSet) func(*session, []string) error {
		return func(*session, []string) error {
			return fmt.Errorf("%s: not offered: this runtime does not save and restore processes (CRIU)", name)
		}
	}}
}

var checkpointVerb, restoreVerb = unsupported("checkpoint"), unsupported("restore")
