//go:build linux

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// heavy are packages whose initialisation takes longer than many a verb. The build for engines is without them.
var heavy = []string{
	"net/http", "crypto/tls", "crypto/x509", "archive/tar", "compress", "debug",
	"github.com/google", "github.com/docker/cli", "github.com/klauspost", "github.com/opencontainers/go-digest",
	"github.com/sirupsen", "github.com/spf13/cobra", "github.com/prometheus", "github.com/cilium", "mvdan.cc",
	"google.golang.org",
}

// TestEngineBuildIsLight: what an engine starts three times for each container initialises nothing that the
// verbs of the OCI runtime do not use.
func TestEngineBuildIsLight(t *testing.T) {
	if _, err := os.Stat("../go.mod"); err != nil {
		t.Skipf("runs where the source is: %v", err)
	}
	program := filepath.Join(t.TempDir(), "final")
	build := exec.Command("go", "build", "-tags", "engine", "-o", program, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	run := exec.Command(program, "version")
	run.Env = append(os.Environ(), "GODEBUG=inittrace=1")
	trace, err := run.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, trace)
	}
	// init github.com/godbus/dbus/v5 @0.35 ms, 0.008 ms clock, 1784 bytes, 14 allocs
	packages := 0
	for line := range strings.Lines(string(trace)) {
		fields := strings.Fields(line)
		if len(fields) < 2 || fields[0] != "init" {
			continue
		}
		packages++
		if i := slices.IndexFunc(heavy, func(path string) bool { return within(fields[1], path) }); i >= 0 {
			t.Errorf("%s is initialised: an import brings it in where engines pay for it", fields[1])
		}
	}
	if packages == 0 || packages > 50 {
		t.Errorf("%d packages are initialised, want 1 to 50:\n%s", packages, trace)
	}
}
