//go:build linux

package cgroup

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/simple-container/simple-container/final/internal/kernel"
)

// TestSystemdItself runs a real systemd, as the first process of namespaces of its own, below a group of its
// own, with nothing to start but what it is made of; and then, in its world, the tests whose names end with
// InsideSystemd.
func TestSystemdItself(t *testing.T) {
	const program = "/lib/systemd/systemd"
	layout, _ := machine(t)
	switch _, err := exec.LookPath(program); {
	case err != nil && os.Getenv("MICROVM") != "": // testdata/microvm asks for it
		t.Fatal(err)
	case err != nil:
		t.Skipf("there is no systemd: %v", err)
	}
	final, image := buildFinal(t)
	g := newGroup(t)
	if err := g.Create(&kernel.Door{}, &specs.LinuxResources{Devices: devs("allow a *:* rwm")}); err != nil {
		t.Fatal(err)
	}
	// The first unshare(1) waits in a group of its own: v2 lets no controllers be handed down past a process.
	outside, err := New(layout, "/simple-container-test-"+fmt.Sprint(os.Getpid())+"/outside", "", false, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := outside.Create(&kernel.Door{}, &specs.LinuxResources{Devices: devs("allow a *:* rwm")}); err != nil {
		t.Fatal(err)
	}
	defer outside.Remove(&kernel.Door{})
	ready := t.TempDir() + "/ready"
	script := "set -e\nuntil [ -e " + ready + " ]; do sleep 0.01; done\nmount -t proc proc /proc\n"
	script += "mount -t tmpfs tmpfs /sys/fs/cgroup\n" // a file system cannot be mounted on itself
	for _, m := range g.Mounts() {
		kind := map[int]string{1: "cgroup -o " + m.Options, 2: "cgroup2"}[m.Version]
		script += fmt.Sprintf("mkdir -p /sys/fs/cgroup/%s\nmount -t %s cgroup /sys/fs/cgroup/%[1]s\n", m.Name, kind)
	}
	script += `mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /var
mkdir -p /run/systemd/system /run/etc /var/log /var/lib /var/tmp
cp /etc/passwd /etc/group /run/etc
mount --bind /run/etc /etc
echo 0123456789abcdef0123456789abcdef >/etc/machine-id
printf '[Unit]\nDefaultDependencies=no\n' >/run/systemd/system/nothing.target
exec env -i container=other PATH=/usr/bin:/usr/sbin:/bin ` + program + ` --unit=nothing.target --log-target=null --show-status=no`
	unshare, err := exec.LookPath("unshare")
	if err != nil {
		t.Fatal(err)
	}
	cmd := spawn(t, g, unshare, "--mount", "--pid", "--fork", "--kill-child", "--uts", "--ipc", "--net", "--cgroup",
		"--propagation=private", "sh", "-c", script)
	until(t, "unshare forks", func() bool {
		pids, err := g.Pids(true)
		return err == nil && len(pids) > 1
	})
	if err := outside.Add(&kernel.Door{}, cmd.Process.Pid, false, false); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(ready, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	pid := ""
	until(t, "systemd listens", func() bool {
		pid = readFile(g.book().dir + "/init.scope/cgroup.procs")
		_, err := os.Stat("/proc/" + pid + "/root/run/systemd/private")
		return pid != "" && err == nil
	})
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	inner := exec.Command("nsenter", "-t", pid, "--all", self, "-test.run=InsideSystemd$", "-test.timeout=5m")
	// It is born below the namespace's root: v2 moves no process in from outside (nsdelegate).
	tester, err := g.Below("tester")
	if err != nil {
		t.Fatal(err)
	}
	if err := tester.Create(&kernel.Door{}, &specs.LinuxResources{Devices: devs("allow a *:* rwm")}); err != nil {
		t.Fatal(err)
	}
	dir, err := tester.Dir()
	if err != nil {
		t.Fatal(err)
	}
	if dir != nil {
		defer dir.Close()
		inner.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd())}
	}
	inner.Env = append(os.Environ(), insideSystemd+"=1", "FINAL="+final, "ROOTFS="+image)
	if out, err := inner.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// insideSystemd is set where TestSystemdItself runs its tests.
const insideSystemd = "CGROUP_TEST_SYSTEMD"

// What a real systemd makes of it, seen from inside its world.
func TestInsideSystemd(t *testing.T) {
	if os.Getenv(insideSystemd) == "" {
		return // it is not a test of its own
	}
	layout, own := machine(t)
	g, err := New(layout, "test-inner.slice:test:cafe", "cafe", true, own)
	if err != nil {
		t.Fatal(err)
	}
	door := &kernel.Door{}
	if err := g.Create(door, typical()); err != nil {
		t.Fatal(err)
	}
	cmd := spawn(t, g, "sleep", "60")
	for _, p := range g.parts {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", cmd.Process.Pid))
		if err != nil {
			t.Fatal(err)
		}
		if got := ParseMembership(string(text)).in(p.Hierarchy); got != "/test.slice/test-inner.slice/test-cafe.scope" {
			t.Errorf("%s: the process is in %s", p.Dir, got)
		}
	}
	if got := g.one(t, "memory", "memory.limit_in_bytes", "memory.max"); got != "67108864" {
		t.Errorf("memory limit: got %s", got)
	}
	// systemd puts its own idea of every unit back now.
	before := []string{g.one(t, "cpu", "cpu.cfs_quota_us", "cpu.max"), g.one(t, "pids", "pids.max", "pids.max")}
	if p := g.part("devices"); p != nil {
		before = append(before, sortedLines(p.dir+"/devices.list")...)
	}
	if out, err := exec.Command("systemctl", "daemon-reload").CombinedOutput(); err != nil {
		t.Errorf("daemon-reload: %v: %s", err, out)
	}
	after := []string{g.one(t, "cpu", "cpu.cfs_quota_us", "cpu.max"), g.one(t, "pids", "pids.max", "pids.max")}
	if p := g.part("devices"); p != nil {
		after = append(after, sortedLines(p.dir+"/devices.list")...)
	}
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("a daemon-reload changed (-before +after):\n%s", diff)
	}
	again := Load(g.Paths(), g.Unit())
	if err := again.Update(door, &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr[int64](30)}}); err != nil {
		t.Error(err)
	}
	if got := g.one(t, "pids", "pids.max", "pids.max"); got != "30" {
		t.Errorf("pids.max after the update: got %s, want 30", got)
	}
	// Halves of what is one value to systemd, and its own idea of them.
	for _, half := range []*specs.LinuxResources{
		{CPU: &specs.LinuxCPU{Period: ptr[uint64](50000)}}, {CPU: &specs.LinuxCPU{Quota: ptr[int64](25000)}},
		{Memory: &specs.LinuxMemory{Swap: ptr[int64](96 << 20)}},
	} {
		if err := again.Update(door, half); err != nil {
			t.Error(err)
		}
	}
	if out, err := exec.Command("systemctl", "daemon-reload").CombinedOutput(); err != nil {
		t.Errorf("daemon-reload: %v: %s", err, out)
	}
	if got := g.one(t, "cpu", "cpu.cfs_quota_us", "cpu.max"); got != "25000" && got != "25000 50000" {
		t.Errorf("quota after the updates and a daemon-reload: got %s", got)
	}
	if got := g.one(t, "memory", "memory.memsw.limit_in_bytes", "memory.swap.max"); got != fmt.Sprint(96<<20) && got != fmt.Sprint(32<<20) {
		t.Errorf("swap after the updates and a daemon-reload: got %s", got)
	}
	if got, err := again.Pids(true); err != nil || !slices.Equal(got, []int{cmd.Process.Pid}) {
		t.Errorf("pids: got %v, %v", got, err)
	}
	if err := again.Remove(door); err != nil {
		t.Error(err)
	}
	if g.Exists() {
		t.Error("the group is there after Remove")
	}
	// And once more under the same name: nothing of it is left.
	h, err := New(layout, "test-inner.slice:test:cafe", "cafe", true, own)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Create(door, typical()); err != nil {
		t.Fatal(err)
	}
	spawn(t, h, "sleep", "60")
	if err := h.Remove(door); err != nil {
		t.Error(err)
	}
}

func sortedLines(path string) []string {
	lines := strings.Split(readFile(path), "\n")
	slices.Sort(lines)
	return lines
}
