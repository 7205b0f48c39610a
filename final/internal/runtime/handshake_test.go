//go:build linux

package runtime

import (
	"testing"

	"golang.org/x/sys/unix"
)

// TestWhy: a container side that reported nothing.
func TestWhy(t *testing.T) {
	for status, want := range map[unix.WaitStatus]string{
		9:        "the container side was ended by SIGKILL (out of memory, if the limit is very low)",
		1 << 8:   "the container side ended with code 1 before the command",
		253 << 8: "the container side could not begin (out of memory, if the limit is very low)",
	} {
		if got := new(side).why(status).Error(); got != want {
			t.Errorf("%x: %q, want %q", status, got, want)
		}
	}
}
