//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/simple-container/simple-container/final/internal/op"
	"github.com/simple-container/simple-container/final/internal/runtime"
)

var planVerb = verb{"plan [BUNDLE]", "Print the kernel calls that the container side of a bundle makes, and why", 0, 1,
	func(flags *flagSet) func(*session, []string) error {
		asJSON := flags.Bool("json", false, "as JSON, a call each line")
		return func(s *session, args []string) error {
			bundle := "."
			if len(args) > 0 {
				bundle = args[0]
			}
			list, err := s.runtime().Plan("ID", runtime.CreateOptions{Bundle: bundle})
			if err != nil {
				return err
			}
			if *asJSON {
				return printPlanJSON(os.Stdout, list)
			}
			printPlan(os.Stdout, list)
			return nil
		}
	}}

// printPlan prints a plan for people: the reason, the call, and what a person would type.
func printPlan(out io.Writer, list *op.List) {
	why := ""
	for i, o := range list.Ops {
		if o.Why != "" && o.Why != why {
			fmt.Fprintf(out, "\n# %s\n", o.Why)
		}
		why = o.Why
		fmt.Fprintf(out, "%4d  %s%s\n", i, o, jumps(o))
		if o.Shell != "" {
			fmt.Fprintf(out, "        $ %s\n", o.Shell)
		}
	}
}

// jumps says where an op leads, if not to the next.
func jumps(o op.Op) (text string) {
	if o.Label != "" {
		text += "   <" + o.Label + ">"
	}
	if len(o.Accept) > 0 {
		text += fmt.Sprintf("   %s", op.ErrnoNames(o.Accept))
		if o.Accepted == "" {
			text += " is fine"
		}
	}
	for _, jump := range []struct{ when, to string }{{"", o.Accepted}, {"0", o.Zero}, {"not 0", o.Positive}} {
		if jump.to == "" {
			continue
		}
		if jump.when != "" {
			text += "   " + jump.when
		}
		text += " → " + jump.to
	}
	return text
}

func printPlanJSON(out io.Writer, list *op.List) error {
	e := json.NewEncoder(out)
	e.SetEscapeHTML(false)
	for i, o := range list.Ops {
		line := struct {
			Index    int      `json:"index"`
			Call     string   `json:"call"`
			Shell    string   `json:"shell,omitempty"`
			Why      string   `json:"why,omitempty"`
			Label    string   `json:"label,omitempty"`
			Accept   []string `json:"accept,omitempty"`
			Accepted string   `json:"accepted,omitempty"`
			Zero     string   `json:"zero,omitempty"`
			Positive string   `json:"positive,omitempty"`
		}{i, o.String(), o.Shell, o.Why, o.Label, nil, o.Accepted, o.Zero, o.Positive}
		for _, errno := range o.Accept {
			line.Accept = append(line.Accept, op.ErrnoName(errno))
		}
		if err := e.Encode(line); err != nil {
			return err
		}
	}
	return nil
}
