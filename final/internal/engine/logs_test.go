//go:build linux

package engine

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/simple-container/simple-container/final/internal/monitor"
)

// TestTail: the last entries are found from the end, through both files of a log, and whatever stands at the end.
func TestTail(t *testing.T) {
	lines := make([]string, 2000)
	for i := range lines {
		lines[i] = fmt.Sprintf("line %d %s", i, strings.Repeat("x", i%500)) // some blocks of text
	}
	entries := func(from, to int) string {
		var text strings.Builder
		for _, line := range lines[from:to] {
			fmt.Fprintf(&text, `{"log":"%s","stream":"stdout","time":"2026-01-02T15:04:05Z"}`+"\n", line)
		}
		return text.String()
	}
	for name, test := range map[string]struct {
		old, current string
		all          []string
	}{
		"one file":             {"", entries(0, 2000), lines},
		"two files":            {entries(0, 1000), entries(1000, 2000), lines},
		"an entry half-way":    {entries(0, 1990), entries(1990, 2000) + `{"log":"half`, lines},
		"nothing in the newer": {entries(0, 2000), "", lines},
		"nothing at all":       {"", "", nil},
	} {
		c := &Container{dir: t.TempDir()}
		for file, text := range map[string]string{monitor.OldLog: test.old, monitor.LogFile: test.current} {
			if err := os.WriteFile(filepath.Join(c.dir, file), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		for _, n := range []int{-1, 0, 1, 2, 9, 10, 11, 999, 1000, 1001, 1999, 2000, 5000} {
			want := test.all
			if n >= 0 {
				want = want[max(0, len(want)-n):]
			}
			var got []string
			err := c.Logs(LogOptions{Tail: n}, func(e Entry) error { got = append(got, e.Text); return nil })
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("%s, --tail %d: %d entries, %v; want %d", name, n, len(got), err, len(want))
			}
		}
	}
}
