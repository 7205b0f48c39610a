//go:build linux

package cgroup

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/simple-container/simple-container/final/internal/kernel"
)

type resources = specs.LinuxResources

// What is written for what is asked. now is what files say before.
func TestSettings(t *testing.T) {
	disk := specs.LinuxBlockIODevice{Major: 8, Minor: 16}
	for _, test := range []struct {
		name   string
		asked  resources
		now    map[string]string
		v1, v2 string // file=value, in their order; or "! " and a part of the error
	}{
		{name: "nothing"},
		{"memory", resources{Memory: &specs.LinuxMemory{Limit: ptr[int64](1 << 20), Swap: ptr[int64](3 << 20), Reservation: ptr[int64](4096)}}, nil,
			"memory.limit_in_bytes=1048576 memory.memsw.limit_in_bytes=3145728 memory.soft_limit_in_bytes=4096",
			"memory.swap.max=2097152 memory.max=1048576 memory.low=4096"},
		{"no swap", resources{Memory: &specs.LinuxMemory{Limit: ptr[int64](1 << 20), Swap: ptr[int64](1 << 20)}}, nil,
			"memory.limit_in_bytes=1048576 memory.memsw.limit_in_bytes=1048576", "memory.swap.max=0 memory.max=1048576"},
		{"memory raised above what it may have with swap", resources{Memory: &specs.LinuxMemory{Limit: ptr[int64](8192), Swap: ptr[int64](16384)}},
			map[string]string{"memory.memsw.limit_in_bytes": "4096"},
			"memory.memsw.limit_in_bytes=16384 memory.limit_in_bytes=8192", "memory.swap.max=8192 memory.max=8192"},
		{"memory without limit", resources{Memory: &specs.LinuxMemory{Limit: ptr[int64](-1)}}, map[string]string{"memory.memsw.limit_in_bytes": "4096"},
			"memory.memsw.limit_in_bytes=-1 memory.limit_in_bytes=-1", "memory.swap.max=max memory.max=max"},
		{"swap alone", resources{Memory: &specs.LinuxMemory{Swap: ptr[int64](8192)}}, map[string]string{"memory.max": "4096"},
			"memory.memsw.limit_in_bytes=8192", "memory.swap.max=4096"},
		{"0 is nothing", resources{Memory: &specs.LinuxMemory{Limit: ptr[int64](0), Swap: ptr[int64](0), Reservation: ptr[int64](0)},
			CPU:     &specs.LinuxCPU{Shares: ptr[uint64](0), Quota: ptr[int64](0), Period: ptr[uint64](0), RealtimePeriod: ptr[uint64](0)},
			BlockIO: &specs.LinuxBlockIO{Weight: ptr[uint16](0), LeafWeight: ptr[uint16](0)}}, nil, "", ""},
		{"the OOM killer", resources{Memory: &specs.LinuxMemory{DisableOOMKiller: ptr(true)}}, nil,
			"memory.oom_control=1", "! linux.resources.memory.disableOOMKiller: true: cgroup v2"},
		{"the OOM killer as it is", resources{Memory: &specs.LinuxMemory{DisableOOMKiller: ptr(false)}}, nil, "", ""},
		{"swappiness", resources{Memory: &specs.LinuxMemory{Swappiness: ptr[uint64](10)}}, nil,
			"memory.swappiness=10", "! linux.resources.memory.swappiness: 10: "},
		{"tcp", resources{Memory: &specs.LinuxMemory{KernelTCP: ptr[int64](4096)}}, nil,
			"memory.kmem.tcp.limit_in_bytes=4096", "! linux.resources.memory.kernelTCP: 4096: "},
		{"no hierarchy", resources{Memory: &specs.LinuxMemory{UseHierarchy: ptr(false)}}, nil,
			"memory.use_hierarchy=0", "! linux.resources.memory.useHierarchy: false: "},
		{"no size", resources{Memory: &specs.LinuxMemory{Limit: ptr[int64](-2)}}, nil,
			"! linux.resources.memory.limit: -2: want bytes", "! linux.resources.memory.limit: -2: want bytes"},
		{"less swap than memory", resources{Memory: &specs.LinuxMemory{Limit: ptr[int64](8192), Swap: ptr[int64](4096)}}, nil,
			"memory.limit_in_bytes=8192 memory.memsw.limit_in_bytes=4096", "! linux.resources.memory.swap: 4096: is for memory and swap together"},
		{"more is used than allowed", resources{Memory: &specs.LinuxMemory{Limit: ptr[int64](4096), CheckBeforeUpdate: ptr(true)}},
			map[string]string{"memory.current": "8192"},
			"memory.limit_in_bytes=4096", "! linux.resources.memory.limit: 4096: 8192 bytes are in use"},
		{"cpu", resources{CPU: &specs.LinuxCPU{Shares: ptr[uint64](1024), Quota: ptr[int64](50000), Period: ptr[uint64](100000)}}, nil,
			"cpu.shares=1024 cpu.cfs_period_us=100000 cpu.cfs_quota_us=50000", "cpu.weight=100 cpu.max=50000,100000"},
		{"a shorter period", resources{CPU: &specs.LinuxCPU{Quota: ptr[int64](5000), Period: ptr[uint64](10000)}},
			map[string]string{"cpu.cfs_period_us": "100000"}, "cpu.cfs_quota_us=5000 cpu.cfs_period_us=10000", "cpu.max=5000,10000"},
		{"no quota", resources{CPU: &specs.LinuxCPU{Quota: ptr[int64](-1)}}, nil, "cpu.cfs_quota_us=-1", "cpu.max=max"},
		{"a period for the quota there is", resources{CPU: &specs.LinuxCPU{Period: ptr[uint64](20000)}}, map[string]string{"cpu.max": "5000 10000"},
			"cpu.cfs_period_us=20000", "cpu.max=5000,20000"},
		{"a burst that shrinks", resources{CPU: &specs.LinuxCPU{Quota: ptr[int64](50000), Burst: ptr[uint64](0)}},
			map[string]string{"cpu.max.burst": "100000", "cpu.cfs_burst_us": "100000"},
			"cpu.cfs_burst_us=0 cpu.cfs_quota_us=50000", "cpu.max.burst=0 cpu.max=50000"},
		{"a burst that grows", resources{CPU: &specs.LinuxCPU{Quota: ptr[int64](50000), Burst: ptr[uint64](20000)}}, nil,
			"cpu.cfs_quota_us=50000 cpu.cfs_burst_us=20000", "cpu.max=50000 cpu.max.burst=20000"},
		{"idle", resources{CPU: &specs.LinuxCPU{Shares: ptr[uint64](2), Idle: ptr[int64](1)}}, nil,
			"cpu.shares=2 cpu.idle=1", "cpu.weight=1 cpu.idle=1"},
		{"idle no more", resources{CPU: &specs.LinuxCPU{Shares: ptr[uint64](262144), Idle: ptr[int64](0)}}, nil,
			"cpu.idle=0 cpu.shares=262144", "cpu.idle=0 cpu.weight=10000"},
		{"realtime", resources{CPU: &specs.LinuxCPU{RealtimePeriod: ptr[uint64](1000000), RealtimeRuntime: ptr[int64](950000)}}, nil,
			"cpu.rt_period_us=1000000 cpu.rt_runtime_us=950000", "! linux.resources.cpu.realtimePeriod: 1000000: "},
		{"cpuset", resources{CPU: &specs.LinuxCPU{Cpus: "0,1", Mems: "0"}}, nil, "cpuset.cpus=0,1 cpuset.mems=0", "cpuset.cpus=0,1 cpuset.mems=0"},
		{"no cpuset", resources{CPU: &specs.LinuxCPU{Cpus: "1-0"}}, nil,
			`! linux.resources.cpu.cpus: "1-0": `, `! linux.resources.cpu.cpus: "1-0": `},
		{"pids", resources{Pids: &specs.LinuxPids{Limit: ptr[int64](0)}}, nil, "pids.max=0", "pids.max=0"},
		{"any pids", resources{Pids: &specs.LinuxPids{Limit: ptr[int64](-1)}}, nil, "pids.max=max", "pids.max=max"},
		{"weights", resources{BlockIO: &specs.LinuxBlockIO{Weight: ptr[uint16](1000),
			WeightDevice: []specs.LinuxWeightDevice{{LinuxBlockIODevice: disk, Weight: ptr[uint16](10)}}}}, nil,
			"blkio.bfq.weight=1000|blkio.weight=1000 blkio.bfq.weight_device=8:16,10|blkio.weight_device=8:16,10",
			"io.bfq.weight=1000|io.weight=10000 io.bfq.weight=8:16,10|io.weight=8:16,1"},
		{"leaf weight", resources{BlockIO: &specs.LinuxBlockIO{LeafWeight: ptr[uint16](500)}}, nil,
			"blkio.leaf_weight=500", "! linux.resources.blockIO.leafWeight: 500: "},
		{"throttles", resources{BlockIO: &specs.LinuxBlockIO{
			ThrottleReadBpsDevice:   []specs.LinuxThrottleDevice{{LinuxBlockIODevice: disk, Rate: 1048576}},
			ThrottleWriteBpsDevice:  []specs.LinuxThrottleDevice{{LinuxBlockIODevice: disk, Rate: 0}},
			ThrottleReadIOPSDevice:  []specs.LinuxThrottleDevice{{LinuxBlockIODevice: disk, Rate: 10}},
			ThrottleWriteIOPSDevice: []specs.LinuxThrottleDevice{{LinuxBlockIODevice: disk, Rate: 20}},
		}}, nil,
			"blkio.throttle.read_bps_device=8:16,1048576 blkio.throttle.write_bps_device=8:16,0 " +
				"blkio.throttle.read_iops_device=8:16,10 blkio.throttle.write_iops_device=8:16,20",
			"io.max=8:16,rbps=1048576 io.max=8:16,wbps=max io.max=8:16,riops=10 io.max=8:16,wiops=20"},
		{"huge pages", resources{HugepageLimits: []specs.LinuxHugepageLimit{{Pagesize: "2MB", Limit: 4 << 20}}}, nil,
			"hugetlb.2MB.limit_in_bytes=4194304 hugetlb.2MB.rsvd.limit_in_bytes=4194304", "hugetlb.2MB.max=4194304 hugetlb.2MB.rsvd.max=4194304"},
		{"no size of pages", resources{HugepageLimits: []specs.LinuxHugepageLimit{{Pagesize: "../../1MB"}}}, nil,
			`! linux.resources.hugepageLimits[0].pageSize: "../../1MB": `, `! linux.resources.hugepageLimits[0].pageSize: "../../1MB": `},
		{"rdma", resources{Rdma: map[string]specs.LinuxRdma{"mlx4_0": {HcaHandles: ptr[uint32](2), HcaObjects: ptr[uint32](2000)}}}, nil,
			"rdma.max=mlx4_0,hca_handle=2,hca_object=2000", "rdma.max=mlx4_0,hca_handle=2,hca_object=2000"},
		{"nothing of a device", resources{Rdma: map[string]specs.LinuxRdma{"b": {}}}, nil,
			`! linux.resources.rdma["b"]: {}: want `, `! linux.resources.rdma["b"]: {}: want `},
		{"no weight of a device", resources{BlockIO: &specs.LinuxBlockIO{WeightDevice: []specs.LinuxWeightDevice{{LinuxBlockIODevice: disk}}}}, nil,
			"! linux.resources.blockIO.weightDevice[0]: 8:16: want ", "! linux.resources.blockIO.weightDevice[0]: 8:16: want "},
		{"network", resources{Network: &specs.LinuxNetwork{ClassID: ptr[uint32](0x100001), Priorities: []specs.LinuxInterfacePriority{{Name: "lo", Priority: 5}}}}, nil,
			"net_cls.classid=1048577 net_prio.ifpriomap=lo,5", "! linux.resources.network.classID: 1048577: no controller net_cls here"},
		{"unified", resources{Unified: map[string]string{"memory.high": "4096", "io.max": "8:16 rbps=1\n8:0 rbps=2\n"}}, nil,
			`! linux.resources.unified["io.max"]: `, "io.max=8:16,rbps=1 io.max=8:0,rbps=2 memory.high=4096"},
		{"unified with a path", resources{Unified: map[string]string{"../memory.high": "4096"}}, nil,
			`! linux.resources.unified["../memory.high"]: 4096: `, `! linux.resources.unified["../memory.high"]: 4096: `},
	} {
		t.Run(test.name, func(t *testing.T) {
			for version, want := range map[int]string{1: test.v1, 2: test.v2} {
				g := fakeGroup(t.TempDir(), version)
				got, err := g.changes(&test.asked, func(path string) string { return test.now[filepath.Base(path)] })
				if part, refused := strings.CutPrefix(want, "! "); refused {
					if err == nil || !strings.HasPrefix(err.Error(), part) {
						t.Errorf("v%d: got %v, want the error %s", version, err, part)
					}
					continue
				}
				var text []string
				for _, c := range got {
					word := c.file + "=" + strings.ReplaceAll(c.value, " ", ",")
					if c.or != nil {
						word += "|" + c.or.file + "=" + strings.ReplaceAll(c.or.value, " ", ",")
					}
					text = append(text, word)
				}
				if diff := cmp.Diff(strings.Fields(want), text); diff != "" && (want != "" || text != nil) || err != nil {
					t.Errorf("v%d: %v (-want +got):\n%s", version, err, diff)
				}
			}
		})
	}
}

// fakeGroup is a group in a directory that only looks like one, with all controllers.
func fakeGroup(dir string, version int) *Group {
	all := []string{"cpu", "cpuacct", "cpuset", "memory", "pids", "hugetlb", "rdma"}
	if version == 2 {
		all = append(all, "io")
	} else {
		all = append(all, "blkio", "net_cls", "net_prio")
	}
	return &Group{parts: []*part{{dir: dir + "/group", Hierarchy: Hierarchy{Dir: dir, Version: version, Controllers: all}}}}
}

// fakeFiles fills the directory of a group.
func fakeFiles(t *testing.T, g *Group, files map[string]string) {
	t.Helper()
	for _, p := range g.parts {
		if err := os.MkdirAll(p.dir, 0o755); err != nil {
			t.Fatal(err)
		}
		for name, text := range files {
			if err := os.WriteFile(filepath.Join(p.dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// A value that the kernel rounded to pages is the value; any other is not.
func TestSame(t *testing.T) {
	for _, test := range []struct {
		same func(string) bool
		yes  string
		no   string
	}{
		{pages(1<<20 + 5), "1048576", "1048581 1052672 max"},
		{pages(-1), "max 9223372036854771712", "0 1048576 -1"},
		{pages(0), "0", "4096 max"},
		{pages(1<<63 - 1), "max 9223372036854771712", "0"},
		{whole(5<<20, 2<<20), "4194304", "5242880 max"},
		{whole(1<<64-1, 2<<20), "max 9223372036852678656", "0"},
		{hasLine("8:16", "rbps=1048576"), "8:0 rbps=max\n8:16 rbps=1048576 wbps=max riops=max wiops=max", "8:160 rbps=1048576|8:16 rbps=10485760"},
		{hasLine("default", "100"), "default 100\n8:0 50", "50|default 1000"},
		{weightIs("100"), "100|default 100", "1000"},
	} {
		split := func(text string) []string {
			if strings.Contains(text, "=") || strings.Contains(text, "default") {
				return strings.Split(text, "|")
			}
			return strings.Fields(text)
		}
		for _, got := range split(test.yes) {
			if !test.same(got) {
				t.Errorf("%q is not the same, want it so", got)
			}
		}
		for _, got := range split(test.no) {
			if test.same(got) {
				t.Errorf("%q is the same, want it not so", got)
			}
		}
	}
}

func TestApplyNamesTheFieldAndTheCause(t *testing.T) {
	limits := &resources{
		Memory: &specs.LinuxMemory{Limit: ptr[int64](1 << 20), Swap: ptr[int64](2 << 20)},
		CPU:    &specs.LinuxCPU{Burst: ptr[uint64](1000)},
	}
	apply := func(g *Group, refused map[string]error) error {
		changes, err := g.changes(limits, readFile)
		if err != nil {
			t.Fatal(err)
		}
		return g.apply(&kernel.Door{}, changes, refused)
	}
	g := fakeGroup(t.TempDir(), 2)
	fakeFiles(t, g, map[string]string{"memory.max": "max\n", "memory.swap.max": "max\n"})
	dir := g.parts[0].dir
	want := "linux.resources.cpu.burst: write " + dir + `/cpu.max.burst "1000": no such file or directory: needs Linux 5.14`
	if err := apply(g, nil); err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
	busy := errors.New("busy")
	if err := apply(g, map[string]error{"cpu": busy}); !errors.Is(err, busy) || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a controller that was not handed down: got %v, want both causes", err)
	}
	limits.CPU = nil
	if err := apply(g, nil); err != nil {
		t.Error(err)
	}
	// What the kernel makes of a value, if it is another.
	limits.CPU = &specs.LinuxCPU{Idle: ptr[int64](1)}
	fakeFiles(t, g, map[string]string{"cpu.idle": "100000000\n"})
	if err := apply(g, nil); err == nil || !strings.HasSuffix(err.Error(), `/cpu.idle "1": the kernel made it "100000000"`) {
		t.Errorf("got %v", err)
	}
}

// Swap that cannot be limited is no harm where there is none, and is said.
func TestSpareSwap(t *testing.T) {
	swaps, err := kernel.ReadFile("/proc/swaps")
	if err != nil {
		t.Fatal(err)
	}
	g := fakeGroup(t.TempDir(), 2)
	fakeFiles(t, g, map[string]string{"memory.max": "max\n"})
	changes, err := g.changes(tight(), readFile)
	if err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	err = g.apply(&kernel.Door{Explain: &said}, changes, nil)
	if hasSwap := strings.Contains(swaps, "\n"); hasSwap != (err != nil) {
		t.Errorf("swap %v: got %v", hasSwap, err)
	}
	if err == nil && !strings.Contains(said.String(), "skip linux.resources.memory.swap: this kernel has no limit of swap, and the machine no swap\n") {
		t.Errorf("it said %q", &said)
	}
}

func TestWeightOfShares(t *testing.T) {
	before := uint64(0)
	for shares := uint64(0); shares <= 1<<19; shares += 7 {
		got := weightOfShares(shares)
		if got < before || got < 1 || got > 10000 {
			t.Fatalf("%d shares: weight %d after %d", shares, got, before)
		}
		before = got
	}
	for shares, want := range map[uint64]uint64{1: 1, 2: 1, 1024: 100, 512: 59, 262144: 10000} {
		if got := weightOfShares(shares); got != want {
			t.Errorf("%d shares: got %d, want %d", shares, got, want)
		}
	}
}

func TestParseList(t *testing.T) {
	for text, want := range map[string][]uint16{"0-2,7": {0, 1, 2, 7}, "7,0-2,1": {0, 1, 2, 7}, "": nil, "3\n": {3}} {
		if got, err := parseList(text); err != nil || !cmp.Equal(got, want) {
			t.Errorf("%q: got %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"2-1", "a", "1-", "-1", "99999999"} {
		if got, err := parseList(text); err == nil {
			t.Errorf("%q: got %v, want an error", text, got)
		}
	}
}
