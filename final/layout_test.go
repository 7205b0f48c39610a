package main

import (
	"errors"
	"go/build"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const internal = "github.com/simple-container/simple-container/final/internal/"

// layers are the packages below main, from the top down. A package may import those of the rows below its
// own: not above, which would be a circle in the making, and not beside, so that each can be read and tested
// without the others.
var layers = [][]string{
	{"web"},
	{"engine"},
	{"trace", "metrics"},
	{"runtime"},
	{"ocispec"},
	{"image", "overlay", "network", "cp"},
	{"tree"},
	{"plan"},
	{"rootfs", "confine", "cgroup", "console"},
	{"executor"},
	{"boot", "monitor", "reaper", "resolver"},
	{"op"},
	{"kernel", "decode"},
	{"lab", "naming"},
}

// forbidden are imports from outside the tree that a package must not have. "*" is every package.
var forbidden = []struct{ pkg, path, because string }{
	{"*", "github.com/spf13/cobra", "the command line is main's; what engines call must not pay for its start-up"},
	{"*", "github.com/docker/docker", "a client of the daemon that this replaces"},
	{"*", "github.com/containers/image", "18 MB; go-containerregistry does the same"},
	{"*", "github.com/distribution/reference", "2.6 ms of package initialisation"},
	{"*", "github.com/opencontainers/runc", "cgroups, mounts and namespaces are what this project teaches, so it does them itself"},
	{"*", "github.com/opencontainers/cgroups", "the same"},
	{"*", "google.golang.org/grpc", "tests of engines speak it, as kubelet; this serves no such calls"},
	{"*", "k8s.io", "the same"},
	{"runtime", "github.com/google/go-containerregistry", "the OCI life cycle knows bundles, not images"},
	{"runtime", "github.com/prometheus", "start-up time of every container"},
	{"ocispec", "os", "flags and image in, config.json out: nothing else may matter"},
	{"plan", "os/exec", "a plan is a pure function of the spec"},
	{"plan", "net", "a plan is a pure function of the spec"},
	{"boot", "encoding/json", "the container side parses nothing"},
	{"boot", "github.com/", "whatever it imports is initialised at every container start"},
	{"boot", "net", "whatever it imports is initialised at every container start"},
	{"resolver", "github.com/", "it is one process more for every network"},
	{"kernel", "net/http", "the door serves nobody, and every container start goes through it"},
	{"lab", "github.com/google/go-containerregistry", "the lab is the userland of containers that have no network"},
}

func TestImportsPointDownward(t *testing.T) {
	for name, imports := range internalPackages(t, true) {
		row := layerOf(name)
		if row < 0 {
			t.Errorf("package %s has no row in the table of layers: give it one, in layout_test.go and in the design", name)
			continue
		}
		for _, imported := range imports {
			other, ok := strings.CutPrefix(imported, internal)
			if !ok {
				continue
			}
			if to := layerOf(other); to <= row && other != name {
				t.Errorf("%s imports %s, which is %s: a package may import only those of lower rows",
					name, other, map[bool]string{true: "above it", false: "beside it"}[to < row])
			}
		}
	}
}

func TestForbiddenImports(t *testing.T) {
	for name, imports := range internalPackages(t, false) { // tests may: they read golden files
		for _, row := range forbidden {
			if row.pkg != "*" && row.pkg != name {
				continue
			}
			for _, imported := range imports {
				if within(imported, row.path) && !strings.HasPrefix(imported, internal) {
					t.Errorf("%s imports %s: %s", name, imported, row.because)
				}
			}
		}
	}
}

func TestEveryLayerExists(t *testing.T) {
	packages := internalPackages(t, true)
	for _, row := range layers {
		for _, name := range row {
			if _, ok := packages[name]; !ok {
				t.Errorf("the table of layers has %s, the tree has not", name)
			}
		}
	}
}

// within tells whether an import path is prefix or below it; a prefix that ends with a slash names a host.
func within(imported, prefix string) bool {
	return imported == prefix || strings.HasPrefix(imported, strings.TrimSuffix(prefix, "/")+"/")
}

func layerOf(name string) int {
	return slices.IndexFunc(layers, func(row []string) bool { return slices.Contains(row, name) })
}

// internalPackages returns the imports of each package under internal, with tests those of its tests too: a test
// that needs something above its package says that the package is in the wrong place.
func internalPackages(t *testing.T, tests bool) map[string][]string {
	t.Helper()
	linux := build.Default
	linux.GOOS = "linux" // the same answer wherever the test runs
	packages := map[string][]string{}
	err := filepath.WalkDir("internal", func(dir string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.IsDir() {
			return err
		}
		if entry.Name() == "testdata" {
			return fs.SkipDir
		}
		p, err := linux.ImportDir(dir, 0)
		if _, none := errors.AsType[*build.NoGoError](err); none {
			return nil
		}
		name, _ := filepath.Rel("internal", dir)
		name = path.Clean(filepath.ToSlash(name))
		packages[name] = p.Imports
		if tests {
			packages[name] = slices.Concat(p.Imports, p.TestImports, p.XTestImports)
		}
		return err
	})
	if errors.Is(err, os.ErrNotExist) {
		t.Skipf("runs where the source is: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return packages
}

// The rules themselves, on imports that break them.
func TestWithin(t *testing.T) {
	for _, test := range []struct {
		imported, prefix string
		want             bool
	}{
		{"net", "net", true},
		{"net/http", "net", true},
		{"netip", "net", false},
		{"github.com/spf13/cobra/doc", "github.com/spf13/cobra", true},
		{"github.com/spf13/cobrax", "github.com/spf13/cobra", false},
		{"github.com/anything", "github.com/", true},
	} {
		if got := within(test.imported, test.prefix); got != test.want {
			t.Errorf("within(%q, %q): got %v, want %v", test.imported, test.prefix, got, test.want)
		}
	}
}
