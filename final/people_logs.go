//go:build linux && !engine

package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/simple-container/simple-container/final/internal/engine"
)

func logsCommand(s *session) *cobra.Command {
	var o engine.LogOptions
	var since, until, tail string
	var stamps bool
	command := &cobra.Command{
		Use:   "logs CONTAINER",
		Short: "Print what a container has written",
		Args:  oneContainer,
		RunE: func(_ *cobra.Command, args []string) (err error) {
			now := time.Now()
			if o.Since, err = parseTime("since", since, now); err != nil {
				return err
			}
			if o.Until, err = parseTime("until", until, now); err != nil {
				return err
			}
			if o.Tail, err = parseTail(tail); err != nil {
				return err
			}
			c, err := s.engine().Find(args[0])
			if err != nil {
				return err
			}
			return c.Logs(o, func(e engine.Entry) error { return printEntry(e, stamps) })
		},
	}
	command.Flags().BoolVarP(&o.Follow, "follow", "f", false, "go on until it has ended")
	command.Flags().BoolVarP(&stamps, "timestamps", "t", false, "with the time of each line")
	command.Flags().StringVar(&since, "since", "", "not what is older: a time as 2026-01-02T15:04:05, or how long ago, as 10m")
	command.Flags().StringVar(&until, "until", "", "not what is newer")
	command.Flags().StringVarP(&tail, "tail", "n", "all", "only so many lines from the end")
	complete(command, once(completeContainers(s)))
	return command
}

func printEntry(e engine.Entry, stamps bool) error {
	var out io.Writer = os.Stdout
	if e.Stream == "stderr" {
		out = os.Stderr
	}
	if stamps {
		e.Text = e.Time.Format("2006-01-02T15:04:05.000000000Z07:00") + " " + e.Text
	}
	_, err := io.WriteString(out, e.Text)
	return err
}

func parseTail(text string) (int, error) {
	if text == "all" || text == "" {
		return -1, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0, fmt.Errorf("--tail %q: want a number of lines, or all", text)
	}
	return max(n, -1), nil
}

// layouts are the ways to write a time.
var layouts = []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02T15:04", "2006-01-02", "2006-01-02 15:04:05"}

// parseTime reads a time: how long ago, seconds since 1970, or a date. Without a zone it is ours.
func parseTime(flag, text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if ago, err := time.ParseDuration(text); err == nil {
		return now.Add(-ago), nil
	}
	if seconds, err := strconv.ParseFloat(text, 64); err == nil {
		return time.Unix(0, int64(seconds*1e9)), nil
	}
	for _, layout := range layouts {
		if t, err := time.ParseInLocation(layout, text, time.Local); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("--%s %q: want a time as 2026-01-02T15:04:05, or how long ago, as 10m", flag, text)
}
