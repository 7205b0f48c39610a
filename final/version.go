//go:build linux

package main

import (
	"fmt"
	"runtime/debug"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// version is what `final --version` prints; engines want a number behind "runc version".
const version = "1.0.0"

var versionVerb = verb{"version", "Print the version", 0, 0, func(*flagSet) func(*session, []string) error {
	return func(*session, []string) error {
		fmt.Printf("runc version %s (simple-container final)\ncommit: %s\nspec: %s\n", version, commit(), specs.Version)
		return nil
	}
}}

// commit is what this program was built from, as far as the compiler was told.
func commit() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, setting := range info.Settings {
			if setting.Key == "vcs.revision" {
				return setting.Value
			}
		}
	}
	return "unknown"
}
