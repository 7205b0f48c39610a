//go:build linux

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// What is wanted beside the userland comes from a directory of its own, so that nobody's files are replaced who is
// making a machine.
func TestSuppliesHaveADirectoryOfTheirOwn(t *testing.T) {
	s := &source{Release: "bookworm", Arch: "amd64"}
	for _, test := range []struct {
		wants     []string
		dir, more string
	}{
		{nil, "/cache/bookworm-amd64", ""},
		{[]string{"systemd"}, "/cache/bookworm-amd64", ""}, // which is in every userland
		{[]string{"engines", "systemd"}, "/cache/bookworm-amd64-engines", "podman"},
	} {
		a := newApt(s, "/cache", test.wants)
		if a.Dir != test.dir || test.more != "" && !slices.Contains(a.Packages, test.more) {
			t.Errorf("%q: %s has %q, want %s with %q", test.wants, a.Dir, a.Packages, test.dir, test.more)
		}
		for _, name := range guestPackages {
			if !slices.Contains(a.Packages, name) {
				t.Errorf("%q: no %s", test.wants, name)
			}
		}
	}
}

func TestSupplyFiles(t *testing.T) {
	tree := t.TempDir()
	if err := os.MkdirAll(tree+"/etc/containers", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(tree+"/etc/containers/policy.json", []byte(`{"default":[]}`), 0o644); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	a := &initramfs{newArchive(&out), tree, "amd64"}
	if err := a.addFiles([]string{"/etc/containers/policy.json"}); err != nil {
		t.Fatal(err)
	}
	if err := a.close(); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"etc/containers/policy.json\x00", `{"default":[]}`} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the archive has no %q", want)
		}
	}
	err := a.addFiles([]string{"/usr/share/containers/seccomp.json"})
	if want := "find /usr/share/containers/seccomp.json: not in the unpacked packages"; err == nil || err.Error() != want {
		t.Errorf("error %v, want %q", err, want)
	}
}

// final is built for engines where a test wants them, and only there.
func TestEngineBuild(t *testing.T) {
	bin := t.TempDir()
	p := &programs{Final: filepath.Join(bin, "final"), Tests: []testProgram{{Wants: []string{"systemd"}}}}
	if got := p.engine(); got != "" {
		t.Errorf("nobody wants engines: %q", got)
	}
	p.Tests = append(p.Tests, testProgram{Wants: []string{"engines"}})
	if got, want := p.engine(), filepath.Join(bin, "final-engine"); got != want {
		t.Errorf("engine %q, want %q", got, want)
	}
	p.Final = ""
	if got := p.engine(); got != "" {
		t.Errorf("without final: %q", got)
	}
}
