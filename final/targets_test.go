//go:build linux && !engine

package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/simple-container/simple-container/final/internal/metrics"
)

// A container whose end the runtime knows and its record does not is there all the same: else it would be told of as
// destroyed, and then as made anew.
func TestWithNames(t *testing.T) {
	known := func() map[string]metrics.Target {
		return map[string]metrics.Target{
			"1": {ID: "1", Name: "web", Image: "lab", Status: "running"},
			"2": {ID: "2", Name: "ending", Image: "lab", Status: "running"},
			"3": {ID: "3", Name: "new", Image: "lab", Status: "created"},
		}
	}
	running := []metrics.Target{{ID: "1", Name: "1", Pid: 7, Status: "running"}, {ID: "4", Name: "4"}}
	for all, want := range map[bool]string{false: "4 web/lab/7", true: "4 ending/lab/0 new/lab/0 web/lab/7"} {
		var got []string
		for _, target := range withNames(slices.Clone(running), known(), all) {
			word := target.Name
			if target.Image != "" {
				word += "/" + target.Image + "/" + string(rune('0'+target.Pid))
			}
			got = append(got, word)
		}
		slices.Sort(got)
		if diff := cmp.Diff(want, strings.Join(got, " ")); diff != "" {
			t.Errorf("all: %v (-want +got):\n%s", all, diff)
		}
	}
}
