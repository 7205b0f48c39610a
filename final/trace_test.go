//go:build linux && !engine

package main

import (
	"strings"
	"testing"
)

// What would make a trace useless at its end is said before it begins.
func TestCheckProfile(t *testing.T) {
	place := t.TempDir()
	for _, test := range []struct {
		flags traceFlags
		want  string
	}{
		{traceFlags{starter: "final", profile: place + "/profile.json"}, ""},
		{traceFlags{starter: "final"}, ""},
		{traceFlags{starter: "docker"}, "--seccomp-runtime \"docker\""},
		{traceFlags{starter: "final", profile: place + "/nowhere/profile.json"}, place + "/nowhere: no such file"},
		{traceFlags{starter: "final", profile: "p.json", filter: "%file"}, "--filter"},
	} {
		err := test.flags.checkProfile()
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%+v: %v; want %q", test.flags, err, test.want)
		}
	}
}
