//go:build linux

package engine

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/simple-container/simple-container/final/internal/ocispec"
)

// manyContainers writes the records of containers that have ended, as a thousand of them leave.
func manyContainers(tb testing.TB, n int) *Engine {
	tb.Helper()
	dir, err := os.MkdirTemp("/run", "many-")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { os.RemoveAll(dir) })
	e := newEngine(dir, filepath.Join(dir, "run"))
	if err := e.makeDirectories(); err != nil {
		tb.Fatal(err)
	}
	for i := range n {
		c := &Container{engine: e, Record: Record{
			ID: newID(), Name: fmt.Sprint("container", i), Created: time.Now(), Image: "lab",
			Config: ocispec.Config{Cmd: []string{"sleep", "1000"}, Env: []string{"PATH=/bin:/usr/bin"}},
		}}
		c.dir = e.dir(c.ID)
		c.State = State{Status: Exited, ExitCode: i % 3, StartedAt: time.Now(), FinishedAt: time.Now()}
		if err := os.Mkdir(c.dir, 0o700); err != nil {
			tb.Fatal(err)
		}
		if err := writeJSON(c.path(recordFile), c.Record); err != nil {
			tb.Fatal(err)
		}
		if err := c.writeState(); err != nil {
			tb.Fatal(err)
		}
	}
	return e
}

// TestListReadsLittle: ps of a thousand containers starts nothing, and without -a reads no record of those that do
// not run. BenchmarkList says how long it takes.
func TestListReadsLittle(t *testing.T) {
	e := manyContainers(t, 1000)
	list, err := e.List(ListOptions{All: true})
	if err != nil || len(list) != 1000 {
		t.Fatalf("%d containers, %v", len(list), err)
	}
	for i := range list[1:] {
		if list[i].Created.Before(list[i+1].Created) {
			t.Fatal("they are not sorted, the newest first")
		}
	}
	records, err := filepath.Glob(e.containers() + "/*/" + recordFile)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range records {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	if list, err := e.List(ListOptions{}); err != nil || len(list) != 0 {
		t.Errorf("without -a: %d containers, %v", len(list), err)
	}
	if calls := e.Door.Calls(); calls != 0 {
		t.Errorf("%d calls that change something", calls)
	}
}

func TestFilters(t *testing.T) {
	e := manyContainers(t, 9)
	for text, want := range map[string]int{
		"name=container1": 1, "name=container": 9, "exited=0": 3, "status=exited": 9, "status=running": 0,
		"ancestor=lab": 9, "ancestor=other": 0, "label=x": 0,
	} {
		f, err := ParseFilter([]string{text})
		if err != nil {
			t.Fatal(err)
		}
		if list, err := e.List(ListOptions{All: true, Filter: f}); err != nil || len(list) != want {
			t.Errorf("%s: %d containers, %v; want %d", text, len(list), err, want)
		}
	}
	for _, text := range []string{"color=red", "name", "status=walking", ""} {
		if _, err := ParseFilter([]string{text}); err == nil {
			t.Errorf("%q: no error", text)
		}
	}
}

func BenchmarkList(b *testing.B) {
	e := manyContainers(b, 1000)
	for b.Loop() {
		if _, err := e.List(ListOptions{All: true}); err != nil {
			b.Fatal(err)
		}
	}
}
