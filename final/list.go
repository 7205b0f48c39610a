//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"text/tabwriter"
	"time"

	"github.com/simple-container/simple-container/final/internal/runtime"
)

var listVerb = verb{"list", "List the containers", 0, 0,
	func(flags *flagSet) func(*session, []string) error {
		format := flags.StringP("format", "f", "table", "table or json")
		quiet := flags.BoolP("quiet", "q", false, "only the ids")
		return func(s *session, _ []string) error {
			states, err := s.states()
			if err == nil && s.placed { // a place that was named, and is none, was mistyped
				_, err = os.Stat(s.root)
			}
			switch {
			case err != nil:
				return err
			case *quiet:
				for _, state := range states {
					fmt.Println(state.ID)
				}
				return nil
			case *format == "json":
				return json.NewEncoder(os.Stdout).Encode(states) // in one line, as runc
			case *format == "table":
				return printStates(states)
			}
			return fmt.Errorf("--format %q: want table or json", *format)
		}
	}}

// states are those of all containers but the ones that vanish while we look; nil if there are none.
func (s *session) states() (states []*runtime.State, err error) {
	list, err := s.runtime().List()
	for _, c := range list {
		if state, err := c.State(); err == nil {
			states = append(states, state)
		}
	}
	return states, err
}

func printStates(states []*runtime.State) error {
	w := tabwriter.NewWriter(os.Stdout, 12, 1, 3, ' ', 0)
	fmt.Fprintln(w, "ID\tPID\tSTATUS\tBUNDLE\tCREATED\tOWNER")
	for _, s := range states {
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\t%s\n", s.ID, s.Pid, s.Status, s.Bundle, s.Created.Format(time.RFC3339Nano), s.Owner)
	}
	return w.Flush()
}
