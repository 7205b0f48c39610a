//go:build linux

package metrics

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/cgroup"
)

// An Exporter serves the figures of containers to Prometheus, at /metrics. A container that vanishes while it
// is read is left out; what else goes wrong with one is told to Warn, and shown as container_scrape_error.
type Exporter struct {
	Targets func() ([]Target, error) // asked at each scrape
	Hosts   []string                 // names by which it may be asked, beside localhost and the machine's own
	Trees   cgroup.Layout            // of this machine; by them cgroup paths are told from directories
	Warn    func(error)              // may be nil

	reader Reader
}

// Serve answers until the context is done, then lets those finish that are being answered.
func (e *Exporter) Serve(ctx context.Context, listener net.Listener) error {
	defer e.reader.Close()
	server := &http.Server{
		Handler:           e.Handler(),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served:
		return fmt.Errorf("serve %s: %w", listener.Addr(), err)
	case <-ctx.Done():
	}
	late, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	if err := server.Shutdown(late); err != nil {
		return errors.Join(err, server.Close())
	}
	return nil
}

// Handler is the exporter as a part of a server.
func (e *Exporter) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", e.metrics)
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, "<!doctype html><title>simple-container</title><a href=/metrics>metrics</a>\n")
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !e.knows(r.Host) {
			text := fmt.Sprintf("host %q is not served here: ask by address, or allow the name with --host", r.Host)
			http.Error(w, text, http.StatusForbidden)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// knows tells whether a Host header is one of ours. A web page elsewhere can have its own name point to this
// machine, and a browser on it would then let the page read what we answer: DNS rebinding. It cannot do that
// with an address.
func (e *Exporter) knows(host string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if net.ParseIP(strings.Trim(name, "[]")) != nil || name == "localhost" {
		return true
	}
	own, _ := os.Hostname() // "" is nobody's name
	return name != "" && (strings.EqualFold(name, own) ||
		slices.ContainsFunc(e.Hosts, func(allowed string) bool { return strings.EqualFold(name, allowed) }))
}

func (e *Exporter) metrics(w http.ResponseWriter, r *http.Request) {
	format := Negotiate(r.Header.Get("Accept"))
	text, err := e.Page(format)
	if err != nil {
		e.warn(err)
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", format.ContentType())
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(text) // who has asked may have gone
}

func (e *Exporter) warn(err error) {
	if e.Warn != nil && err != nil {
		e.Warn(err)
	}
}

// Page is all figures at this moment.
func (e *Exporter) Page(format Format) ([]byte, error) {
	start := time.Now()
	targets, err := e.Targets()
	if err != nil {
		return nil, fmt.Errorf("list containers: %w", err)
	}
	samples, err := e.reader.All(targets)
	e.warn(err)
	p := &page{format: format, text: make([]byte, 0, 16<<10+len(samples)*10<<10)}
	labels := e.labels(samples)
	for _, f := range families {
		p.begin(f.name, f.kind, f.help)
		for i := range samples {
			if labels[i] != nil {
				f.write(p, labels[i], &samples[i])
			}
		}
	}
	failed := 0.0
	if err != nil {
		failed = 1
	}
	p.begin("container_scrape_error", gauge, "1 if some container's files could not be understood.")
	p.point(nil, failed)
	p.begin("simple_container_containers", gauge, "Containers that run.")
	p.point(nil, float64(len(samples)))
	p.begin("simple_container_scrape_duration_seconds", gauge, "Time that it took to read them all.")
	p.point(nil, time.Since(start).Seconds())
	machine(p)
	return p.end(), nil
}

// machine writes what the containers share.
func machine(p *page) {
	p.begin("machine_cpu_cores", gauge, "Processors of the machine.")
	p.point(nil, float64(runtime.NumCPU()))
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) == nil {
		p.begin("machine_memory_bytes", gauge, "Memory of the machine.")
		p.point(nil, float64(uint64(info.Totalram)*uint64(info.Unit)))
	}
}

// labels are those of each sample, ready to be written; nil for one that would have the same as another, since
// Prometheus takes nothing of a page on which two points are the same.
func (e *Exporter) labels(samples []Sample) [][]byte {
	list := make([][]byte, len(samples))
	seen := make(map[string]bool, len(samples))
	for i, s := range samples {
		text := appendLabel(nil, "id", e.path(s.Target), true)
		text = appendLabel(text, "name", s.Name, false)
		text = appendLabel(text, "image", s.Image, false)
		if !seen[string(text)] {
			seen[string(text)] = true
			list[i] = text
		}
	}
	return list
}

// path is the container's cgroup, as seen from the root of its tree: /simple-container-web. cAdvisor's id is
// that.
func (e *Exporter) path(t Target) string {
	for _, name := range []string{"memory", "cpu", "pids", ""} {
		dir, ok := t.Cgroups[name]
		if !ok {
			continue
		}
		for _, tree := range e.Trees {
			if below, ok := strings.CutPrefix(dir, tree.Dir+"/"); ok && (tree.Version == 2) == (name == "") {
				return "/" + below
			}
		}
	}
	return "/" + t.ID
}
