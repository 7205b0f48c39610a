//go:build linux

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/simple-container/simple-container/final/internal/boot"
	"github.com/simple-container/simple-container/final/internal/monitor"
)

// heavy are packages whose initialisation takes longer than many a verb. The build for engines is without them.
var heavy = []string{
	"net", "regexp", "github.com/godbus", "github.com/vishvananda", "github.com/spf13/pflag", "flag",
	"net/http", "crypto/tls", "crypto/x509", "archive/tar", "compress", "debug",
	"github.com/google", "github.com/docker/cli", "github.com/klauspost", "github.com/opencontainers/go-digest",
	"github.com/sirupsen", "github.com/spf13/cobra", "github.com/prometheus", "github.com/cilium", "mvdan.cc",
	"google.golang.org",
}

// TestEngineBuildIsLight: what an engine starts three times for each container initialises nothing that the
// verbs of the OCI runtime do not use.
func TestEngineBuildIsLight(t *testing.T) {
	program := buildWith(t, "engine")
	packages := initialised(t, exec.Command(program, "version"))
	refuse(t, packages, heavy...)
	if len(packages) > 35 {
		t.Errorf("%d packages are initialised, want at most 35: %q", len(packages), packages)
	}
}

// TestContainerSideIsLight: package boot takes the program over before the heaviest packages are initialised, also
// in the whole program.
func TestContainerSideIsLight(t *testing.T) {
	side := exec.Command(buildWith(t, ""))
	side.Args = []string{boot.Name, "99"} // and no list on descriptor 99: it says so, and ends
	refuse(t, initialised(t, side), "net/http", "github.com/google/go-containerregistry/pkg/v1/remote", "github.com/docker/cli/cli/config/configfile", "github.com/spf13/cobra", "mvdan.cc")
}

// TestMonitorIsLight: so does package monitor, of which there is a process for each container.
func TestMonitorIsLight(t *testing.T) {
	process := exec.Command(buildWith(t, ""))
	process.Args = []string{monitor.Name, "id", "/none", "/none", "-", "final"} // and no starter: it says so, and ends
	refuse(t, initialised(t, process), "net/http", "os/exec", "github.com/google/go-containerregistry/pkg/v1/remote",
		"github.com/docker/cli/cli/config/configfile", "github.com/spf13/cobra", "mvdan.cc/sh/v3/syntax", "mvdan.cc/sh/v3/interp")
}

func buildWith(t *testing.T, tags string) (program string) {
	t.Helper()
	if _, err := os.Stat("../go.mod"); err != nil {
		t.Skipf("runs where the source is: %v", err)
	}
	program = filepath.Join(t.TempDir(), "final")
	build := exec.Command("go", "build", "-tags", tags, "-o", program, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return program
}

// initialised returns the packages that a run of the program initialises.
//
//	init github.com/godbus/dbus/v5 @0.35 ms, 0.008 ms clock, 1784 bytes, 14 allocs
func initialised(t *testing.T, command *exec.Cmd) (packages []string) {
	t.Helper()
	command.Env = append(os.Environ(), "GODEBUG=inittrace=1")
	trace, _ := command.CombinedOutput() // it may end as it likes
	for line := range strings.Lines(string(trace)) {
		if fields := strings.Fields(line); len(fields) > 2 && fields[0] == "init" && strings.HasPrefix(fields[2], "@") {
			packages = append(packages, fields[1])
		}
	}
	if len(packages) == 0 {
		t.Fatalf("no package is initialised:\n%s", trace)
	}
	return packages
}

func refuse(t *testing.T, packages []string, refused ...string) {
	t.Helper()
	for _, name := range packages {
		if slices.ContainsFunc(refused, func(path string) bool { return within(name, path) }) {
			t.Errorf("%s is initialised: an import brings it in where every container pays for it", name)
		}
	}
}
