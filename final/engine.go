//go:build linux && engine

package main

import (
	"errors"
	"fmt"
)

// This build has no userland and no verbs for people.

func userland([]string) (code int, ok bool) { return 0, false }

func people(args []string) error {
	if len(args) == 0 || args[0] == "--help" {
		for _, v := range verbs {
			fmt.Printf("%-30s %s\n", v.use, v.short)
		}
		return nil
	}
	return errors.New(args[0] + ": not in this build of final, which is the one for engines: go build ./final has it")
}
