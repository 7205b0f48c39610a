//go:build linux

package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRunOnce(t *testing.T) {
	first, second, third := t.TempDir(), t.TempDir(), t.TempDir()
	carried := "package p\n\nfunc TestMain(m *testing.M) {}\n\nfunc TestA(t *testing.T) {}\n"
	for file, text := range map[string]string{
		first + "/a_test.go":  carried,
		second + "/a_test.go": carried,
		second + "/b_test.go": "package p\n\nfunc TestB(t *testing.T) {}\n\nfunc TestC(t *testing.T) {}\n",
		third + "/a_test.go":  carried + "\n// changed\n",
	} {
		if err := os.WriteFile(filepath.FromSlash(file), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	packages := []testProgram{{Dir: first}, {Dir: second}, {Dir: third}}
	if err := runOnce(packages); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range packages {
		got = append(got, p.Run)
	}
	if diff := cmp.Diff([]string{"^(TestA)$", "^(TestB|TestC)$", "^(TestA)$"}, got); diff != "" {
		t.Error(diff)
	}
}
