//go:build linux

package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// groups are the cgroup directories of a process on the host, by controller; "" is the cgroup2 one. What
// the host has on v1 is found there, all else in the cgroup2 directory.
type groups map[string]string

func groupsOf(w *world, pid int) groups {
	w.Helper()
	points := map[string]string{}
	for _, m := range mountsOf(w, unix.Gettid()) {
		switch m.fstype {
		case "cgroup2":
			points[""] = m.point
		case "cgroup":
			for _, option := range strings.Split(m.super, ",") {
				points[option] = m.point
			}
		}
	}
	g := groups{}
	// 0::/simple-container-f00d or 4:memory:/simple-container-f00d
	for _, line := range lines(w.read(fmt.Sprintf("/proc/%d/cgroup", pid))) {
		fields := strings.SplitN(line, ":", 3)
		for _, controller := range strings.Split(fields[1], ",") {
			if point, ok := points[controller]; ok {
				g[controller] = filepath.Join(point, fields[2])
			}
		}
	}
	for _, controller := range []string{"memory", "cpu", "cpuacct", "pids"} {
		if _, v1 := g[controller]; !v1 {
			g[controller] = g[""]
		} else if os.Getenv("MICROVM") != "" {
			w.Fatalf("the micro-VM has the %s controller on v1", controller)
		}
	}
	return g
}

func (g groups) v1(controller string) bool { return g[controller] != g[""] }

// value reads a file of the controller: its v2 name or its v1 name, as the host has it.
func (g groups) value(w *world, controller, v2, v1 string) string {
	w.Helper()
	if g.v1(controller) {
		return strings.TrimSpace(w.read(filepath.Join(g[controller], v1)))
	}
	return strings.TrimSpace(w.read(filepath.Join(g[controller], v2)))
}

func (g groups) number(w *world, controller, v2, v1 string) int {
	w.Helper()
	n, err := strconv.Atoi(g.value(w, controller, v2, v1))
	w.must(err)
	return n
}

// cpuTime is what a process has used of the processors: utime and stime of proc_pid_stat(5), in ticks of
// 10 ms.
func cpuTime(w *world, pid int) time.Duration {
	w.Helper()
	_, after, _ := strings.Cut(w.read(fmt.Sprintf("/proc/%d/stat", pid)), ") ") // a name may hold spaces
	fields := strings.Fields(after)
	user, err := strconv.Atoi(fields[11])
	w.must(err)
	system, err := strconv.Atoi(fields[12])
	w.must(err)
	return time.Duration(user+system) * 10 * time.Millisecond
}

func keyedValue(w *world, file, key string) (n int) {
	w.Helper()
	for _, line := range lines(w.read(file)) {
		if value, ok := strings.CutPrefix(line, key+" "); ok {
			n, err := strconv.Atoi(value)
			w.must(err)
			return n
		}
	}
	w.Fatalf("%s: no %s", file, key)
	return 0
}

func TestLimitsAreSet(t *testing.T) {
	w := newWorld(t)
	memory := (32 + rand.IntN(64)) << 20
	quota := []int{29_000, 57_000, 58_000}[rand.IntN(3)] // 0.58 is a little less as a float64
	pids := 20 + rand.IntN(20)
	g := groupsOf(w, w.start("run", "--memory", strconv.Itoa(memory), "--cpus", fmt.Sprint(float64(quota)/100_000),
		"--pids-limit", strconv.Itoa(pids), "sleep", "1000").started())
	for _, c := range []struct{ what, want, got string }{
		{"memory limit", strconv.Itoa(memory), g.value(w, "memory", "memory.max", "memory.limit_in_bytes")},
		{"pids limit", strconv.Itoa(pids), g.value(w, "pids", "pids.max", "pids.max")},
	} {
		if c.got != c.want {
			w.wrong(c.what, c.want, c.got, "the file was not written in the container's own group", walk)
		}
	}
	want, got := fmt.Sprintf("%d 100000", quota), g.value(w, "cpu", "cpu.max", "cpu.cfs_quota_us")
	if g.v1("cpu") {
		want = strconv.Itoa(quota)
	}
	if got != want {
		w.wrong("cpu quota", want, got, `cpu.max wants "quota period", in microseconds`, walk)
	}
	others := map[string]string{"memory.swap.max": "0", "memory.oom.group": "1"}
	if g.v1("memory") { // which counts memory and swap together
		others = map[string]string{"memory.memsw.limit_in_bytes": strconv.Itoa(memory)}
	}
	for file, want := range others {
		text, err := os.ReadFile(filepath.Join(g["memory"], file))
		if got := strings.TrimSpace(string(text)); err == nil && got != want {
			w.wrong(file, want, got, "memory.max alone lets the container swap, and lose one process of many", walk)
		}
	}
}

func TestEveryProcessIsInside(t *testing.T) {
	w := newWorld(t)
	p := w.start("run", "sleep", "1000")
	command := p.started()
	ours, a, b := groupsOf(w, os.Getpid()), groupsOf(w, p.init()), groupsOf(w, command)
	for _, controller := range []string{"", "memory", "cpu", "pids"} {
		if a[controller] != b[controller] || a[controller] == ours[controller] {
			w.wrong("cgroup of process 1 and the command", "the container's, both", a[controller]+" and "+b[controller],
				"a process was started before it was moved", walk)
		}
	}
}

// startHeld starts the program with a command that reads its input, which ends when the test says so: until then, it
// is there to be looked at.
func (w *world) startHeld(args ...string) (p *process, begin func()) {
	w.Helper()
	theirs, ours, err := os.Pipe()
	w.must(err)
	w.Cleanup(func() { ours.Close() })
	p = w.startWith(func(cmd *exec.Cmd) { cmd.Stdin = theirs }, args...)
	w.must(theirs.Close())
	return p, func() { w.must(ours.Close()) }
}

func TestMemoryHogIsHeld(t *testing.T) {
	w := newWorld(t)
	const limit = 48 << 20
	p, begin := w.startHeld("run", "--memory", "48m", "sh", "-c", "read go; exec eat 200m")
	g, highest := groupsOf(w, p.started()), 0
	begin()
	for over := false; !over; {
		select {
		case <-p.done:
			over = true
		case <-time.After(time.Millisecond):
			text, _ := os.ReadFile(filepath.Join(g["memory"], map[bool]string{true: "memory.usage_in_bytes", false: "memory.current"}[g.v1("memory")]))
			now, _ := strconv.Atoi(strings.TrimSpace(string(text))) // it may end meanwhile
			highest = max(highest, now)
		}
	}
	if r := p.wait(); r.code != 137 || !strings.Contains(strings.ToLower(r.stderr), "out of memory") {
		w.wrong("eat 200m with 48m", `code 137, and: "out of memory"`, r,
			"no limit, or swap; or the program does not look at the oom_kill count", walk)
	}
	if highest > limit+1<<20 { // each processor takes pages in batches
		w.wrong("memory in use", "at most 48m", highest, "the limit is on another group", walk)
	}
}

func TestTooLittleForProcess1(t *testing.T) {
	w := newWorld(t)
	for range 5 { // at one moment or another before the command
		if r := w.run("run", "--memory", "512k", "true"); r.code == 0 || !strings.Contains(strings.ToLower(r.stderr), "out of memory") {
			w.wrong("--memory 512k", `a failure, and: "out of memory"`, r,
				"the child's death is told by what failed of it, and not by its reason", walk)
		}
	}
}

func TestForkBombIsHeld(t *testing.T) {
	w := newWorld(t)
	limit := 25 + rand.IntN(15)
	p, begin := w.startHeld("run", "--memory", "0", "--pids-limit", strconv.Itoa(limit),
		"sh", "-c", "read go; exec bomb --max 100")
	g, highest := groupsOf(w, p.started()), 0
	begin()
	for over := false; !over; {
		select {
		case <-p.done:
			over = true
		case <-time.After(time.Millisecond):
			text, _ := os.ReadFile(filepath.Join(g["pids"], "pids.current"))
			now, _ := strconv.Atoi(strings.TrimSpace(string(text)))
			highest = max(highest, now)
		}
	}
	if highest > limit {
		w.wrong("processes and threads", fmt.Sprint("at most ", limit), highest, "pids.max was not set", walk)
	}
	if r := p.wait(); !strings.Contains(r.stdout+r.stderr, "temporarily unavailable") {
		w.wrong("the bomb", "fork fails: resource temporarily unavailable", r.stdout+r.stderr, "pids.max was not set", walk)
	}
}

func TestCPUHogIsHeld(t *testing.T) {
	w := newWorld(t)
	share := 0.08 + 0.08*rand.Float64() // so little that a machine with other work has it to give
	p := w.start("run", "--cpus", fmt.Sprintf("%.2f", share), "burn", "--for", "60s")
	pid := p.started()
	g := groupsOf(w, pid)
	throttled := func() int { return keyedValue(w, filepath.Join(g["cpu"], "cpu.stat"), "nr_throttled") }
	if !eventually(func() bool { return throttled() > 2 }) {
		w.wrong("periods in which the hog was stopped", "most", throttled(), "cpu.max was not set", walk)
	}
	var used, most, took time.Duration
	if !eventually(func() bool { // a virtual machine that was halted for a moment takes that for used
		before := time.Now() // whoever is kept waiting between two of these lines finds more time, and not less
		used = cpuTime(w, pid)
		time.Sleep(1500 * time.Millisecond)
		used = cpuTime(w, pid) - used
		took = time.Since(before)
		// A period at either end can be counted or not.
		most = time.Duration(share*float64(took+200*time.Millisecond)) + 20*time.Millisecond
		return used <= most
	}) {
		w.wrong(fmt.Sprintf("processor time in %v", took), fmt.Sprint("at most ", most), used, "the quota is wrong", walk)
	}
}

func TestCgroupNamespace(t *testing.T) {
	w := newWorld(t)
	p := w.start("run", "sleep", "1000")
	pid := p.started()
	if host, inside := namespacesOf(w, "thread-self", "cgroup"), namespacesOf(w, strconv.Itoa(pid), "cgroup"); host[0] == inside[0] {
		w.wrong("cgroup namespace", "its own", "the host's", "unshare(CLONE_NEWCGROUP) is missing", walk)
	}
	r := w.run("run", "sh", "-c", "cat /proc/self/cgroup; ls /sys/fs/cgroup; mkdir /sys/fs/cgroup/mine")
	if strings.Contains(r.stdout, "simple-container") || !strings.Contains(r.stdout, "0::/\n") {
		w.wrong("/proc/self/cgroup inside", "0::/", r.stdout, "the namespace was made before the child was in its cgroup", walk)
	}
	if !strings.Contains(r.stdout, "cgroup.procs") {
		w.wrong("/sys/fs/cgroup inside", "the container's cgroup", r.stdout+r.stderr, "no cgroup2 is mounted there", walk)
	}
	if r.code == 0 {
		w.wrong("making a cgroup inside", "read-only file system", "made", "cgroup2 is mounted writable", walk)
	}
}

func TestCgroupIsRemoved(t *testing.T) {
	w := newWorld(t)
	ours := groupsOf(w, os.Getpid())
	for _, how := range []struct {
		name string
		end  func(p *process, begin func())
	}{
		{"exit", func(_ *process, begin func()) { begin() }},
		{"SIGTERM", func(p *process, _ func()) { w.must(p.Process.Signal(unix.SIGTERM)) }},
		{"SIGKILL of process 1", func(p *process, _ func()) { w.must(unix.Kill(p.init(), unix.SIGKILL)) }},
	} {
		p, begin := w.startHeld("run", "cat")
		g := groupsOf(w, p.started())
		if g["pids"] == ours["pids"] {
			w.wrong("cgroup of the container", "its own", g["pids"], "it is in ours", walk)
		}
		how.end(p, begin)
		<-p.done
		for controller, dir := range g {
			if _, err := os.Stat(dir); err == nil && dir != ours[controller] {
				w.wrong(dir+" after "+how.name, "removed", "there", "rmdir, when the last process has left", walk)
			}
		}
	}
}

// holds before: without cgroups none is left
func TestNothingIsLeftWhenSetUpFails(t *testing.T) {
	w := newWorld(t)
	before := emptyCgroups()
	// A memory limit that not even process 1 fits in, an image that cannot be entered.
	dir := copyOfImage(w)
	w.must(os.RemoveAll(filepath.Join(dir, "proc")))
	w.must(os.WriteFile(filepath.Join(dir, "proc"), nil, 0o644))
	for _, args := range [][]string{
		{"run", "--memory", "4096", "true"},
		{"run", "--rootfs", dir, "true"},
	} {
		if r := w.run(args...); r.code != 125 && r.code != 137 {
			w.wrong(fmt.Sprintf("%q", args), "code 125 or 137", r, "an error was lost", walk)
		}
	}
	if left := abandonedCgroups(before); len(left) > 0 {
		w.wrong("cgroups after failed set-ups", "none", left, "clean-up does not run when set-up fails half-way", walk)
	}
}

func TestBadLimits(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct{ flag, value string }{
		{"--memory", "much"}, {"--memory", "-1"}, {"--memory", "12q"}, {"--memory", "99999999999t"}, {"--memory", ""},
		{"--cpus", "none"}, {"--cpus", "-1"}, {"--cpus", "0.001"}, {"--cpus", "NaN"}, {"--cpus", "1e9"},
		{"--pids-limit", "few"}, {"--pids-limit", "-3"}, {"--pids-limit", "3"}, {"--pids-limit", "99999999999"},
	} {
		r := w.run("run", c.flag, c.value, "true")
		if r.code != 125 || !strings.Contains(r.stderr, strings.TrimLeft(c.flag, "-")) || !strings.Contains(r.stderr, c.value) {
			w.wrong(fmt.Sprintf("%s %q", c.flag, c.value), "code 125 and an error that names both", r,
				"the value is not checked", walk)
		}
	}
}

// In a container, what looks like the root of cgroup2 is a group with processes of its own.
//
// holds before: with the controllers on v1 there is no such rule
func TestControllersInAContainer(t *testing.T) {
	w := newWorld(t)
	g := groupsOf(w, w.start("run", "sleep", "1000").started()) // so the controllers are handed down from the real root
	if g.v1("memory") {
		t.Skip("the memory controller is on v1")
	}
	root := filepath.Dir(g[""])
	group := filepath.Join(root, "grader-"+randomName())
	w.must(os.Mkdir(group, 0o755))
	guest := exec.Command("sleep", "1000")
	guest.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL}
	w.must(guest.Start())
	w.Cleanup(func() {
		_ = guest.Process.Kill()
		_ = guest.Wait()
		w.must(os.Remove(group))
	})
	w.must(os.WriteFile(filepath.Join(group, "cgroup.procs"), []byte(strconv.Itoa(guest.Process.Pid)), 0))
	w.must(unix.Mount(group, root, "", unix.MS_BIND, ""))
	r := w.run("run", "true")
	w.must(unix.Unmount(root, unix.MNT_DETACH))
	if r.code != 125 || !strings.Contains(r.stderr, "cgroup.subtree_control") || !strings.Contains(r.stderr, "container?") {
		w.wrong("in a container", "code 125, the file, and a question", r, "EBUSY alone tells nobody of the rule", "If it fails")
	}
}

// Where nobody has mounted cgroup2, the program does.
func TestCgroup2IsMountedIfNeeded(t *testing.T) {
	w := newWorld(t)
	for _, m := range mountsOf(w, unix.Gettid()) {
		if m.fstype == "cgroup2" {
			w.must(unix.Unmount(m.point, unix.MNT_DETACH))
		}
	}
	w.before = w.belongings()
	p := w.startWith(func(cmd *exec.Cmd) {}, "run", "--pids-limit", "30", "cat", "/sys/fs/cgroup/cgroup.events")
	if r := p.wait(); r.code != 0 || !strings.Contains(r.stdout, "populated 1") {
		w.wrong("on a host without a cgroup2 mount", "populated 1", r.stdout+r.stderr, "cgroup2 is only looked for, not mounted", walk)
	}
}
