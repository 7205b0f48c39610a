//go:build linux

package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestWants(t *testing.T) {
	file := filepath.Join(t.TempDir(), "microvm")
	if wants, err := readWants(file); wants != nil || err != nil {
		t.Errorf("no file: %q, %v, want nothing", wants, err)
	}
	for text, want := range map[string]string{"systemd\n": "", "systemd\nhurd\n": `"hurd": not known, want apparmor, engines, selinux, systemd`} {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		wants, err := readWants(file)
		switch {
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%q: error %v, want %q", text, err, want)
		case want == "" && (err != nil || !slices.Equal(wants, []string{"systemd"})):
			t.Errorf("%q: %q, %v", text, wants, err)
		}
	}
	p := &programs{Tests: []testProgram{{Wants: []string{"systemd"}}, {}, {Wants: []string{"systemd"}}}}
	if got := p.wanted(); !slices.Equal(got, []string{"systemd"}) {
		t.Errorf("wanted: %q, want systemd once", got)
	}
}
