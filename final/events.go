//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/simple-container/simple-container/final/internal/cgroup"
	"github.com/simple-container/simple-container/final/internal/runtime"
)

var eventsVerb = verb{"events ID", "Print the figures of a container as they change, and when it runs out of memory", 1, 1,
	func(flags *flagSet) func(*session, []string) error {
		interval := flags.Duration("interval", 5*time.Second, "time between figures")
		once := flags.Bool("stats", false, "the figures, once")
		pressure := flags.String("pressure", "", "also when memory gets short: low, medium or critical")
		return func(s *session, args []string) error {
			if *interval <= 0 {
				return fmt.Errorf("--interval %v: want more than 0", *interval)
			}
			c, err := s.runtime().Load(args[0])
			if err != nil {
				return err
			}
			out := json.NewEncoder(os.Stdout)
			if *once {
				event, err := c.Stats()
				if err != nil {
					return err
				}
				return out.Encode(event)
			}
			return c.Events(*interval, cgroup.Level(*pressure), func(event runtime.Event) error { return out.Encode(event) })
		}
	}}
