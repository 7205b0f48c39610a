//go:build linux && !engine

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/simple-container/simple-container/final/internal/metrics"
	"github.com/simple-container/simple-container/final/internal/runtime"
)

// cgroupOfFiles makes a directory that looks like a container's cgroup.
func cgroupOfFiles(t *testing.T) (dir string, write func(name, text string)) {
	t.Helper()
	dir = t.TempDir()
	write = func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{
		"cgroup.controllers": "cpu io memory pids\n", "cgroup.procs": "", "cgroup.events": "populated 1\nfrozen 0\n",
		"cpu.stat": "usage_usec 1000000\nnr_periods 10\nnr_throttled 0\n", "cpu.max": "50000 100000\n",
		"memory.current": "52428800\n", "memory.max": "67108864\n", "memory.stat": "inactive_file 1048576\n",
		"pids.current": "7\n", "io.stat": "254:254 rbytes=1500000 wbytes=2500 rios=1 wios=1\n",
	} {
		write(name, text)
	}
	return dir, write
}

func view(t *testing.T, targets ...metrics.Target) (*statsView, *bytes.Buffer) {
	out := &bytes.Buffer{}
	v := &statsView{
		targets: func() ([]metrics.Target, error) { return targets, nil }, history: map[string]*history{},
		format: "table", interval: 10 * time.Millisecond, once: true, out: out,
	}
	t.Cleanup(v.reader.Close)
	return v, out
}

func TestStatsOnce(t *testing.T) {
	dir, _ := cgroupOfFiles(t)
	web := metrics.Target{ID: "cafe", Name: "web", Cgroups: map[string]string{"": dir}}
	old := metrics.Target{ID: "beef", Name: "old", Status: "stopped"}
	for _, test := range []struct {
		all   bool
		names []string
		want  string
	}{
		{false, nil, "web         0.00%   49MiB / 64MiB       76.56%   0B / 0B   1.5MB / 2.5kB   7\n"},
		{true, nil, "web         0.00%   49MiB / 64MiB       76.56%   0B / 0B   1.5MB / 2.5kB   7\n" +
			"old         --      -- / --             --       --        --              --\n"},
		{false, []string{"beef"}, "old         --      -- / --             --      --        --          --\n"},
	} {
		v, out := view(t, web, old)
		v.all, v.names = test.all, test.names
		if err := v.run(t.Context()); err != nil {
			t.Fatal(err)
		}
		heading, rows, _ := strings.Cut(out.String(), "\n")
		if got := strings.Join(strings.Fields(heading), " "); got != "CONTAINER CPU % MEM USAGE / LIMIT MEM % NET I/O BLOCK I/O PIDS" {
			t.Errorf("heading: %q", heading)
		}
		if diff := cmp.Diff(test.want, rows); diff != "" {
			t.Errorf("%v (-want +got):\n%s", test, diff)
		}
	}
	v, _ := view(t, web)
	v.names = []string{"no"}
	if err := v.run(t.Context()); !errors.Is(err, runtime.ErrNotExist) || !strings.Contains(err.Error(), `"no"`) {
		t.Errorf("got %v", err)
	}
}

// The forms that programs read are those of docker stats.
func TestStatsFormats(t *testing.T) {
	dir, _ := cgroupOfFiles(t)
	for format, want := range map[string]string{
		"json":                         `^\{"Container":"web","ID":"cafe","Name":"web","CPUPerc":"0.00%","MemUsage":"49MiB / 64MiB","MemPerc":"76.56%","NetIO":"0B / 0B","BlockIO":"1.5MB / 2.5kB","PIDs":"7","Figures":\{"time":.*\}\}\n$`,
		"{{.Name}}: {{.CPUPerc}}":      `^web: 0.00%\n$`,
		"table {{.ID}}\t{{.MemPerc}}":  "^cafe\t76.56%\n$",
		"{{.Figures.Memory.Inactive}}": `^1048576\n$`,
	} {
		v, out := view(t, metrics.Target{ID: "cafe", Name: "web", Cgroups: map[string]string{"": dir}})
		v.format = format
		if err := v.run(t.Context()); err != nil {
			t.Fatal(err)
		}
		if !regexp.MustCompile(want).MatchString(out.String()) {
			t.Errorf("%s: got %s", format, out)
		}
		if format == "json" && !json.Valid(out.Bytes()) {
			t.Errorf("no JSON: %s", out)
		}
	}
	for _, format := range []string{"{{.Nothing}}", "{{"} {
		v, _ := view(t, metrics.Target{ID: "cafe", Cgroups: map[string]string{"": dir}})
		v.format = format
		if err := v.run(t.Context()); err == nil || !strings.Contains(err.Error(), "--format") {
			t.Errorf("%s: got %v", format, err)
		}
	}
}

// enough ends a stream when it has printed two tables.
type enough struct {
	out *bytes.Buffer
	end context.CancelFunc
}

func (e enough) Write(text []byte) (int, error) {
	n, err := e.out.Write(text)
	if strings.Count(e.out.String(), "CONTAINER") >= 2 {
		e.end()
	}
	return n, err
}

// A stream, which ends with its context; and what is used between two looks.
func TestStatsStream(t *testing.T) {
	dir, write := cgroupOfFiles(t)
	v, out := view(t, metrics.Target{ID: "cafe", Name: "web", Cgroups: map[string]string{"": dir}})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	v.once, v.out = false, enough{out, cancel}
	if err := v.run(ctx); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(out.String(), "CONTAINER"); n < 2 || strings.Contains(out.String(), "\x1b") {
		t.Errorf("%d tables:\n%q", n, out)
	}
	if !strings.Contains(out.String(), "web         --      49MiB") {
		t.Errorf("the first look knows a share of time:\n%s", out)
	}
	rows, err := v.look()
	if err != nil {
		t.Fatal(err)
	}
	last := rows[0].history.last
	write("cpu.stat", "usage_usec 1500000\nnr_periods 20\nnr_throttled 5\n")
	before := time.Now().Add(-time.Second) // the machine may be slow; the clock is ours
	last.Time = before
	if rows, err = v.look(); err != nil {
		t.Fatal(err)
	}
	least := 0.49 / time.Since(before).Seconds()
	if share, ok := rows[0].history.cpu(); !ok || share < least || share > 0.51 {
		t.Errorf("half a second of a second is %v, %v, want at least %v", share, ok, least)
	}
	if rows[0].history.cpuColour() != red {
		t.Error("it was throttled, and is not red")
	}
}

// On a terminal, what is left of a line shows what has been; no line is wider than the terminal.
func TestStatsPlots(t *testing.T) {
	h := &history{}
	for i := range 200 {
		h.moments = append(h.moments, moment{cpu: float64(i%10) / 10, quota: 1, memory: float64(i) / 200, throttled: i%10 == 9})
	}
	rows := []statsRow{{Name: "web", CPUPerc: "90.00%", MemUsage: "1MiB / 2MiB", MemPerc: "99.50%", NetIO: "0B / 0B", BlockIO: "0B / 0B", PIDs: "7", history: h}}
	escapes := regexp.MustCompile("\x1b\\[[0-9;?]*[a-zA-Z]")
	for width, plots := range map[int]bool{0: false, 80: false, 112: true, 200: true, 1000: true} {
		lines := layOut(rows, width, true)
		for _, line := range lines {
			text := escapes.ReplaceAllString(line, "")
			if n := len([]rune(text)); width > 0 && n > max(width, 80) {
				t.Errorf("%d columns on a terminal of %d: %q", n, width, text)
			}
		}
		if got := strings.Contains(lines[0], "MEMORY TO LIMIT") && strings.ContainsRune(lines[1], '▇'); got != plots {
			t.Errorf("width %d: plots %v, want %v:\n%s", width, got, plots, strings.Join(lines, "\n"))
		}
	}
	if text := escapes.ReplaceAllString(h.plotCPU(10), ""); text != " ▁▂▃▄▅▅▆▇█" {
		t.Errorf("got %q", text)
	}
	if text := h.plotMemory(3); !strings.Contains(text, red) {
		t.Errorf("99 %% of the memory are not red: %q", text)
	}
	for share, want := range map[float64]rune{-1: ' ', 0: ' ', 0.001: '▁', 0.5: '▅', 0.99: '█', 1: '█', 7: '█'} {
		if got := bar(share); got != want {
			t.Errorf("bar of %v: got %c, want %c", share, got, want)
		}
	}
}

func TestNamed(t *testing.T) {
	targets := []metrics.Target{{ID: "cafe1", Name: "web"}, {ID: "cafe2", Name: "db"}, {ID: "beef", Name: "cafe"}}
	for name, want := range map[string]string{"web": "cafe1", "cafe2": "cafe2", "b": "beef", "cafe": "beef", "caf": "", "": "", "x": ""} {
		picked, err := named(targets, []string{name})
		if want == "" && err == nil || want != "" && (err != nil || picked[0].ID != want) {
			t.Errorf("%q: got %v, %v; want %q", name, picked, err, want)
		}
	}
	if all, err := named(targets, nil); len(all) != 3 || err != nil {
		t.Errorf("got %v, %v", all, err)
	}
}

func TestIsWatch(t *testing.T) {
	for line, want := range map[string]bool{
		"": true, "web db": true, "--format json web": true, "--format=json": true,
		"web": false, "--stats web": false, "--interval 1s web": false, "web --stats": false, "--help": false,
	} {
		if got := isWatch(strings.Fields(line)); got != want {
			t.Errorf("events %s: got %v, want %v", line, got, want)
		}
	}
}

func TestWriteEvent(t *testing.T) {
	code := 137
	e := metrics.Event{
		Time: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC), Action: metrics.Exit, ID: "cafe", Name: "web", Image: "lab",
		Code: &code, Signal: "SIGKILL",
	}
	var text, lines bytes.Buffer
	if err := errors.Join(writeEvent(&text, e, false), writeEvent(&lines, e, true)); err != nil {
		t.Fatal(err)
	}
	if want := "2026-01-02T03:04:05.000000006Z web exit code=137 signal=SIGKILL image=lab\n"; text.String() != want {
		t.Errorf("got %q, want %q", &text, want)
	}
	want := `{"time":"2026-01-02T03:04:05.000000006Z","action":"exit","id":"cafe","name":"web","image":"lab","code":137,"signal":"SIGKILL"}` + "\n"
	if lines.String() != want {
		t.Errorf("got %q, want %q", &lines, want)
	}
}
