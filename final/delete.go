//go:build linux

package main

import (
	"errors"

	"github.com/simple-container/simple-container/final/internal/runtime"
)

var deleteVerb = verb{"delete ID", "Remove a container that has stopped or was never started", 1, 1,
	func(flags *flagSet) func(*session, []string) error {
		force := flags.BoolP("force", "f", false, "kill it first, if it runs; and it is no error if there is none")
		regex := flags.BoolP("regex", "r", false, "ID is a regular expression: every container whose id it matches")
		return func(s *session, args []string) error {
			return s.each(args[0], *regex, func(id string) error {
				err := s.runtime().Delete(id, *force)
				if *force && errors.Is(err, runtime.ErrNotExist) {
					return nil
				}
				return err
			})
		}
	}}
