//go:build linux

package main

import (
	"bufio"
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"golang.org/x/sys/unix"
)

// scrape gets the metrics as Prometheus does, and has Prometheus's own parser read them.
func scrape(w *world, address string) map[string]*dto.MetricFamily {
	w.Helper()
	var conn net.Conn
	if !eventually(func() (up bool) {
		var err error
		conn, err = net.Dial("tcp", address) // here, not by http.Get: that dials from another thread
		return err == nil
	}) {
		w.Fatalf("nobody listens at %s", address)
	}
	defer conn.Close()
	_, err := fmt.Fprintf(conn, "GET /metrics HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", address)
	w.must(err)
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	w.must(err)
	defer response.Body.Close()
	if format := expfmt.ResponseFormat(response.Header); format.FormatType() != expfmt.TypeTextPlain {
		w.wrong("Content-Type", "text/plain; version=0.0.4", response.Header, "Prometheus would not know the format", walk)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(response.Body)
	if err != nil {
		w.Fatalf("Prometheus cannot read the metrics: %v", err)
	}
	return families
}

// value returns a metric's only point, or the one whose labels hold all of want: "interface", "eth0".
func value(families map[string]*dto.MetricFamily, name string, want ...string) float64 {
	family := families[name]
	if family == nil {
		return math.NaN()
	}
points:
	for _, m := range family.Metric {
		for pair := range slices.Chunk(want, 2) {
			if !slices.ContainsFunc(m.Label, func(l *dto.LabelPair) bool { return l.GetName() == pair[0] && l.GetValue() == pair[1] }) {
				continue points
			}
		}
		if m.Counter != nil {
			return m.Counter.GetValue()
		}
		return m.Gauge.GetValue()
	}
	return math.NaN()
}

func randomPort() string { return "127.0.0.1:" + strconv.Itoa(20_000+rand.IntN(10_000)) }

func TestPrometheusCanReadIt(t *testing.T) {
	w := newConnectedWorld(t)
	address, name := randomPort(), randomName()
	w.start("run", "--hostname", name, "--metrics", address, "sleep", "1000").started()
	families := scrape(w, address)
	for name, kind := range map[string]dto.MetricType{
		"container_cpu_usage_seconds_total":         dto.MetricType_COUNTER,
		"container_cpu_user_seconds_total":          dto.MetricType_COUNTER,
		"container_cpu_system_seconds_total":        dto.MetricType_COUNTER,
		"container_cpu_cfs_periods_total":           dto.MetricType_COUNTER,
		"container_cpu_cfs_throttled_periods_total": dto.MetricType_COUNTER,
		"container_cpu_cfs_throttled_seconds_total": dto.MetricType_COUNTER,
		"container_memory_usage_bytes":              dto.MetricType_GAUGE,
		"container_spec_memory_limit_bytes":         dto.MetricType_GAUGE,
		"container_memory_events_total":             dto.MetricType_COUNTER,
		"container_threads":                         dto.MetricType_GAUGE,
		"container_threads_max":                     dto.MetricType_GAUGE,
		"container_network_receive_bytes_total":     dto.MetricType_COUNTER,
		"container_network_transmit_bytes_total":    dto.MetricType_COUNTER,
	} {
		if families[name] == nil || families[name].GetType() != kind || families[name].GetHelp() == "" {
			w.wrong("metric "+name, fmt.Sprint("a ", kind, " with help"), families[name], "it is not exported", walk)
		}
	}
	for metric, family := range families {
		if counter := family.GetType() == dto.MetricType_COUNTER; counter != strings.HasSuffix(metric, "_total") {
			w.wrong("metric "+metric, "_total, if and only if it is a counter", family.GetType(), "the wrong type", walk)
		}
		for _, m := range family.Metric {
			if !slices.ContainsFunc(m.Label, func(l *dto.LabelPair) bool { return l.GetName() == "name" && l.GetValue() == name }) {
				w.wrong("labels of "+metric, name, m.Label, "quotes in a label must be escaped", walk)
			}
		}
	}
}

func TestFiguresAreRight(t *testing.T) {
	w := newConnectedWorld(t)
	address, cpus := randomPort(), 0.1 // so little that a machine with other work has it to give
	if os.Getenv("MICROVM") != "" {
		cpus = 0.2 // and an emulated processor needs it to begin
	}
	p := w.start("run", "--metrics", address, "--memory", "96m", "--cpus", fmt.Sprint(cpus), "--pids-limit", "73",
		"sh", "-c", "eat 40m --hold 300s & burn --for 300s & ping -c 3 -i 0.1 "+hostAddress+"; wait")
	g := groupsOf(w, p.started())
	for _, c := range []struct {
		name string
		want float64
	}{
		{"container_spec_memory_limit_bytes", 96 << 20},
		{"container_spec_cpu_quota", cpus * 100_000},
		{"container_spec_cpu_period", 100_000},
		{"container_threads_max", 73},
	} {
		if got := value(scrape(w, address), c.name); got != c.want {
			w.wrong(c.name, c.want, got, "another file, or another unit", walk)
		}
	}
	for _, c := range []struct {
		name   string
		least  float64
		labels []string
	}{
		{"container_memory_usage_bytes", 40 << 20, nil},
		{"container_cpu_cfs_throttled_periods_total", 3, nil},
		{"container_cpu_cfs_throttled_seconds_total", 0.05, nil},
		{"container_network_receive_packets_total", 3, []string{"interface", "eth0"}},
		{"container_network_transmit_bytes_total", 3 * 64, []string{"interface", "eth0"}},
	} {
		if !eventually(func() bool { return value(scrape(w, address), c.name, c.labels...) >= c.least }) {
			w.wrong(c.name, fmt.Sprint("at least ", c.least), value(scrape(w, address), c.name, c.labels...), "another file, or another unit", walk)
		}
	}

	var used, took float64
	if !eventually(func() bool { // the hog may have to wait, and a virtual machine that was halted takes that for used
		start := time.Now() // whoever is kept waiting between two of these lines finds more time, and not less
		used = value(scrape(w, address), "container_cpu_usage_seconds_total")
		time.Sleep(time.Second)
		used = value(scrape(w, address), "container_cpu_usage_seconds_total") - used
		took = time.Since(start).Seconds()
		return used > 0 && used <= cpus*(took+0.3)+0.05
	}) {
		w.wrong(fmt.Sprintf("seconds of cpu in %.2f s", took), fmt.Sprint("above 0, at most ", cpus, " of it"), used, "microseconds, or nanoseconds, taken for seconds", walk)
	}
	var got, direct float64
	if !eventually(func() bool { // ping may be about to end
		got, direct = value(scrape(w, address), "container_threads"), threadsOf(w, g)
		return math.Abs(got-direct) <= 6
	}) {
		w.wrong("container_threads", direct, got, "another cgroup's", walk)
	}
}

// threadsOf counts the threads of a container without the pids controller.
func threadsOf(w *world, g groups) (n float64) {
	w.Helper()
	for _, pid := range strings.Fields(w.read(g[""] + "/cgroup.procs")) {
		for _, line := range lines(w.read("/proc/" + pid + "/status")) {
			if count, ok := strings.CutPrefix(line, "Threads:"); ok {
				threads, _ := strconv.Atoi(strings.TrimSpace(count))
				n += float64(threads)
			}
		}
	}
	return n
}

func TestNoLimitIsAbsent(t *testing.T) {
	w := newConnectedWorld(t)
	address := randomPort()
	w.start("run", "--metrics", address, "--memory", "0", "--cpus", "0", "--pids-limit", "0", "sleep", "1000").started()
	families := scrape(w, address)
	for _, name := range []string{"container_spec_memory_limit_bytes", "container_spec_cpu_quota", "container_threads_max"} {
		if families[name] != nil {
			w.wrong(name+" without a limit", "absent", families[name], `"max" is no number`, walk)
		}
	}
}

func TestMemoryEventsAreCounted(t *testing.T) {
	w := newConnectedWorld(t)
	dir, address := copyOfImage(w), randomPort()
	big, err := os.Create(filepath.Join(dir, "big"))
	w.must(err)
	w.must(big.Truncate(200 << 20))
	w.must(big.Close())
	// A file that is read fills the page cache up to the limit. Then it makes room, and nobody is killed.
	mark := strconv.Itoa(100_000 + rand.IntN(100_000))
	p := w.start("run", "--rootfs", dir, "--metrics", address, "--memory", "48m", "sh", "-c", "cat /big > /dev/null; sleep "+mark)
	g := groupsOf(w, p.started())
	eventually(func() bool { return find(mark) != 0 })
	var limit, kills float64
	want := 0
	if !eventually(func() bool { // the one that sleeps may need some pages yet
		families := scrape(w, address)
		limit, kills = value(families, "container_memory_events_total", "event", "max"), value(families, "container_memory_events_total", "event", "oom_kill")
		if g.v1("memory") {
			want = g.number(w, "memory", "", "memory.failcnt")
		} else {
			want = keyedValue(w, filepath.Join(g["memory"], "memory.events"), "max")
		}
		return limit == float64(want)
	}) || kills != 0 {
		w.wrong("memory events max, oom_kill", fmt.Sprint(want, ", 0"), fmt.Sprint(limit, ", ", kills), "memory.events is not read", walk)
	}
	var system unix.Statfs_t
	w.must(unix.Statfs(dir, &system))
	if limit == 0 && !g.v1("memory") && system.Type != unix.TMPFS_MAGIC { // v1 counts failures only; tmpfs needs no cache
		w.wrong("memory events max", "above 0", limit, "the limit was not felt", walk)
	}
}

func TestAddressInUse(t *testing.T) {
	w := newConnectedWorld(t)
	address := randomPort()
	listener, err := net.Listen("tcp", address)
	w.must(err)
	defer listener.Close()
	for _, bad := range []string{address, "nonsense", "127.0.0.1:99999"} {
		if r := w.run("run", "--metrics", bad, "true"); r.code != 125 || !strings.Contains(r.stderr, bad) {
			w.wrong("--metrics "+bad, "code 125, and the address", r, "the error is lost in another goroutine", walk)
		}
	}
}

func TestStatsNotRoot(t *testing.T) {
	w := newConnectedWorld(t)
	p := w.startWith(func(cmd *exec.Cmd) {
		cmd.Dir, cmd.SysProcAttr.Credential = "/", &syscall.Credential{Uid: 65534, Gid: 65534}
	}, "stats")
	if r := p.wait(); r.code != 125 || !strings.Contains(r.stderr, "go run -exec sudo") {
		w.wrong("stats, as another user than root", "code 125, and: go run -exec sudo", r, "os.Geteuid was not asked", "Run it")
	}
}

func TestStatsTable(t *testing.T) {
	w := newConnectedWorld(t)
	first := w.start("run", "--memory", "77m", "burn", "--for", "60s")
	second := w.start("run", "--memory", "88m", "sleep", "1000")
	first.started()
	second.started()
	r := w.run("stats")
	table := lines(r.stdout)
	if len(table) != 3 || !strings.Contains(r.stdout, "/ 77M") || !strings.Contains(r.stdout, "/ 88M") {
		w.wrong("stats", "a heading, and a line for either container", r.stdout+r.stderr, "containers are not found by their cgroups", walk)
	}

	p, s := startOnTerminal(w, "stats")
	s.expect("CONTAINER")
	w.must(second.Process.Signal(unix.SIGTERM))
	if !eventually(func() bool {
		frames := strings.Split(s.String(), "\x1b[H")
		last := frames[max(0, len(frames)-2)] // the latest that is complete
		return len(frames) > 2 && strings.Contains(last, "77M") && !strings.Contains(last, "88M")
	}) {
		w.wrong("stats on a terminal", "a table that follows", s.String(), "it is not drawn again", walk)
	}
	s.keys(ctrlC)
	<-p.done
}
