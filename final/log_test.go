//go:build linux

package main

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// events asks the kernel by several goroutines at once: each call is a line of its own in the log.
func TestDebugLogOfSeveral(t *testing.T) {
	s := &session{log: filepath.Join(t.TempDir(), "log"), format: "text"}
	door := debugLog{s}
	const writers, calls = 4, 200
	var all sync.WaitGroup
	for range writers {
		all.Go(func() {
			for range calls {
				_, _ = door.Write([]byte("write FILE\n  $ echo > FILE\n"))
			}
		})
	}
	all.Wait()
	text, err := os.ReadFile(s.log)
	if err != nil {
		t.Fatal(err)
	}
	for line, want := range map[string]int{`msg="write FILE"`: writers * calls, `msg="  $ echo > FILE"`: writers * calls} {
		if got := strings.Count(string(text), line+"\n"); got != want {
			t.Errorf("lines with %s: got %d, want %d", line, got, want)
		}
	}
}
