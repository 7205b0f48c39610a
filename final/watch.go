//go:build linux && !engine

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os/signal"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/metrics"
)

// Engines ask for the events of one container, which are its figures each interval; people want to see what
// happens to all. isWatch tells whether it is people who ask: with no container, or with several, or with a flag
// that only they have.
func isWatch(args []string) bool {
	containers := 0
	for _, arg := range args {
		name, _, _ := strings.Cut(arg, "=")
		switch {
		case name == "--format":
			return true
		case name == "--stats" || name == "--interval" || name == "--pressure" || name == "--help" || name == "-h":
			return false
		case !strings.HasPrefix(arg, "-"):
			containers++
		}
	}
	return containers != 1
}

func watchCommand(s *session) *cobra.Command {
	var format string
	command := &cobra.Command{
		Use:   "events [CONTAINER...]",
		Short: "Tell what happens to containers, as it happens",
		Long: `Tell what happens to containers, as it happens: create, start, pause, unpause, exit with its code, destroy; and
which limits are hit: oom, memory.max, memory.high, pids.max, with how often.

With one container and no --format it is the runtime's verb, which prints figures: see final events --help.`,
		RunE: func(command *cobra.Command, args []string) error {
			if format != "text" && format != "json" {
				return fmt.Errorf("--format %q: want text or json", format)
			}
			w := &metrics.Watcher{Targets: s.allTargets, Dir: s.root, ExitCode: s.exitCode}
			w.Tell = func(e metrics.Event) error {
				if len(args) > 0 && !isOneOf(e, args) {
					return nil
				}
				return writeEvent(command.OutOrStdout(), e, format == "json")
			}
			ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM)
			defer stop()
			return w.Run(ctx)
		},
	}
	command.Flags().StringVar(&format, "format", "text", "text, or json for a line each")
	return command
}

// isOneOf tells whether an event is of a container that is named. It need not be there yet.
func isOneOf(e metrics.Event, names []string) bool {
	for _, name := range names {
		if name != "" && (name == e.Name || strings.HasPrefix(e.ID, name)) {
			return true
		}
	}
	return false
}

// writeEvent writes a line.
//
//	2026-11-26T12:00:00.123456789Z web exit code=137 signal=SIGKILL
func writeEvent(out io.Writer, e metrics.Event, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(out).Encode(e)
	}
	line := fmt.Sprintf("%s %s %s", e.Time.UTC().Format(time.RFC3339Nano), e.Name, e.Action)
	if e.Count > 0 {
		line += fmt.Sprintf(" count=%d", e.Count)
	}
	if e.Code != nil {
		line += fmt.Sprintf(" code=%d", *e.Code)
	}
	if e.Signal != "" {
		line += " signal=" + e.Signal
	}
	if e.Image != "" {
		line += " image=" + e.Image
	}
	_, err := fmt.Fprintln(out, line)
	return err
}
