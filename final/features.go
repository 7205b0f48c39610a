//go:build linux

package main

import (
	"github.com/simple-container/simple-container/final/internal/runtime"
)

var featuresVerb = verb{"features", "Print what this runtime can do, as the specification has it", 0, 0,
	func(*flagSet) func(*session, []string) error {
		return func(*session, []string) error { return printJSON(runtime.Features()) }
	}}
