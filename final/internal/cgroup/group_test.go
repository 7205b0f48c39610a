//go:build linux

package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/simple-container/simple-container/final/internal/kernel"
	"golang.org/x/sys/unix"
)

// TestMain sees to it that the tests leave a hybrid machine's root as it is: what it hands down once, it would go
// on handing down. On a unified one, all is handed down before long by whoever starts a container.
func TestMain(m *testing.M) {
	const root = "/sys/fs/cgroup/unified/cgroup.subtree_control"
	before, _ := os.ReadFile(root) // another kind of machine has none
	code := m.Run()
	if after, _ := os.ReadFile(root); string(after) != string(before) {
		fmt.Printf("%s: %q, was %q\n", root, after, before)
		code = 1
	}
	os.Exit(code)
}

func ptr[T interface {
	~int64 | ~uint64 | ~uint16 | ~uint32 | ~bool
}](v T) *T {
	return &v
}

// machine returns the trees of this machine, and where this process is in them.
func machine(t *testing.T) (Layout, Membership) {
	t.Helper()
	trees(t) // or skip
	mounts, err := (&kernel.Door{}).Mounts()
	if err != nil {
		t.Fatal(err)
	}
	layout, err := Find(mounts)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	return layout, ParseMembership(string(text))
}

// newGroup names a group for a test and sees to it that it is gone after.
func newGroup(t *testing.T) *Group {
	t.Helper()
	layout, own := machine(t)
	name := fmt.Sprintf("/simple-container-test-%d/%s", os.Getpid(), filepath.Base(t.Name()))
	g, err := New(layout, name, "cafe", false, own)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Remove(&kernel.Door{}); err != nil {
			t.Error(err)
		}
		for _, p := range g.parts {
			_ = unix.Rmdir(filepath.Dir(p.dir)) // another test may use it
		}
	})
	return g
}

// spawn starts a program in the group: born there where that can be, and moved there before it does anything.
func spawn(t *testing.T, g *Group, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("sh", append([]string{"-c", `read go; exec "$@"`, "sh"}, args...)...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := g.Dir()
	if err != nil {
		t.Fatal(err)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{}
	if dir != nil {
		defer dir.Close()
		cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, int(dir.Fd())
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it may have been waited for
	})
	if err := g.Add(&kernel.Door{}, cmd.Process.Pid, dir != nil, false); err != nil {
		t.Fatal(err)
	}
	if _, err := in.Write([]byte("go\n")); err != nil {
		t.Fatal(err)
	}
	return cmd
}

// patient bounds the tests' waits: machines that test have much to do.
const patient = 30 * time.Second

// until waits for something to become true.
func until(t *testing.T, what string, reached func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patient); !reached(); time.Sleep(interval) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not so after %v", what, patient)
		}
	}
}

// typical is what an engine sends.
func typical() *specs.LinuxResources {
	return &specs.LinuxResources{
		Devices: []specs.LinuxDeviceCgroup{{Access: "rwm"}, {Allow: true, Type: "c", Major: ptr[int64](10), Minor: ptr[int64](200), Access: "rwm"}},
		Memory:  &specs.LinuxMemory{Limit: ptr[int64](64 << 20), Swap: ptr[int64](128 << 20), Reservation: ptr[int64](32 << 20)},
		CPU:     &specs.LinuxCPU{Shares: ptr[uint64](512), Quota: ptr[int64](50000), Period: ptr[uint64](100000), Cpus: "0", Mems: "0"},
		Pids:    &specs.LinuxPids{Limit: ptr[int64](20)},
	}
}

// one returns what the file of the version says that this machine has the controller on.
func (g *Group) one(t *testing.T, controller, v1, v2 string) string {
	t.Helper()
	p := g.part(controller)
	if p == nil {
		t.Fatalf("no controller %s", controller)
	}
	text, err := kernel.ReadFile(filepath.Join(p.dir, map[int]string{1: v1, 2: v2}[p.Version]))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestCreate(t *testing.T) {
	g := newGroup(t)
	door := &kernel.Door{}
	if err := g.Create(door, typical()); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d calls", door.Calls())
	for _, row := range []struct{ controller, v1, v2, want1, want2 string }{
		{"memory", "memory.limit_in_bytes", "memory.max", "67108864", "67108864"},
		{"memory", "memory.memsw.limit_in_bytes", "memory.swap.max", "134217728", "67108864"},
		{"memory", "memory.soft_limit_in_bytes", "memory.low", "33554432", "33554432"},
		{"cpu", "cpu.shares", "cpu.weight", "512", "59"},
		{"cpu", "cpu.cfs_quota_us", "cpu.max", "50000", "50000 100000"},
		{"cpuset", "cpuset.cpus", "cpuset.cpus", "0", "0"},
		{"pids", "pids.max", "pids.max", "20", "20"},
	} {
		want := row.want1
		if g.part(row.controller).Version == 2 {
			want = row.want2
		}
		if got := g.one(t, row.controller, row.v1, row.v2); got != want {
			t.Errorf("%s: got %q, want %q", row.v1, got, want)
		}
	}
	cmd := spawn(t, g, "sleep", "60")
	for _, all := range []bool{true, false} {
		if got, err := g.Pids(all); err != nil || !cmp.Equal(got, []int{cmd.Process.Pid}) {
			t.Errorf("pids: got %v, %v, want %d", got, err, cmd.Process.Pid)
		}
	}
	// The other side: what the kernel says of the process.
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range g.parts {
		if got := filepath.Join(p.Dir, ParseMembership(string(text)).in(p.Hierarchy)); got != p.dir {
			t.Errorf("the process is in %s, want %s", got, p.dir)
		}
	}
	if err := g.Create(door, nil); err == nil || !strings.Contains(err.Error(), "container's cgroup is not empty") {
		t.Errorf("a second container in the group: got %v, want a refusal", err)
	}
	if err := Load(g.Paths(), "").Remove(door); err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("the process ended with %v, want it killed", err)
	}
	if g.Exists() {
		t.Error("the group is there after Remove")
	}
}

// However far it gets, a failed Create leaves nothing. It may also get over a failure: where controllers cannot
// be handed down together, they are one by one.
func TestCreateFailsAtEveryCall(t *testing.T) {
	g := newGroup(t)
	enough := errors.New("enough")
	for at, last := 1, false; !last; at++ {
		last = true
		door := &kernel.Door{Trap: func(n int, call kernel.Call) error {
			if n != at {
				return nil
			}
			last = false
			return enough
		}}
		err := g.Create(door, typical())
		if err == nil {
			err = g.Remove(&kernel.Door{})
		} else if errors.Is(err, enough) {
			err = nil
		}
		if err != nil {
			t.Fatalf("call %d: %v", at, err)
		}
		if g.Exists() {
			t.Fatalf("call %d failed: the group is there", at)
		}
	}
}

func TestFreeze(t *testing.T) {
	g := newGroup(t)
	door := &kernel.Door{}
	if err := g.Create(door, nil); err != nil {
		t.Fatal(err)
	}
	cmd := spawn(t, g, "sh", "-c", "while :; do :; done")
	used := func() uint64 {
		s, err := g.Stats()
		if err != nil {
			t.Fatal(err)
		}
		return s.CPU.Usage.Total
	}
	frozen := func(want bool) {
		t.Helper()
		if got, err := g.Frozen(); err != nil || got != want {
			t.Errorf("frozen: got %v, %v, want %v", got, err, want)
		}
	}
	frozen(false)
	if err := g.Freeze(door); err != nil {
		t.Fatal(err)
	}
	frozen(true)
	before := used()
	until(t, "it stands still", func() bool { // once it has left the processor
		last := before
		time.Sleep(50 * time.Millisecond)
		before = used()
		return before == last
	})
	if err := g.Thaw(door); err != nil {
		t.Fatal(err)
	}
	frozen(false)
	until(t, "it goes on after the thaw", func() bool { return used() != before })
	if err := g.Freeze(door); err != nil {
		t.Fatal(err)
	}
	if err := g.Kill(door, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("a frozen process ended with %v, want it killed", err)
	}
}

// Who was frozen and killed takes the group along while it is thawed: nobody is frozen then. To freeze it fails.
func TestThawOfGroupThatGoes(t *testing.T) {
	for _, version := range []int{1, 2} {
		for _, on := range []bool{false, true} {
			g := fakeGroup(t.TempDir(), version)
			g.parts[0].Controllers = append(g.parts[0].Controllers, "freezer")
			fakeFiles(t, g, map[string]string{"freezer.state": "FREEZING\n", "cgroup.freeze": "1\n", "cgroup.events": "frozen 1\n"})
			door := &kernel.Door{Trap: func(int, kernel.Call) error { return os.RemoveAll(g.parts[0].dir) }}
			if err := g.parts[0].setFrozen(door, on); on != errors.Is(err, fs.ErrNotExist) {
				t.Errorf("v%d, freeze %v: %v", version, on, err)
			}
		}
	}
}

func TestKillReachesGroupsBelow(t *testing.T) {
	g := newGroup(t)
	door := &kernel.Door{}
	if err := g.Create(door, nil); err != nil {
		t.Fatal(err)
	}
	below, err := g.Below("inner")
	if err != nil {
		t.Fatal(err)
	}
	if err := below.Create(door, nil); err != nil {
		t.Fatal(err)
	}
	cmd := spawn(t, below, "sleep", "60")
	if got, err := g.Pids(false); err != nil || len(got) != 0 {
		t.Errorf("the group itself: got %v, %v, want none", got, err)
	}
	if got, err := g.Pids(true); err != nil || !cmp.Equal(got, []int{cmd.Process.Pid}) {
		t.Errorf("with those below: got %v, %v, want %d", got, err, cmd.Process.Pid)
	}
	text, err := os.ReadFile("/proc/" + strconv.Itoa(cmd.Process.Pid) + "/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := g.Of(string(text)).Paths(), below.Paths(); !cmp.Equal(got, want) {
		t.Errorf("of the process: %s", cmp.Diff(want, got))
	}
	if err := g.Kill(door, unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil || !strings.Contains(err.Error(), "terminated") {
		t.Errorf("it ended with %v, want terminated", err)
	}
}

// Every limit that the kernel has is taken, and changed, and read back by the door; one that it does not have
// is refused by name.
func TestEveryLimit(t *testing.T) {
	disk := specs.LinuxBlockIODevice{}
	disks, _ := filepath.Glob("/sys/block/*/dev") // a bad pattern is the only error
	for _, name := range disks {
		if _, err := fmt.Sscanf(readFile(name), "%d:%d", &disk.Major, &disk.Minor); err != nil {
			t.Fatal(err)
		}
	}
	rate := func(n uint64) []specs.LinuxThrottleDevice {
		if disk.Major == 0 {
			return nil
		}
		return []specs.LinuxThrottleDevice{{LinuxBlockIODevice: disk, Rate: n}}
	}
	for _, test := range []struct {
		controller    string
		file1, file2  string // which show that the kernel has it
		first, second specs.LinuxResources
		field         string
	}{
		{"memory", "memory.memsw.limit_in_bytes", "memory.swap.max",
			specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: ptr[int64](10_000_000), Swap: ptr[int64](20_000_000)}},
			specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: ptr[int64](30_000_000), Swap: ptr[int64](-1), CheckBeforeUpdate: ptr(true)}}, ""},
		{"memory", "memory.oom_control", "",
			specs.LinuxResources{Memory: &specs.LinuxMemory{DisableOOMKiller: ptr(true), Swappiness: ptr[uint64](5), KernelTCP: ptr[int64](1 << 20)}},
			specs.LinuxResources{Memory: &specs.LinuxMemory{DisableOOMKiller: ptr(false), Swappiness: ptr[uint64](60), Kernel: ptr[int64](1 << 20)}},
			"memory."},
		{"cpu", "cpu.cfs_burst_us", "cpu.max.burst",
			specs.LinuxResources{CPU: &specs.LinuxCPU{Quota: ptr[int64](50000), Period: ptr[uint64](100000), Burst: ptr[uint64](40000)}},
			specs.LinuxResources{CPU: &specs.LinuxCPU{Quota: ptr[int64](5000), Period: ptr[uint64](10000), Burst: ptr[uint64](2000)}}, "cpu.burst"},
		{"cpu", "cpu.idle", "cpu.idle",
			specs.LinuxResources{CPU: &specs.LinuxCPU{Shares: ptr[uint64](100), Idle: ptr[int64](1)}},
			specs.LinuxResources{CPU: &specs.LinuxCPU{Shares: ptr[uint64](1000), Idle: ptr[int64](0)}}, "cpu.idle"},
		{"cpuset", "cpuset.cpus", "cpuset.cpus",
			specs.LinuxResources{CPU: &specs.LinuxCPU{Cpus: "0"}}, specs.LinuxResources{CPU: &specs.LinuxCPU{Cpus: "0", Mems: "0"}}, ""},
		{"pids", "pids.max", "pids.max",
			specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr[int64](-1)}}, specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr[int64](5)}}, ""},
		{"blkio", "blkio.throttle.read_bps_device", "",
			specs.LinuxResources{BlockIO: &specs.LinuxBlockIO{ThrottleReadBpsDevice: rate(1 << 20), ThrottleWriteIOPSDevice: rate(100)}},
			specs.LinuxResources{BlockIO: &specs.LinuxBlockIO{ThrottleReadBpsDevice: rate(0), ThrottleWriteIOPSDevice: rate(200)}}, ""},
		{"io", "", "io.max",
			specs.LinuxResources{BlockIO: &specs.LinuxBlockIO{ThrottleReadBpsDevice: rate(1 << 20), ThrottleWriteIOPSDevice: rate(100)}},
			specs.LinuxResources{BlockIO: &specs.LinuxBlockIO{ThrottleReadBpsDevice: rate(0), ThrottleWriteIOPSDevice: rate(200)}}, ""},
		{"blkio", "blkio.bfq.weight", "",
			specs.LinuxResources{BlockIO: &specs.LinuxBlockIO{Weight: ptr[uint16](10)}},
			specs.LinuxResources{BlockIO: &specs.LinuxBlockIO{Weight: ptr[uint16](1000)}}, "blockIO.weight"},
		{"io", "", "io.weight",
			specs.LinuxResources{BlockIO: &specs.LinuxBlockIO{Weight: ptr[uint16](10)}},
			specs.LinuxResources{BlockIO: &specs.LinuxBlockIO{Weight: ptr[uint16](1000)}}, "blockIO.weight"},
		{"hugetlb", "hugetlb.2MB.limit_in_bytes", "hugetlb.2MB.max",
			specs.LinuxResources{HugepageLimits: []specs.LinuxHugepageLimit{{Pagesize: "2MB", Limit: 5 << 20}}},
			specs.LinuxResources{HugepageLimits: []specs.LinuxHugepageLimit{{Pagesize: "2MB", Limit: 1<<64 - 1}}}, "hugepageLimits[0].limit"},
	} {
		t.Run(test.controller, func(t *testing.T) {
			g := newGroup(t)
			p := g.part(test.controller)
			if p == nil || test.controller == "hugetlb" && len(g.parts) > 1 { // not to change the root of a hybrid machine
				return
			}
			if err := g.Create(&kernel.Door{}, nil); err != nil {
				t.Fatal(err)
			}
			file := map[int]string{1: test.file1, 2: test.file2}[p.Version]
			has := file != "" && unix.Access(p.dir+"/"+file, unix.F_OK) == nil
			if file == "io.weight" && !has {
				has = unix.Access(p.dir+"/io.bfq.weight", unix.F_OK) == nil
			}
			for _, limits := range []specs.LinuxResources{test.first, test.second, test.first} {
				err := g.Update(&kernel.Door{}, &limits)
				switch {
				case has && err != nil:
					t.Error(err)
				case !has && test.field == "" && err != nil && !errors.Is(err, fs.ErrNotExist):
					t.Error(err)
				case !has && test.field != "" && (err == nil || !strings.HasPrefix(err.Error(), "linux.resources."+test.field)):
					t.Errorf("got %v, want an error about %s", err, test.field)
				}
			}
			t.Logf("%s: %v", file, has)
		})
	}
}
