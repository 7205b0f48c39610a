//go:build linux

package monitor

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestExit(t *testing.T) {
	dir := t.TempDir()
	if _, ok, err := ReadExit(dir); ok || err != nil {
		t.Errorf("before: %v, %v", ok, err)
	}
	want := Exit{Code: 137, Time: time.Now().UTC().Truncate(1), OOM: true}
	if err := want.write(dir); err != nil {
		t.Fatal(err)
	}
	if got, ok, err := ReadExit(dir); !ok || err != nil || got != want {
		t.Errorf("got %+v, %v, %v; want %+v", got, ok, err, want)
	}
	if err := os.WriteFile(filepath.Join(dir, ExitFile), []byte("nonsense\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, ok, err := ReadExit(dir); ok || err == nil {
		t.Errorf("nonsense: %v, %v", ok, err)
	}
}

func TestKills(t *testing.T) {
	dir := t.TempDir()
	for text, want := range map[string]int{
		"low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 1\n": 2, // v2
		"oom_kill_disable 0\nunder_oom 0\noom_kill 1\n":                1, // v1
		"": 0,
	} {
		path := filepath.Join(dir, "file")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := kills(path); got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
	if got := kills(dir + "/none"); got != 0 {
		t.Errorf("no file: %d", got)
	}
}
