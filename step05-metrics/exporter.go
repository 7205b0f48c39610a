//go:build linux

package main

import (
	"fmt"
	"io"
	"maps"
	"math"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// family is a metric, in the words of the Prometheus text format: a name that ends in its unit, a counter
// (it only grows) or a gauge, and a sentence. Names are cAdvisor's, so that its dashboards show them.
type family struct {
	name, kind, help string
	points           func(sample) []point
}

// point is one value of a metric, told apart from others by its labels.
type point struct {
	labels []string // name, value, name, value ...
	value  float64
}

var families = []family{
	{"container_cpu_usage_seconds_total", "counter", "Processor time used.",
		single(func(s sample) float64 { return s.CPU.Usage })},
	{"container_cpu_user_seconds_total", "counter", "Processor time used in user mode.",
		single(func(s sample) float64 { return s.CPU.User })},
	{"container_cpu_system_seconds_total", "counter", "Processor time used in the kernel.",
		single(func(s sample) float64 { return s.CPU.System })},
	{"container_cpu_cfs_periods_total", "counter", "Enforcement periods that have passed.",
		single(func(s sample) float64 { return s.CPU.Periods })},
	{"container_cpu_cfs_throttled_periods_total", "counter", "Enforcement periods in which the quota ran out.",
		single(func(s sample) float64 { return s.CPU.ThrottledPeriods })},
	{"container_cpu_cfs_throttled_seconds_total", "counter", "Time spent waiting for the next period's quota.",
		single(func(s sample) float64 { return s.CPU.Throttled })},
	{"container_spec_cpu_quota", "gauge", "Processor time allowed in a period, in microseconds.",
		single(func(s sample) float64 { return s.CPU.QuotaMicroseconds })},
	{"container_spec_cpu_period", "gauge", "Length of a period, in microseconds.",
		single(func(s sample) float64 { return s.CPU.PeriodMicroseconds })},
	{"container_memory_usage_bytes", "gauge", "Memory in use, page cache included.",
		single(func(s sample) float64 { return s.Memory.Usage })},
	{"container_spec_memory_limit_bytes", "gauge", "Memory allowed.",
		single(func(s sample) float64 { return s.Memory.Limit })},
	{"container_memory_events_total", "counter", "Times the memory limit made itself felt, by kind.",
		func(s sample) (points []point) {
			for _, event := range slices.Sorted(maps.Keys(s.Memory.Events)) {
				points = append(points, point{[]string{"event", event}, s.Memory.Events[event]})
			}
			return points
		}},
	{"container_threads", "gauge", "Processes and threads.",
		single(func(s sample) float64 { return s.PIDs.Current })},
	{"container_threads_max", "gauge", "Processes and threads allowed.",
		single(func(s sample) float64 { return s.PIDs.Limit })},
	{"container_fs_reads_bytes_total", "counter", "Bytes read from a block device.",
		device(func(t transfer) float64 { return t.InBytes })},
	{"container_fs_writes_bytes_total", "counter", "Bytes written to a block device.",
		device(func(t transfer) float64 { return t.OutBytes })},
	{"container_fs_reads_total", "counter", "Read operations on a block device.",
		device(func(t transfer) float64 { return t.InUnits })},
	{"container_fs_writes_total", "counter", "Write operations on a block device.",
		device(func(t transfer) float64 { return t.OutUnits })},
	{"container_network_receive_bytes_total", "counter", "Bytes received.",
		link(func(t transfer) float64 { return t.InBytes })},
	{"container_network_receive_packets_total", "counter", "Packets received.",
		link(func(t transfer) float64 { return t.InUnits })},
	{"container_network_receive_errors_total", "counter", "Errors in receiving.",
		link(func(t transfer) float64 { return t.InErrors })},
	{"container_network_receive_packets_dropped_total", "counter", "Packets dropped in receiving.",
		link(func(t transfer) float64 { return t.InDropped })},
	{"container_network_transmit_bytes_total", "counter", "Bytes sent.",
		link(func(t transfer) float64 { return t.OutBytes })},
	{"container_network_transmit_packets_total", "counter", "Packets sent.",
		link(func(t transfer) float64 { return t.OutUnits })},
	{"container_network_transmit_errors_total", "counter", "Errors in sending.",
		link(func(t transfer) float64 { return t.OutErrors })},
	{"container_network_transmit_packets_dropped_total", "counter", "Packets dropped in sending.",
		link(func(t transfer) float64 { return t.OutDropped })},
}

func single(value func(sample) float64) func(sample) []point {
	return func(s sample) []point { return []point{{value: value(s)}} }
}

func device(value func(transfer) float64) func(sample) []point {
	return func(s sample) []point { return each("device", s.IO, value) }
}

func link(value func(transfer) float64) func(sample) []point {
	return func(s sample) []point { return each("interface", s.Net, value) }
}

// each makes a point of every entry, in an order that stays the same.
func each(label string, transfers map[string]transfer, value func(transfer) float64) (points []point) {
	for _, name := range slices.Sorted(maps.Keys(transfers)) {
		points = append(points, point{[]string{label, name}, value(transfers[name])})
	}
	return points
}

// write writes a sample in the text format, version 0.0.4. What is absent is left out.
//
//	# HELP container_threads Processes and threads.
//	# TYPE container_threads gauge
//	container_threads{id="f00d",name="web"} 7
func (s sample) write(w io.Writer, labels ...string) {
	for _, f := range families {
		heading := fmt.Sprintf("# HELP %s %s\n# TYPE %[1]s %[3]s\n", f.name, f.help, f.kind)
		for _, p := range f.points(s) {
			if math.IsNaN(p.value) {
				continue
			}
			value := strconv.FormatFloat(p.value, 'g', -1, 64)
			fmt.Fprintf(w, "%s%s{%s} %s\n", heading, f.name, join(append(labels[:len(labels):len(labels)], p.labels...)), value)
			heading = ""
		}
	}
}

// join writes labels as the format wants them quoted.
func join(labels []string) string {
	escape := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)
	var pairs []string
	for pair := range slices.Chunk(labels, 2) {
		pairs = append(pairs, pair[0]+`="`+escape.Replace(pair[1])+`"`)
	}
	return strings.Join(pairs, ",")
}

// export serves the container's metrics until the server is closed.
func export(c container, g *cgroup) (io.Closer, error) {
	listener, err := net.Listen("tcp", c.Metrics)
	if err != nil {
		return nil, fmt.Errorf("--metrics %s: %w", c.Metrics, err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		g.read().write(w, "id", c.ID, "name", c.Hostname)
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go server.Serve(listener) //nolint:errcheck // it ends with the error that it was closed
	return server, nil
}
