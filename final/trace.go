//go:build linux && !engine

package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/engine"
	"github.com/simple-container/simple-container/final/internal/runtime"
	"github.com/simple-container/simple-container/final/internal/trace"
)

func traceCommand(s *session) *cobra.Command {
	var f traceFlags
	command := &cobra.Command{
		Use:   "trace CONTAINER",
		Short: "Show the system calls of a container, as they are made or counted",
		Long: `Show the system calls of a running container until Ctrl-C or its end, or with run those of a new one from the
first instruction of its command on: each as it comes, or with --summary how many, how long and with what errors.`,
		Example: "  final trace web\n  final trace --summary -e %file web\n  final trace --errors web\n" +
			"  final trace --seccomp-profile ls.json run --rm lab ls\n  final trace run --bundle . web",
		Args: func(command *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("trace: %d arguments: want: final trace CONTAINER, or final trace run IMAGE", len(args))
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			c, err := s.traced(args[0])
			if err != nil {
				return err
			}
			return f.follow(s, c)
		},
	}
	f.add(command.Flags(), true)
	complete(command, completeContainers(s))
	command.AddCommand(traceRunCommand(s, &f))
	return command
}

// traced finds the container that a person names: the engine's, or else the OCI runtime's.
func (s *session) traced(id string) (c *runtime.Container, err error) {
	found, err := s.engine().Find(id)
	switch {
	case err == nil:
		id = found.Name
		c, err = s.engine().OCI.Load(found.ID)
		if errors.Is(err, runtime.ErrNotExist) {
			err = fmt.Errorf("container %s does not run: final start %s, or to see its command begin, final trace run", id, id)
		}
	case engine.IsNotFound(err):
		var own error
		if c, own = s.runtime().Load(id); !errors.Is(own, runtime.ErrNotExist) {
			err = own
		}
	}
	if err != nil {
		return nil, err
	}
	status, err := c.Status()
	if err == nil && status == runtime.Stopped {
		err = fmt.Errorf("container %s has ended: only what runs makes system calls", id)
	}
	return c, err
}

// traceFlags are those of trace.
type traceFlags struct {
	engine, filter  string
	errors, summary bool
	json            bool
	output, profile string
	starter         string
}

// add adds the flags. Behind run they have no short names: there -e is a variable and -c a share, as Docker's.
func (f *traceFlags) add(flags *pflag.FlagSet, short bool) {
	letter := func(l string) string {
		if short {
			return l
		}
		return ""
	}
	flags.StringVarP(&f.filter, "filter", letter("e"), "", "only these calls, or with ! first all but these: names, or "+
		"%file, %desc, %ipc,\n%memory, %network, %process, %signal")
	flags.BoolVar(&f.errors, "errors", false, "only calls that fail")
	flags.BoolVarP(&f.summary, "summary", letter("c"), false, "count, and print a table at the end")
	flags.BoolVar(&f.json, "json", false, "a JSON object for each call, or for the summary")
	flags.StringVarP(&f.output, "output", letter("o"), "", "file for what is printed")
	flags.StringVar(&f.engine, "engine", "auto", "ebpf, ptrace, or auto: the first if it can be had")
	flags.StringVar(&f.profile, "seccomp-profile", "", "write a seccomp profile that allows just what was seen")
	flags.StringVar(&f.starter, "seccomp-runtime", "final",
		"the runtime that the profile is for, which starts under it: "+strings.Join(trace.Starters(), " or "))
}

// A tracing is a trace under way, and where it is printed.
type tracing struct {
	*trace.Tracer
	f *traceFlags

	mutex   sync.Mutex // of out
	out     *bufio.Writer
	close   func() error
	missed  uint64 // that was said already
	written error
}

// checkProfile says now what would be known at the end, when all has been seen.
func (f *traceFlags) checkProfile() error {
	if _, _, err := (trace.Summary{}).Profile(f.starter); err != nil {
		return fmt.Errorf("--seccomp-%w", err)
	}
	if f.profile == "" {
		return nil
	}
	if f.filter != "" {
		return errors.New("--filter with --seccomp-profile: the profile would lack what the filter leaves out")
	}
	if _, err := os.Stat(filepath.Dir(f.profile)); err != nil {
		return fmt.Errorf("--seccomp-profile: %w", err)
	}
	return nil
}

// begin begins to trace. In run, what is printed goes to the standard error: the other one is the command's.
func (f *traceFlags) begin(s *session, target trace.Target, o trace.Options, out io.Writer) (*tracing, error) {
	t := &tracing{f: f, close: func() error { return nil }}
	o.Engine, o.Errors = trace.Engine(f.engine), f.errors
	if s.explain {
		o.Door = s.runtime().Door
	}
	if err := f.checkProfile(); err != nil {
		return nil, err
	}
	if f.filter != "" {
		var err error
		if o.Filter, err = trace.ParseFilter(f.filter); err != nil {
			return nil, fmt.Errorf("--%w", err)
		}
	}
	if f.output != "" {
		file, err := os.OpenFile(f.output, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600) // what programs write may be secret
		if err != nil {
			return nil, err
		}
		out, t.close = file, file.Close
	}
	t.out = bufio.NewWriterSize(out, 64<<10)
	if !f.summary {
		o.Event = t.print
	}
	var err error
	if t.Tracer, err = trace.Start(target, o); err != nil {
		_ = t.close() // empty
		return nil, err
	}
	if t.Why != "" && f.engine == "auto" {
		fmt.Fprintln(os.Stderr, "trace: by ptrace, which slows the container down; no", t.Why)
	}
	return t, nil
}

// print prints a call.
func (t *tracing) print(e trace.Event) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	if t.f.json {
		t.failed(json.NewEncoder(t.out).Encode(e))
		return
	}
	took := ""
	if !e.Endless {
		took = "  <" + trace.Span(e.Duration) + ">"
	}
	_, err := fmt.Fprintf(t.out, "%s %7s  %s%s\n",
		e.Time.Format("15:04:05.000000"), fmt.Sprintf("%d/%d", e.Tid, e.In), e.String(), took)
	t.failed(err)
}

func (t *tracing) failed(err error) {
	if err != nil && t.written == nil {
		t.written = err
	}
}

// flush shows what has been printed, and says if something is missing there.
func (t *tracing) flush() error {
	dropped, lost, err := t.Missed()
	t.mutex.Lock()
	defer t.mutex.Unlock()
	if err == nil && dropped+lost > t.missed && !t.f.summary {
		t.missed = dropped + lost
		fmt.Fprintln(os.Stderr, "trace:", trace.MissedText(dropped, lost))
	}
	t.failed(t.out.Flush())
	return t.written
}

// await shows the trace until the container's end, or until a signal that is not for the command.
func (t *tracing) await(signals <-chan os.Signal, take func(os.Signal) (leave bool)) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-t.Done():
			return
		case got := <-signals:
			if take(got) {
				return
			}
		case <-tick.C:
			if t.flush() != nil { // the reader has gone
				return
			}
		}
	}
}

// end ends the trace and prints and writes what is left to say.
func (t *tracing) end() error {
	err := t.Close()
	summary, summaryErr := t.Summary()
	if err == nil {
		err = summaryErr
	}
	if t.f.summary {
		err = firstError(err, t.printSummary(summary))
	}
	err = firstError(err, t.flush())
	err = firstError(err, t.close())
	if t.f.profile != "" {
		err = firstError(err, writeProfile(t.f.profile, t.f.starter, summary))
	}
	return err
}

func firstError(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

func (t *tracing) printSummary(s trace.Summary) error {
	if t.f.errors {
		var failed []trace.Count
		for _, c := range s.Counts {
			if c.Errors > 0 {
				failed = append(failed, c)
			}
		}
		s.Counts = failed
	}
	if t.f.json {
		return json.NewEncoder(t.out).Encode(s)
	}
	return s.WriteTable(t.out)
}

// writeProfile writes the profile beside its place and moves it there.
func writeProfile(path, starter string, s trace.Summary) error {
	profile, nameless, err := s.Profile(starter)
	if err != nil {
		return err
	}
	for _, call := range nameless {
		fmt.Fprintf(os.Stderr, "trace: %s is not in the profile: it has no name to be called by there\n", call.Name())
	}
	if s.Lost > 0 {
		fmt.Fprintln(os.Stderr, "trace: the profile may lack something:", trace.MissedText(0, s.Lost))
	}
	text, err := trace.ProfileFile(profile)
	if err != nil {
		return err
	}
	beside, err := os.CreateTemp(filepath.Dir(path), ".profile-*")
	if err != nil {
		return err
	}
	defer os.Remove(beside.Name()) // it is gone if all went well
	_, err = beside.Write(text)
	err = firstError(err, beside.Chmod(0o644))
	err = firstError(err, beside.Close())
	return firstError(err, os.Rename(beside.Name(), path))
}

// follow traces a container that runs already.
func (f *traceFlags) follow(s *session, c *runtime.Container) error {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, unix.SIGINT, unix.SIGTERM, unix.SIGHUP)
	defer signal.Stop(signals)
	t, err := f.begin(s, trace.Of(c), trace.Options{}, os.Stdout)
	if err != nil {
		return err
	}
	t.await(signals, func(os.Signal) bool { return true })
	return t.end()
}
