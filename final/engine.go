//go:build linux && engine

package main

import (
	"errors"
	"fmt"
	"slices"
)

// This build has no userland and no verbs for people.

func (*session) isForPeople(string, []string) bool { return false }

func userland([]string) (code int, ok bool) { return 0, false }

func people(_ *session, args []string) error {
	if len(args) == 0 || args[0] == "--help" {
		fmt.Println("usage: final [FLAG...] VERB [flag...] [ARGUMENT...]\n\nverbs (final VERB --help tells more):")
		for _, v := range verbs {
			fmt.Printf("  %-28s %s\n", v.use, v.short)
		}
		fmt.Printf("\nFLAGs:\n%s", (&session{}).flags().FlagUsages())
		return nil
	}
	if slices.Contains([]string{"rootfs", "doctor", "clean", "completion", "stop", "rm", "logs", "pull", "images"}, args[0]) {
		return errors.New(args[0] + ": not in this build of final, which is the one for engines: go build ./final has it")
	}
	return fmt.Errorf("%q: unknown command (see final --help)", args[0])
}
