//go:build linux && !engine

package main

import (
	"os"
	"strings"
	"testing"
)

// TestWithoutRoot: who is not root hears so from every verb about containers, with what to do, and nothing else.
func TestWithoutRoot(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("the test gives up root itself")
	}
	run := nobodysProgram(t)
	for line, code := range map[string]int{
		"run lab": 125, "create lab": 125, "start x": 1, "exec x true": 1, "kill x": 1, "rm x": 1, "ps": 1, "logs x": 1,
		"inspect x": 1, "pause x": 1, "update --pids-limit 3 x": 1, "stats": 1, "network ls": 1, "images": 1, "pull lab": 1,
		"cp x:/a b": 1, "trace x": 1,
	} {
		out, got := run(strings.Fields(line)...)
		verb, _, _ := strings.Cut(line, " ")
		want := "final: " + verb + ": must be root, for namespaces, mounts and cgroups, and this is user 65534: sudo final " + verb + " ...\n"
		if out != want || got != code {
			t.Errorf("final %s: code %d, %q, want %d, %q", line, got, out, code, want)
		}
	}
	for _, line := range []string{"run --bundle . x", "create --bundle . x", "state x", "delete x", "list", "resume x"} {
		out, code := run(strings.Fields(line)...)
		verb, _, _ := strings.Cut(line, " ")
		want := ": sudo final " + verb + " ..., or final --root DIR " + verb + " ...\n"
		if !strings.HasPrefix(out, "final: "+verb+": ") || !strings.HasSuffix(out, want) || code != 1 {
			t.Errorf("final %s: code %d, %q, want 1, %q", line, code, out, want)
		}
	}
	for _, line := range []string{"--help", "run --help", "state --help", "spec --help", "features", "--version", "help"} {
		if out, code := run(strings.Fields(line)...); code != 0 {
			t.Errorf("final %s: code %d, %s", line, code, out)
		}
	}
}
