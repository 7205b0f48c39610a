//go:build linux

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

var psVerb = verb{"ps [ID [OPTION...]]", "List the processes of a container, as the host numbers them; without ID, the containers", 0, -1,
	func(flags *flagSet) func(*session, []string) error {
		format := flags.StringP("format", "f", "table", "table, made by ps(1) with the options, or json, the numbers alone")
		return func(s *session, args []string) error {
			if len(args) == 0 {
				states, err := s.states()
				if err != nil {
					return err
				}
				return printStates(states)
			}
			c, err := s.runtime().Load(args[0])
			if err != nil {
				return err
			}
			pids, err := c.Pids()
			if err != nil {
				return err
			}
			switch *format {
			case "json":
				return json.NewEncoder(os.Stdout).Encode(pids)
			case "table":
				return printProcesses(pids, args[1:])
			}
			return fmt.Errorf("--format %q: want table or json", *format)
		}
	}}

// printProcesses prints the lines of ps(1) that are the processes'.
func printProcesses(pids []int, options []string) error {
	if len(options) == 0 {
		options = []string{"-ef"}
	}
	out, err := exec.Command("ps", options...).Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		if said, _, _ := strings.Cut(strings.TrimSpace(string(exit.Stderr)), "\n"); said != "" { // the rest is its help
			err = errors.New(said)
		}
	}
	if err != nil {
		return fmt.Errorf("ps %s: %w", strings.Join(options, " "), err)
	}
	wanted := map[string]bool{}
	for _, pid := range pids {
		wanted[strconv.Itoa(pid)] = true
	}
	column := -1
	for i, line := range strings.Split(strings.TrimRight(string(out), "\n"), "\n") {
		fields := strings.Fields(line)
		if i == 0 {
			for j, name := range fields {
				if name == "PID" {
					column = j
				}
			}
			if column < 0 {
				return fmt.Errorf("ps %s: no column PID", strings.Join(options, " "))
			}
		}
		if i == 0 || column < len(fields) && wanted[fields[column]] {
			fmt.Println(line)
		}
	}
	return nil
}
