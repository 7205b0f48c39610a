//go:build linux && !engine

package main

import (
	"errors"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// rootfs runs `final rootfs ARGS` and returns what it printed.
func rootfs(args ...string) (string, error) {
	var out strings.Builder
	cmd := rootfsCommand()
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs(args)
	cmd.SetOut(&out)
	err := cmd.Execute()
	return out.String(), err
}

// onlyIn fails unless the directory holds exactly these names: no temporary directory may be left in it.
func onlyIn(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("%s holds %q, want %q", dir, got, want)
	}
}

func TestRootfsLab(t *testing.T) {
	world := t.TempDir()
	dir := filepath.Join(world, "rootfs")
	out, err := rootfs(dir)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out, "go run -exec sudo ./step02-rootfs") {
		t.Errorf("printed %q, want what to type next", out)
	}
	if target, err := os.Readlink(filepath.Join(dir, "bin", "sh")); err != nil || target != "lab" {
		t.Errorf("/bin/sh is a link to %q, %v; want lab", target, err)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("its mode is %v, %v; want 0755, or only root could enter", info.Mode(), err)
	}
	onlyIn(t, world, "rootfs")

	mark := filepath.Join(dir, "mark")
	if err := os.WriteFile(mark, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := rootfs(dir); err == nil || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "--force") {
		t.Errorf("on a full directory: %v, want it refused by name, with --force", err)
	}
	if _, err := os.Stat(mark); err != nil {
		t.Errorf("after the refusal: %v", err)
	}
	if _, err := rootfs("--force", dir); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(mark); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after --force the old file: %v, want it gone", err)
	}
	onlyIn(t, world, "rootfs")
}

func TestRootfsIntoEmptyDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "r")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := rootfs(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "bin", "lab")); err != nil {
		t.Error(err)
	}
}

func TestRootfsRefuses(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Chdir(t.TempDir())
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"/", "--force"}, "/ is not to be replaced"},
		{[]string{"/etc/", "--force"}, "/etc is not to be replaced"},
		{[]string{home, "--force"}, home + " is not to be replaced"},
		{[]string{".", "--force"}, "working directory"},
		{[]string{"..", "--force"}, "working directory"},
		{[]string{"r", "--from", "/nosuch"}, "/nosuch"},
		{[]string{"r", "alpine", "--from", "/tmp"}, "exclude each other"},
		{[]string{"r", "--platform", "linux/arm64"}, "--platform"},
	} {
		if _, err := rootfs(tt.args...); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("rootfs %q: %v, want %q", tt.args, err, tt.want)
		}
	}
	onlyIn(t, ".")
}

// A pull that fails leaves what was there, and nothing else.
func TestRootfsFailureLeavesNothing(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("an image takes root: refused for others")
	}
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	host := strings.TrimPrefix(server.URL, "http://")
	ref, err := name.ParseReference(host + "/empty")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, empty.Image); err != nil {
		t.Fatal(err)
	}
	world := t.TempDir()
	dir := filepath.Join(world, "r")
	if err := os.MkdirAll(filepath.Join(dir, "kept"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := rootfs("--force", dir, host+"/nosuch"); err == nil || !strings.Contains(err.Error(), host) {
		t.Errorf("a missing image: %v, want an error with the registry", err)
	}
	server.Close()
	_, err = rootfs("--force", dir, host+"/gone")
	if err == nil || !strings.Contains(err.Error(), "Without a network") || !strings.Contains(err.Error(), host) {
		t.Errorf("without a registry: %v, want its name and the way that works offline", err)
	}
	onlyIn(t, world, "r")
	onlyIn(t, dir, "kept")
}
