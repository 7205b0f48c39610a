//go:build linux && !engine

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"github.com/simple-container/simple-container/final/internal/engine"
	"github.com/simple-container/simple-container/final/internal/metrics"
)

func statsCommand(s *session) *cobra.Command {
	v := &statsView{targets: s.allTargets, history: map[string]*history{}}
	command := &cobra.Command{
		Use:   "stats [CONTAINER...]",
		Short: "Show what containers use, as it changes",
		Long: `Show what containers use, as it changes: all that run, or those that are named.

On a terminal the table is drawn over itself, with what has been of each container: its processor time, up to
its quota, or to all processors without one, and its memory, up to its limit or the machine's. A bar is red if
the container was throttled, or near its limit of memory; yellow is from 80 % on.

--format takes table, json (a line each, with all figures), or a template over the fields of Docker's stats:
{{.Name}} {{.ID}} {{.CPUPerc}} {{.MemUsage}} {{.MemPerc}} {{.NetIO}} {{.BlockIO}} {{.PIDs}}.`,
		RunE: func(command *cobra.Command, args []string) error {
			if v.interval < 100*time.Millisecond {
				return fmt.Errorf("--interval %v: want at least 100ms", v.interval)
			}
			v.names, v.out = args, command.OutOrStdout()
			if file, ok := v.out.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
				v.terminal = file
			}
			ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM)
			defer stop()
			return v.run(ctx)
		},
	}
	flags := command.Flags()
	flags.BoolVarP(&v.all, "all", "a", false, "those that are stopped, too")
	flags.BoolVar(&v.once, "no-stream", false, "one table, of one interval")
	flags.StringVar(&v.format, "format", "table", "table, json, or a template")
	flags.DurationVar(&v.interval, "interval", time.Second, "time between two looks")
	flags.Bool("no-trunc", false, "accepted, as Docker's: nothing is cut off")
	complete(command, completeContainers(s, engine.Running, engine.Paused))
	return command
}

// A statsView is the table as it changes.
type statsView struct {
	targets  func() ([]metrics.Target, error)
	names    []string
	all      bool
	once     bool
	format   string
	interval time.Duration
	out      io.Writer
	terminal *os.File // nil if the table goes elsewhere

	reader  metrics.Reader
	history map[string]*history // by ID
}

// run shows a table at each interval. Shares of time need two looks: the first table of a stream is without
// them, and one that is the only one waits.
func (v *statsView) run(ctx context.Context) error {
	defer v.reader.Close()
	show, err := v.writer()
	if err != nil {
		return err
	}
	ticker := time.NewTicker(v.interval)
	defer ticker.Stop()
	if v.terminal != nil && !v.once {
		fmt.Fprint(v.terminal, hideCursor)
		defer fmt.Fprint(v.terminal, showCursor)
	}
	for first := true; ; first = false {
		rows, err := v.look()
		if err != nil {
			return err
		}
		if !first || !v.once {
			if err := show(rows); errors.Is(err, unix.EPIPE) {
				return nil // the reader has seen enough
			} else if err != nil {
				return err
			}
		}
		if v.once && !first {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// look reads all containers, and remembers what it has seen of each.
func (v *statsView) look() (rows []statsRow, err error) {
	targets, err := v.targets()
	if err != nil {
		return nil, err
	}
	if targets, err = named(targets, v.names); err != nil {
		return nil, err
	}
	samples, err := v.reader.All(targets)
	if err != nil {
		return nil, err
	}
	now := map[string]*history{}
	for _, t := range targets {
		if h := v.history[t.ID]; h != nil {
			now[t.ID] = h
		} else {
			now[t.ID] = &history{}
		}
	}
	v.history = now // those that are gone are forgotten
	for _, sample := range samples {
		now[sample.ID].add(sample.Figures)
		rows = append(rows, newRow(sample, now[sample.ID]))
	}
	if v.all || len(v.names) > 0 {
		for _, t := range targets {
			if !runs(t) {
				rows = append(rows, stoppedRow(t))
			}
		}
	}
	return rows, nil
}
