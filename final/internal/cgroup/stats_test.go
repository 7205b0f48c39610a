//go:build linux

package cgroup

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/simple-container/simple-container/final/internal/kernel"
)

// Files as kernels wrote them, and what an engine gets to see.
func TestStatsV2(t *testing.T) {
	g := fakeGroup(t.TempDir(), 2)
	fakeFiles(t, g, map[string]string{
		"cpu.stat": "usage_usec 2500000\nuser_usec 2000000\nsystem_usec 500000\ncore_sched.force_idle_usec 0\n" +
			"nr_periods 40\nnr_throttled 12\nthrottled_usec 800\nnr_bursts 0\nburst_usec 0\n",
		"cpu.pressure":          "some avg10=1.50 avg60=0.25 avg300=0.00 total=1234567\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n",
		"memory.current":        "8192\n",
		"memory.max":            "1048576\n",
		"memory.peak":           "12288\n",
		"memory.stat":           "anon 4096\nfile 2048\nkernel 1024\n",
		"memory.events":         "low 0\nhigh 0\nmax 7\noom 1\noom_kill 1\n",
		"memory.swap.current":   "4096\n",
		"memory.swap.max":       "max\n",
		"memory.pressure":       "some avg10=0.00 avg60=0.00 avg300=0.00 total=5\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=4\n",
		"pids.current":          "3\n",
		"pids.max":              "max\n",
		"cpuset.cpus.effective": "0-1\n",
		"cpuset.mems.effective": "0\n",
		"io.stat":               "8:0 rbytes=1459200 wbytes=314773504 rios=192 wios=353 dbytes=0 dios=0\n254:1\n",
		"hugetlb.2MB.current":   "2097152\n",
		"hugetlb.2MB.events":    "max 4\n",
	})
	check(t, g, `{
  "cpu": {
    "usage": {"total": 2500000000, "kernel": 500000000, "user": 2000000000},
    "throttling": {"periods": 40, "throttledPeriods": 12, "throttledTime": 800000},
    "psi": {"some": {"avg10": 1.5, "avg60": 0.25, "avg300": 0, "total": 1234567}}
  },
  "cpuset": {
    "cpus": [0, 1], "cpu_exclusive": 0, "mems": [0], "mem_hardwall": 0, "mem_exclusive": 0, "memory_migrate": 0,
    "memory_spread_page": 0, "memory_spread_slab": 0, "memory_pressure": 0, "sched_load_balance": 0,
    "sched_relax_domain_level": 0
  },
  "memory": {
    "cache": 2048,
    "usage": {"limit": 1048576, "usage": 8192, "max": 12288, "failcnt": 7},
    "swap": {"limit": 18446744073709551615, "usage": 12288, "failcnt": 0},
    "kernel": {"limit": 0, "usage": 1024, "failcnt": 0},
    "raw": {"anon": 4096, "file": 2048, "kernel": 1024},
    "psi": {
      "some": {"avg10": 0, "avg60": 0, "avg300": 0, "total": 5},
      "full": {"avg10": 0, "avg60": 0, "avg300": 0, "total": 4}
    }
  },
  "pids": {"current": 3},
  "blkio": {
    "ioServiceBytesRecursive": [
      {"major": 8, "op": "Read", "value": 1459200}, {"major": 8, "op": "Write", "value": 314773504}, {"major": 8, "op": "Discard"}
    ],
    "ioServicedRecursive": [
      {"major": 8, "op": "Read", "value": 192}, {"major": 8, "op": "Write", "value": 353}, {"major": 8, "op": "Discard"}
    ]
  },
  "hugetlb": {"2MB": {"usage": 2097152, "failcnt": 4}},
  "intel_rdt": {},
  "network_interfaces": null
}`)
}

func TestStatsV1(t *testing.T) {
	g := fakeGroup(t.TempDir(), 1)
	fakeFiles(t, g, map[string]string{
		"cpu.stat":                                  "nr_periods 40\nnr_throttled 12\nthrottled_time 800000\nnr_bursts 0\nburst_time 0\nwait_sum 5\n",
		"cpuacct.usage":                             "2500000123\n",
		"cpuacct.stat":                              "user 200\nsystem 50\n",
		"cpuacct.usage_percpu":                      "2000000000 500000123 \n",
		"cpuacct.usage_all":                         "cpu user system\n0 1600000000 400000000\n1 400000000 100000123\n",
		"memory.stat":                               "cache 2048\nrss 4096\n",
		"memory.usage_in_bytes":                     "8192\n",
		"memory.limit_in_bytes":                     "9223372036854771712\n",
		"memory.max_usage_in_bytes":                 "12288\n",
		"memory.failcnt":                            "7\n",
		"memory.memsw.usage_in_bytes":               "8192\n",
		"memory.memsw.limit_in_bytes":               "16384\n",
		"memory.kmem.tcp.limit_in_bytes":            "9223372036854771712\n",
		"pids.current":                              "3\n",
		"pids.max":                                  "20\n",
		"cpuset.cpus":                               "1\n",
		"cpuset.mems":                               "0\n",
		"cpuset.sched_load_balance":                 "1\n",
		"cpuset.sched_relax_domain_level":           "-1\n",
		"blkio.bfq.io_service_bytes_recursive":      "Total 0\n",
		"blkio.throttle.io_service_bytes_recursive": "254:0 Read 4096\n254:0 Write 0\n254:0 Sync 4096\n254:0 Async 0\n254:0 Discard 0\n254:0 Total 4096\nTotal 4096\n",
		"blkio.bfq.time_recursive":                  "8:16 12\n",
		"hugetlb.1GB.usage_in_bytes":                "0\n",
		"hugetlb.1GB.max_usage_in_bytes":            "1073741824\n",
		"hugetlb.1GB.failcnt":                       "2\n",
	})
	check(t, g, `{
  "cpu": {
    "usage": {
      "total": 2500000123, "percpu": [2000000000, 500000123], "percpu_kernel": [400000000, 100000123],
      "percpu_user": [1600000000, 400000000], "kernel": 500000000, "user": 2000000000
    },
    "throttling": {"periods": 40, "throttledPeriods": 12, "throttledTime": 800000}
  },
  "cpuset": {
    "cpus": [1], "cpu_exclusive": 0, "mems": [0], "mem_hardwall": 0, "mem_exclusive": 0, "memory_migrate": 0,
    "memory_spread_page": 0, "memory_spread_slab": 0, "memory_pressure": 0, "sched_load_balance": 1,
    "sched_relax_domain_level": -1
  },
  "memory": {
    "cache": 2048,
    "usage": {"limit": 9223372036854771712, "usage": 8192, "max": 12288, "failcnt": 7},
    "swap": {"limit": 16384, "usage": 8192, "failcnt": 0},
    "kernelTCP": {"limit": 9223372036854771712, "failcnt": 0},
    "raw": {"cache": 2048, "rss": 4096}
  },
  "pids": {"current": 3, "limit": 20},
  "blkio": {
    "ioServiceBytesRecursive": [
      {"major": 254, "op": "Read", "value": 4096}, {"major": 254, "op": "Write"}, {"major": 254, "op": "Sync", "value": 4096},
      {"major": 254, "op": "Async"}, {"major": 254, "op": "Discard"}, {"major": 254, "op": "Total", "value": 4096}
    ],
    "ioTimeRecursive": [{"major": 8, "minor": 16, "value": 12}]
  },
  "hugetlb": {"1GB": {"max": 1073741824, "failcnt": 2}},
  "intel_rdt": {},
  "network_interfaces": null
}`)
}

func check(t *testing.T, g *Group, want string) {
	t.Helper()
	stats, err := g.Stats()
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(stats)
	if err != nil {
		t.Fatal(err)
	}
	var got, wanted any
	for _, row := range []struct {
		text string
		to   *any
	}{{string(text), &got}, {want, &wanted}} {
		decoder := json.NewDecoder(strings.NewReader(row.text))
		decoder.UseNumber()
		if err := decoder.Decode(row.to); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(wanted, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A group that is gone has used nothing; a file that makes no sense is an error that names it.
func TestStatsOfWhatIsNotThere(t *testing.T) {
	for _, version := range []int{1, 2} {
		g := fakeGroup(t.TempDir(), version)
		if _, err := g.Stats(); err != nil {
			t.Errorf("v%d: %v", version, err)
		}
		fakeFiles(t, g, map[string]string{"pids.current": "many\n"})
		want := "read " + g.parts[0].dir + `/pids.current: strconv.ParseUint: parsing "many": invalid syntax`
		if _, err := g.Stats(); err == nil || err.Error() != want {
			t.Errorf("v%d: got %v, want %s", version, err, want)
		}
	}
}

func TestStats(t *testing.T) {
	g := newGroup(t)
	if err := g.Create(&kernel.Door{}, typical()); err != nil {
		t.Fatal(err)
	}
	cmd := spawn(t, g, "sh", "-c", "i=0; while [ $i -lt 50000 ]; do i=$((i+1)); done; exec sleep 60")
	until(t, "it sleeps", func() bool { return readFile("/proc/"+strconv.Itoa(cmd.Process.Pid)+"/comm") == "sleep" })
	s, err := g.Stats()
	if err != nil {
		t.Fatal(err)
	}
	if s.Pids != (Pids{Current: 1, Limit: 20}) {
		t.Errorf("pids: got %+v", s.Pids)
	}
	if n := s.CPU.Usage.Total; n < uint64(time.Millisecond) || n > uint64(time.Minute) {
		t.Errorf("cpu: got %d ns", n)
	}
	if m := s.Memory.Usage; m.Limit != 64<<20 || m.Usage == 0 || m.Usage > m.Limit {
		t.Errorf("memory: got %+v", m)
	}
	if m := s.Memory.Swap; m.Limit != 128<<20 {
		t.Errorf("memory and swap: got %+v", m)
	}
	if !cmp.Equal(s.CPUSet.CPUs, []uint16{0}) {
		t.Errorf("cpuset: got %v", s.CPUSet.CPUs)
	}
	if len(s.Memory.Raw) < 10 {
		t.Errorf("memory.stat: got %v", s.Memory.Raw)
	}
}
