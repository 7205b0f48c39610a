//go:build linux

package metrics

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/simple-container/simple-container/final/internal/cgroup"
)

// exporter serves some containers of files that only look like cgroups.
func exporter(t *testing.T, targets ...Target) *Exporter {
	e := &Exporter{Targets: func() ([]Target, error) { return targets, nil }}
	t.Cleanup(e.reader.Close)
	return e
}

func get(t *testing.T, e *Exporter, path, host, accept string) *httptest.ResponseRecorder {
	t.Helper()
	request := httptest.NewRequest("GET", path, nil)
	request.Host = host
	request.Header.Set("Accept", accept)
	w := httptest.NewRecorder()
	e.Handler().ServeHTTP(w, request)
	return w
}

// families of a page, as Prometheus's own parser reads it.
func parse(t *testing.T, text []byte) map[string]*dto.MetricFamily {
	t.Helper()
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		t.Fatalf("Prometheus cannot read it: %v\n%s", err, text)
	}
	return families
}

// value is that of the point whose labels include these.
func value(t *testing.T, families map[string]*dto.MetricFamily, name string, labels ...string) float64 {
	t.Helper()
	for _, m := range families[name].GetMetric() {
		have := map[string]string{}
		for _, l := range m.Label {
			have[l.GetName()] = l.GetValue()
		}
		all := true
		for pair := range slices.Chunk(labels, 2) {
			all = all && have[pair[0]] == pair[1]
		}
		switch {
		case !all:
		case m.Counter != nil:
			return m.Counter.GetValue()
		case m.Gauge != nil:
			return m.Gauge.GetValue()
		default:
			return m.Untyped.GetValue()
		}
	}
	t.Errorf("%s%v: not exported", name, labels)
	return -1
}

func TestPage(t *testing.T) {
	dir := tree(t, v2)
	nasty := "a\"b\\c\nd\xff"
	e := exporter(t,
		Target{ID: "cafe", Name: "web", Image: "lab", Cgroups: map[string]string{"": dir}},
		Target{ID: "cafe", Name: "web", Image: "lab", Cgroups: map[string]string{"": dir}}, // listed twice
		Target{ID: "beef", Name: nasty, Cgroups: map[string]string{"": tree(t, v2)}},
		Target{ID: "gone", Name: "gone", Cgroups: map[string]string{"": dir + "/no"}})
	e.Trees = cgroup.Layout{{Dir: dir[:strings.LastIndexByte(dir, '/')], Version: 2}}
	w := get(t, e, "/metrics", "127.0.0.1:9102", "")
	if w.Code != 200 || w.Header().Get("Content-Type") != "text/plain; version=0.0.4; charset=utf-8" {
		t.Fatalf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	families := parse(t, w.Body.Bytes())
	for _, test := range []struct {
		name   string
		want   float64
		labels []string
	}{
		{"container_cpu_usage_seconds_total", 2.5, []string{"cpu", "total", "name", "web", "image", "lab"}},
		{"container_cpu_cfs_throttled_periods_total", 12, nil},
		{"container_memory_working_set_bytes", 6815744, []string{"id", dir[strings.LastIndexByte(dir, '/'):]}},
		{"container_memory_rss", 4194304, nil},
		{"container_memory_failcnt", 7, nil},
		{"container_oom_events_total", 1, nil},
		{"container_spec_memory_limit_bytes", 16777216, nil},
		{"container_spec_memory_swap_limit_bytes", 0, nil},
		{"container_threads_max", 20, nil},
		{"container_fs_writes_bytes_total", 314773504, []string{"device", "254:254"}},
		{"container_pressure_cpu_waiting_seconds_total", 1.234567, nil},
		{"container_processes", 0, []string{"name", "a\"b\\c\nd\uFFFD"}},
		{"simple_container_memory_events_total", 2, []string{"event", "high"}},
		{"simple_container_paused", 1, nil},
		{"simple_container_containers", 2, nil},
		{"container_scrape_error", 0, nil},
	} {
		if got := value(t, families, test.name, test.labels...); got != test.want {
			t.Errorf("%s%v: got %v, want %v", test.name, test.labels, got, test.want)
		}
	}
}

// The linter has nothing to say, and all families are there, if the container has one of each figure.
func TestLint(t *testing.T) {
	text, err := everything(t).Page(Text)
	if err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.New(bytes.NewReader(text)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	have := parse(t, text)
	for _, f := range families {
		if have[f.name] == nil && f.name != "container_spec_cpu_shares" { // which v1 has in place of a weight
			t.Errorf("%s: not exported", f.name)
		}
	}
}

// everything exports a container that has all figures.
func everything(t *testing.T) *Exporter {
	files := maps.Clone(v2)
	files["memory.swap.max"], files["pids.peak"] = "0\n", "3\n"
	e := exporter(t, Target{ID: "web", Name: "web", Created: time.Unix(1700000000, 0), Cgroups: map[string]string{"": tree(t, files)}})
	targets, _ := e.Targets()
	// A process with a network of its own is what files cannot look like.
	e.reader.meter(targets[0])
	network := []Interface{{Name: "eth0"}}
	e.reader.meters["web"].links = func() []Interface { return network }
	return e
}

// OpenMetrics says in its own way what the other text says. Prometheus's parser for it is not in the libraries
// of clients, so here its rules are checked one by one (OpenMetrics 1.0, "Text format").
func TestOpenMetrics(t *testing.T) {
	e := everything(t)
	const accept = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=0.0.4;q=0.4,*/*;q=0.1"
	w := get(t, e, "/metrics", "localhost", accept)
	if got := w.Header().Get("Content-Type"); got != "application/openmetrics-text; version=1.0.0; charset=utf-8" {
		t.Fatal(got)
	}
	text, ok := strings.CutSuffix(w.Body.String(), "# EOF\n")
	if !ok || strings.Contains(text, "# EOF") {
		t.Fatalf("no # EOF at the end:\n%s", w.Body)
	}
	kinds := map[string]string{}
	described, family := "", ""
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		switch {
		case words[0] == "#" && words[1] == "HELP":
			described = words[2]
		case words[0] == "#" && words[1] == "TYPE":
			if family = words[2]; family != described || kinds[family] != "" {
				t.Errorf("%s: described as %s, or twice", family, described)
			}
			kinds[family] = words[3]
		default:
			name, _, _ := strings.Cut(words[0], "{")
			base, total := strings.CutSuffix(name, "_total")
			if base != family && name != family || total != (kinds[family] == "counter") {
				t.Errorf("%q does not belong to %s %s", line, kinds[family], family)
			}
		}
	}
	if kinds["container_memory_failcnt"] != "unknown" || kinds["container_threads"] != "gauge" || kinds["container_cpu_usage_seconds"] != "counter" {
		t.Errorf("types: %v", kinds)
	}
}

func TestNegotiate(t *testing.T) {
	for accept, want := range map[string]Format{
		"":                             Text,
		"*/*":                          Text,
		"text/html":                    Text,
		"text/plain":                   Text,
		"application/openmetrics-text": OpenMetrics,
		"application/openmetrics-text; version=1.0.0; charset=utf-8":                                                 OpenMetrics,
		"application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1":                 OpenMetrics,
		"application/openmetrics-text;q=0.2,text/plain;q=0.5":                                                        Text,
		"application/openmetrics-text;q=0":                                                                           Text,
		"application/openmetrics-text;version=9.0.0,text/plain;q=0.1":                                                Text,
		"application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.7,*/*;q=0.1": Text,
	} {
		if got := Negotiate(accept); got != want {
			t.Errorf("%q: got %v, want %v", accept, got, want)
		}
	}
}

// A page of another site, whose name was made to lead here, is told nothing.
func TestHost(t *testing.T) {
	e := exporter(t)
	e.Hosts = []string{"metrics.example"}
	for host, want := range map[string]int{
		"127.0.0.1:9102": 200, "[::1]:9102": 200, "localhost": 200, "LOCALHOST.:80": 200, "192.0.2.7": 200, "::1": 200,
		"metrics.example:9102": 200, "Metrics.Example": 200,
		"evil.example": 403, "127.0.0.1.evil.example:9102": 403, "": 403, "localhost.evil.example": 403,
	} {
		if w := get(t, e, "/metrics", host, ""); w.Code != want {
			t.Errorf("%q: got %d, want %d", host, w.Code, want)
		}
	}
	if w := get(t, e, "/metrics", "evil.example", ""); !strings.Contains(w.Body.String(), "--host") {
		t.Errorf("no remedy: %s", w.Body)
	}
	for path, want := range map[string]int{"/": 200, "/nothing": 404} {
		if w := get(t, e, path, "localhost", ""); w.Code != want {
			t.Errorf("%s: got %d, want %d", path, w.Code, want)
		}
	}
}

// What goes wrong with one container is said, and the others are there.
func TestScrapeErrors(t *testing.T) {
	strange := maps.Clone(v2)
	strange["pids.current"] = "many\n"
	e := exporter(t, Target{ID: "strange", Name: "strange", Cgroups: map[string]string{"": tree(t, strange)}},
		Target{ID: "web", Name: "web", Cgroups: map[string]string{"": tree(t, v2)}})
	var warned []error
	e.Warn = func(err error) { warned = append(warned, err) }
	families := parse(t, get(t, e, "/metrics", "localhost", "").Body.Bytes())
	if value(t, families, "container_scrape_error") != 1 || value(t, families, "container_threads", "name", "web") != 3 {
		t.Error("want an error, and the other container")
	}
	if len(warned) != 1 || !strings.Contains(warned[0].Error(), "pids.current") {
		t.Errorf("got %v", warned)
	}
	e.Targets = func() ([]Target, error) { return nil, errors.New("no list") }
	if w := get(t, e, "/metrics", "localhost", ""); w.Code != 500 || !strings.Contains(w.Body.String(), "no list") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// A real server, asked over the loopback of this process, ends when it is told to, with no request cut off.
func TestServe(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	asked, answer := make(chan bool), make(chan bool)
	e := exporter(t)
	e.Targets = func() ([]Target, error) { asked <- true; <-answer; return nil, nil }
	served := make(chan error, 1)
	go func() { served <- e.Serve(ctx, listener) }()
	got := make(chan string, 1)
	go func() {
		response, err := http.Get(fmt.Sprintf("http://%s/metrics", listener.Addr()))
		if err != nil {
			got <- err.Error()
			return
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		got <- fmt.Sprint(response.StatusCode, err, strings.Contains(string(text), "simple_container_containers 0"))
	}()
	<-asked
	cancel()
	answer <- true
	if g := <-got; g != "200<nil>true" && g != "200 <nil> true" {
		t.Errorf("got %s", g)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
	if _, err := net.Dial("tcp", listener.Addr().String()); err == nil {
		t.Error("somebody still listens")
	}
}
