//go:build linux

// Command final is the workshop's last step: a container runtime that people and engines can use.
//
// main only wires the verbs together. Each verb is one file of this folder, named after it, and each does its
// work with the packages under internal, where imports point strictly downward (layout_test.go holds the
// order). The verbs of the OCI runtime, which engines call many times a second, are in a table (oci.go); those
// for people are cobra's (people.go).
//
// Every package that is linked in is initialised at every start, and an engine starts this program three times
// for one container. So there is a smaller build for engines, of the OCI verbs alone:
//
//	go build -tags engine ./final
package main

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

func main() {
	if code, ok := userland(os.Args); ok {
		os.Exit(code)
	}
	_ = growStack(len(os.Args))
	os.Exit(execute(os.Args[1:]))
}

// execute carries out a command line and returns the exit code.
func execute(args []string) int {
	unix.Umask(0o022) // what a container sees has the modes that are written here, whatever the habits of who calls
	s, rest, err := parseGlobals(args)
	if err != nil {
		fmt.Fprintln(os.Stderr, "final:", err)
		return 1
	}
	if len(rest) > 0 {
		if verb, ok := findVerb(rest[0]); ok && !s.isForPeople(rest[0], rest[1:]) {
			return s.finish(verb.call(s, rest[1:]))
		}
	}
	return s.finish(people(s, rest))
}

// exitError ends the program with this code and no message: the verb has already said what there is to say.
type exitError int

func (code exitError) Error() string { return fmt.Sprintf("exit status %d", int(code)) }

// A coded error ends the program with a code of its own.
type coded struct {
	code int
	error
}

func (c *coded) Unwrap() error { return c.error }

// codeOf is the exit code for an error, and whether there is something to be said of it.
func codeOf(err error) (code int, silent bool) {
	var exit exitError
	var own *coded
	switch {
	case err == nil:
		return 0, true
	case errors.As(err, &exit):
		return int(exit), true
	case errors.As(err, &own):
		return own.code, false
	}
	return 1, false
}
