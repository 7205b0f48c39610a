//go:build linux && !engine

package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docker/go-units"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/simple-container/simple-container/final/internal/engine"
	"github.com/simple-container/simple-container/final/internal/image"
	"github.com/simple-container/simple-container/final/internal/ocispec"
)

// psFlags are those of ps.
type psFlags struct {
	all, quiet, whole, latest bool
	size                      bool
	last                      int
	format                    string
	filter                    []string
}

func (f *psFlags) add(flags *pflag.FlagSet) {
	flags.BoolVarP(&f.all, "all", "a", false, "also those that do not run")
	flags.BoolVarP(&f.quiet, "quiet", "q", false, "only the ids")
	flags.BoolVar(&f.whole, "no-trunc", false, "nothing is shortened")
	flags.BoolVarP(&f.size, "size", "s", false, "how much each has written, and with its image")
	flags.BoolVarP(&f.latest, "latest", "l", false, "the one that was made last")
	flags.IntVarP(&f.last, "last", "n", -1, "those that were made last, so many")
	flags.StringVar(&f.format, "format", "", "table, json, or a template of Go, as {{.Names}}")
	flags.StringArrayVarP(&f.filter, "filter", "f", nil, "KEY=VALUE: id, name, label, status, exited, ancestor, volume, network, before or since")
}

func psCommand(s *session) *cobra.Command {
	var f psFlags
	command := &cobra.Command{
		Use:   "ps",
		Short: "List containers",
		Args:  noArguments,
		RunE: func(*cobra.Command, []string) error {
			filter, err := engine.ParseFilter(f.filter)
			if err != nil {
				return err
			}
			if f.latest {
				f.last = 1
			}
			// Who asks for those of a status wants to see them, running or not.
			all := f.all || f.last >= 0 || len(filter["status"]) > 0 || len(filter["exited"]) > 0
			list, err := s.engine().List(engine.ListOptions{All: all, Filter: filter})
			if f.last >= 0 {
				list = list[:min(f.last, len(list))]
			}
			rows := make([]psRow, len(list))
			for i, c := range list {
				rows[i] = f.row(c)
			}
			return errors.Join(err, f.print(rows))
		},
	}
	f.add(command.Flags())
	complete(command, words())
	completeFlag(command, "format", words("table", "json"))
	return command
}

// A psRow is a line of ps. The names are those of Docker's templates.
type psRow struct {
	ID, Image, Command, CreatedAt, RunningFor, State, Status, Ports, Names, Labels, Mounts, Networks string

	LocalVolumes string // how many
	Size         string `json:",omitempty"` // 5B (virtual 7.1MB), if it was asked for

	labels map[string]string
}

// Label is the value of one label.
func (r psRow) Label(name string) string { return r.labels[name] }

func (f *psFlags) row(c *engine.Container) psRow {
	r := psRow{
		ID: c.ID, Image: c.Image, CreatedAt: c.Created.Local().Format("2006-01-02 15:04:05 -0700 MST"),
		Command: strings.Join(c.Config.Args(), " "), RunningFor: ago(c.Created),
		State: string(c.State.Status), Status: statusOf(c), Ports: strings.Join(c.Ports(), ", "), Names: c.Name,
		Networks: c.Network(), labels: c.Config.Labels,
	}
	if c.Rootfs != "" {
		r.Image = c.Rootfs
	}
	if !f.whole {
		r.ID = engine.Short(c.ID)
		r.Command = shorten(r.Command, 20)
		r.Image = strings.TrimPrefix(r.Image, "sha256:")
		if len(r.Image) == 64 {
			r.Image = image.Short(r.Image)
		}
	}
	r.Command = strconv.Quote(r.Command)
	if f.size {
		r.Size = sizeOf(c)
	}
	r.Labels = joinLabels(c.Config.Labels)
	r.Mounts, r.LocalVolumes = f.mounts(c)
	return r
}

// mounts are the names of volumes, and paths of the host; and how many volumes there are.
func (f *psFlags) mounts(c *engine.Container) (names, volumes string) {
	var list []string
	n := 0
	for _, m := range c.Mounts {
		name := m.Source
		switch m.Type {
		case ocispec.Tmpfs:
			continue
		case ocispec.Volume:
			name = m.Name
			n++
		}
		if !f.whole {
			name = shorten(name, 15)
		}
		list = append(list, name)
	}
	return strings.Join(list, ","), strconv.Itoa(n)
}

// shorten cuts a text to a width.
func shorten(text string, width int) string {
	if runes := []rune(text); len(runes) > width {
		return string(runes[:width-1]) + "…"
	}
	return text
}

// sizeOf is the column SIZE. What has just gone has none.
func sizeOf(c *engine.Container) string {
	written, all, err := c.Size()
	if err != nil {
		return "?"
	}
	return fmt.Sprintf("%s (virtual %s)", units.HumanSizeWithPrecision(float64(written), 3), units.HumanSizeWithPrecision(float64(all), 3))
}

// statusOf is the column STATUS.
func statusOf(c *engine.Container) string {
	switch state := c.State; state.Status {
	case engine.Running:
		return "Up " + humanDuration(time.Since(state.StartedAt))
	case engine.Paused:
		return "Up " + humanDuration(time.Since(state.StartedAt)) + " (Paused)"
	case engine.Exited:
		return fmt.Sprintf("Exited (%d) %s", state.ExitCode, ago(state.FinishedAt))
	case engine.Starting:
		return "Starting"
	}
	return "Created"
}

func humanDuration(d time.Duration) string { return units.HumanDuration(max(d, 0)) }

var psColumns = []column[psRow]{
	{"CONTAINER ID", func(r psRow) string { return r.ID }},
	{"IMAGE", func(r psRow) string { return r.Image }},
	{"COMMAND", func(r psRow) string { return r.Command }},
	{"CREATED", func(r psRow) string { return r.RunningFor }},
	{"STATUS", func(r psRow) string { return r.Status }},
	{"PORTS", func(r psRow) string { return r.Ports }},
	{"NAMES", func(r psRow) string { return r.Names }},
}

func (f *psFlags) print(rows []psRow) error {
	if f.quiet && f.format == "" {
		for _, r := range rows {
			fmt.Println(r.ID)
		}
		return nil
	}
	columns := psColumns
	if f.size {
		columns = append(slices.Clone(columns), column[psRow]{"SIZE", func(r psRow) string { return r.Size }})
	}
	return printRows(f.format, columns, rows)
}
