//go:build linux

package metrics

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// tree makes the directory of a group in a tree of files that only look like a cgroup's.
func tree(t *testing.T, files map[string]string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// figuresOf reads a target and returns its figures as JSON shows them, but for the times.
func figuresOf(t *testing.T, target Target) any {
	t.Helper()
	r := &Reader{}
	defer r.Close()
	var got any
	for range 2 { // the second time, the files are open
		figures, err := r.Read(target)
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(figures)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatal(err)
		}
	}
	for _, key := range []string{"time", "started"} {
		delete(got.(map[string]any), key)
	}
	return got
}

func compare(t *testing.T, got any, want string) {
	t.Helper()
	var wanted any
	if err := json.Unmarshal([]byte(want), &wanted); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(wanted, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

const pressureText = "some avg10=1.50 avg60=0.25 avg300=0.00 total=1234567\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=42\n"

// v2 is what Linux 6.1 wrote.
var v2 = map[string]string{
	"cgroup.controllers": "cpu io memory pids\n",
	"cgroup.procs":       "",
	"cgroup.events":      "populated 1\nfrozen 1\n",
	"cpu.stat": "usage_usec 2500000\nuser_usec 2000000\nsystem_usec 500000\nnr_periods 40\nnr_throttled 12\n" +
		"throttled_usec 800\nnr_bursts 2\nburst_usec 1500\n",
	"cpu.max": "50000 100000\n", "cpu.weight": "100\n", "cpu.pressure": pressureText,
	"memory.current": "8388608\n", "memory.max": "16777216\n", "memory.high": "12582912\n", "memory.low": "0\n",
	"memory.swap.current": "4096\n", "memory.swap.max": "max\n", "memory.peak": "9437184\n",
	"memory.stat": "anon 4194304\nfile 2097152\nkernel 1048576\nkernel_stack 65536\npagetables 131072\nshmem 4096\n" +
		"file_mapped 8192\ninactive_file 1572864\nactive_file 524288\npgfault 300\npgmajfault 3\n",
	"memory.events":   "low 1\nhigh 2\nmax 7\noom 1\noom_kill 1\noom_group_kill 0\n",
	"memory.pressure": pressureText, "io.pressure": pressureText,
	"pids.current": "3\n", "pids.max": "20\n", "pids.events": "max 5\n",
	"io.stat": "254:254 rbytes=1459200 wbytes=314773504 rios=192 wios=353 dbytes=0 dios=0 cost.usage=9\n253:1\n",
}

const v2Figures = `{
  "paused": true,
  "cpu": {
    "usage": 2.5, "user": 2, "system": 0.5, "quota_us": 50000, "period_us": 100000, "weight": 100,
    "periods": 40, "throttled_periods": 12, "throttled": 0.0008, "bursts": 2, "burst": 0.0015
  },
  "memory": {
    "usage": 8388608, "working_set": 6815744, "anon": 4194304, "file": 2097152, "kernel": 1048576, "shmem": 4096,
    "mapped": 8192, "active_file": 524288, "inactive_file": 1572864, "swap": 4096, "limit": 16777216,
    "high": 12582912, "low": 0, "peak": 9437184, "faults": 300, "major_faults": 3,
    "events": {"low": 1, "high": 2, "max": 7, "oom": 1, "oom_kill": 1}
  },
  "pids": {"tasks": 3, "limit": 20, "refused": 5, "processes": 0, "open_files": 0},
  "io": [
    {"number": "254:254", "name": "254:254", "read_bytes": 1459200, "write_bytes": 314773504, "reads": 192, "writes": 353}
  ],
  "network": null,
  "pressure": {
    "cpu": {"some": {"avg10": 1.5, "avg60": 0.25, "avg300": 0, "total": 1234567}, "full": {"avg10": 0, "avg60": 0, "avg300": 0, "total": 42}},
    "memory": {"some": {"avg10": 1.5, "avg60": 0.25, "avg300": 0, "total": 1234567}, "full": {"avg10": 0, "avg60": 0, "avg300": 0, "total": 42}},
    "io": {"some": {"avg10": 1.5, "avg60": 0.25, "avg300": 0, "total": 1234567}, "full": {"avg10": 0, "avg60": 0, "avg300": 0, "total": 42}}
  }
}`

func TestV2(t *testing.T) {
	compare(t, figuresOf(t, Target{ID: "web", Cgroups: map[string]string{"": tree(t, v2)}}), v2Figures)
}

// v1 is what Linux 6.18 wrote on a hybrid machine, with cgroup2 beside it.
func TestV1(t *testing.T) {
	limitless := "9223372036854771712\n"
	memory := tree(t, map[string]string{
		"memory.usage_in_bytes": "8388608\n", "memory.limit_in_bytes": "16777216\n", "memory.memsw.limit_in_bytes": "33554432\n",
		"memory.max_usage_in_bytes": "9437184\n", "memory.kmem.usage_in_bytes": "1048576\n", "memory.soft_limit_in_bytes": limitless,
		"memory.failcnt": "5\n", "memory.memsw.failcnt": "2\n", "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n",
		"memory.stat": "cache 1\nrss 1\ninactive_file 1\ntotal_cache 2097152\ntotal_rss 4194304\ntotal_shmem 4096\n" +
			"total_mapped_file 8192\ntotal_inactive_file 1572864\ntotal_active_file 524288\ntotal_swap 4096\n" +
			"total_pgfault 300\ntotal_pgmajfault 3\n",
	})
	acct := tree(t, map[string]string{"cpuacct.usage": "2500000123\n", "cpuacct.stat": "user 200\nsystem 50\n"})
	cpu := tree(t, map[string]string{
		"cpu.stat":         "nr_periods 40\nnr_throttled 12\nthrottled_time 800000\nnr_bursts 2\nburst_time 1500000\nwait_sum 5\n",
		"cpu.cfs_quota_us": "-1\n", "cpu.cfs_period_us": "100000\n", "cpu.shares": "1024\n",
	})
	blkio := tree(t, map[string]string{
		"blkio.throttle.io_service_bytes_recursive": "254:254 Read 4096\n254:254 Write 8192\n254:254 Sync 4096\n254:254 Total 12288\nTotal 12288\n",
		"blkio.throttle.io_serviced_recursive":      "254:254 Read 1\n254:254 Write 2\n254:254 Total 3\nTotal 3\n",
	})
	pids := tree(t, map[string]string{"pids.current": "3\n", "pids.max": "max\n", "pids.events": "max 0\n", "pids.peak": "4\n"})
	freezer := tree(t, map[string]string{"freezer.state": "THAWED\n"})
	unified := tree(t, map[string]string{"cgroup.controllers": "", "cgroup.procs": "", "cpu.stat": "usage_usec 1\n", "cgroup.events": "populated 1\nfrozen 0\n"})
	target := Target{ID: "web", Cgroups: map[string]string{
		"": unified, "memory": memory, "cpu": cpu, "cpuacct": acct, "blkio": blkio, "pids": pids, "freezer": freezer,
	}}
	compare(t, figuresOf(t, target), `{
  "paused": false,
  "cpu": {
    "usage": 2.500000123, "user": 2, "system": 0.5, "period_us": 100000, "shares": 1024,
    "periods": 40, "throttled_periods": 12, "throttled": 0.0008, "bursts": 2, "burst": 0.0015
  },
  "memory": {
    "usage": 8388608, "working_set": 6815744, "anon": 4194304, "file": 2097152, "kernel": 1048576, "shmem": 4096,
    "mapped": 8192, "active_file": 524288, "inactive_file": 1572864, "swap": 4096, "limit": 16777216,
    "swap_limit": 16777216, "peak": 9437184, "faults": 300, "major_faults": 3,
    "events": {"low": 0, "high": 0, "max": 7, "oom": 0, "oom_kill": 1}
  },
  "pids": {"tasks": 3, "peak": 4, "refused": 0, "processes": 0, "open_files": 0},
  "io": [{"number": "254:254", "name": "254:254", "read_bytes": 4096, "write_bytes": 8192, "reads": 1, "writes": 2}],
  "network": null,
  "pressure": {}
}`)
}

// A machine with v1 alone has a list of processes there.
func TestLegacy(t *testing.T) {
	dir := tree(t, map[string]string{"cgroup.procs": "", "pids.current": "2\n"})
	figures, err := Read(Target{ID: "web", Cgroups: map[string]string{"pids": dir}})
	if err != nil || figures.Pids.Tasks != 2 {
		t.Errorf("%d tasks, want 2; %v", figures.Pids.Tasks, err)
	}
}

func TestNoLimitIsAbsent(t *testing.T) {
	figures, err := Read(Target{ID: "web", Cgroups: map[string]string{"": tree(t, map[string]string{
		"cgroup.controllers": "cpu memory pids\n", "cgroup.procs": "", "cpu.max": "max 100000\n", "memory.max": "max\n",
		"memory.high": "max\n", "memory.swap.max": "max\n", "pids.max": "max\n",
	})}})
	m := figures.Memory
	if err != nil || figures.CPU.Quota != nil || m.Limit != nil || m.High != nil || m.SwapLimit != nil || figures.Pids.Limit != nil {
		t.Errorf("got %+v; %v", figures, err)
	}
	if n, limited := figures.CPU.Processors(); limited {
		t.Errorf("got a limit of %v processors", n)
	}
}

// A file that vanishes is no error; a group that vanishes is ErrGone; a file that makes no sense is an error
// that names it, and the other figures are there.
func TestVanishing(t *testing.T) {
	dir := tree(t, v2)
	target := Target{ID: "web", Cgroups: map[string]string{"": dir}}
	for name := range v2 {
		if name == "cgroup.procs" {
			continue
		}
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		if _, err := Read(target); err != nil {
			t.Fatalf("without %s: %v", name, err)
		}
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(target); !errors.Is(err, ErrGone) || !strings.Contains(err.Error(), `"web"`) {
		t.Errorf("got %v", err)
	}

	strange := tree(t, v2)
	if err := os.WriteFile(strange+"/memory.current", []byte("much\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := &Reader{}
	defer r.Close()
	there := Target{ID: "strange", Cgroups: map[string]string{"": strange}}
	samples, err := r.All([]Target{target, there, there, {ID: "ended", Status: "stopped"}})
	if err == nil || !strings.Contains(err.Error(), strange+`/memory.current: strconv.ParseUint: parsing "much"`) {
		t.Errorf("got %v", err)
	}
	if len(samples) != 1 || samples[0].Figures.Pids.Tasks != 3 {
		t.Errorf("got %+v", samples)
	}
	if samples, err := r.All(nil); len(samples) > 0 || len(r.meters) > 0 || err != nil {
		t.Errorf("got %v; %v; %v", samples, r.meters, err)
	}
}

func TestParseNetwork(t *testing.T) {
	got := parseNetwork([]byte(`Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:    1000      10    0    0    0     0          0         0     1000      10    0    0    0     0       0          0
  eth1:4294967296     3    1    2    0     0          0         0        0       0    0    0    0     0       0          0
  eth0:    1234      11    0    0    0     0          0         0     2468      20    3    4    0     0       0          0
 short: 1 2
`))
	want := []Interface{
		{"eth0", Traffic{1234, 11, 0, 0}, Traffic{2468, 20, 3, 4}},
		{"eth1", Traffic{4294967296, 3, 1, 2}, Traffic{}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// The table of sources has just the files that are read.
func TestSources(t *testing.T) {
	dir := tree(t, v2)
	target := Target{ID: "web", Cgroups: map[string]string{"": dir}}
	listed := map[string]bool{}
	for _, s := range target.Sources() {
		for _, file := range s.Files {
			listed[file] = true
		}
	}
	r := &Reader{}
	defer r.Close()
	if _, err := r.Read(target); err != nil {
		t.Fatal(err)
	}
	read := map[string]bool{dir + "/memory.peak": true, dir + "/pids.peak": true} // which not every kernel has
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range open {
		if file, _ := os.Readlink("/proc/self/fd/" + fd.Name()); strings.HasPrefix(file, dir+"/") {
			read[file] = true
		}
	}
	if diff := cmp.Diff(read, listed); diff != "" {
		t.Errorf("(-read +listed):\n%s", diff)
	}
}

// Every figure of the JSON has a source.
func TestSourcesNameFigures(t *testing.T) {
	var figures map[string]any
	if err := json.Unmarshal([]byte(v2Figures), &figures); err != nil {
		t.Fatal(err)
	}
	for _, s := range sources {
		kind, name, nested := strings.Cut(s.figure, ".")
		group, ok := figures[kind]
		if ok && nested {
			_, ok = group.(map[string]any)[name]
		}
		known := []string{"cpu.shares", "memory.swap_limit", "pids.peak"} // not in that example
		if !ok && !strings.Contains(strings.Join(known, " "), s.figure) {
			t.Errorf("sources has %s, Figures has not", s.figure)
		}
	}
}
