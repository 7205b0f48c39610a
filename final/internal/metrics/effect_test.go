//go:build linux

package metrics

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/cgroup"
	"github.com/simple-container/simple-container/final/internal/kernel"
)

// Figures against an independent count: a process that uses a known amount of one thing.

// use starts a process in a group that does, and waits until it has.
func use(t *testing.T, g *cgroup.Group, flags uintptr, what, amount string) (pid int) {
	t.Helper()
	out := filepath.Join(t.TempDir(), "out")
	// The output goes to a file: a pipe would be one more open file.
	cmd := spawn(t, g, flags, "/bin/sh", "-c", `exec "$0" "$@" > `+out, os.Args[0], "-test.run=^TestUse$", what, amount)
	until(t, what+" "+amount, func() bool {
		text, _ := os.ReadFile(out)
		if strings.Contains(string(text), "cannot:") {
			t.Skipf("%s", text)
		}
		if strings.Contains(string(text), "FAIL") {
			t.Fatalf("%s", text)
		}
		return strings.Contains(string(text), "done")
	})
	return cmd.Process.Pid
}

func read(t *testing.T, g *cgroup.Group, pid int) Figures {
	t.Helper()
	f, err := Read(target(g, filepath.Base(t.Name()), pid))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// between checks a figure.
func between[T uint64 | float64](t *testing.T, what string, got, least, most T) {
	t.Helper()
	if got < least || got > most {
		t.Errorf("%s: got %v, want %v to %v", what, got, least, most)
	}
}

const mib = 1 << 20

func TestMemory(t *testing.T) {
	limit, low := int64(256*mib), int64(16*mib)
	g := newGroup(t, "memory", &specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: &limit, Swap: &limit, Reservation: &low}})
	pid := use(t, g, 0, "eat", "64")
	m := read(t, g, pid).Memory
	between(t, "usage", m.Usage, 64*mib, 140*mib)
	between(t, "working set", m.WorkingSet, 64*mib, m.Usage)
	between(t, "anon", m.Anon, 64*mib, 130*mib)
	between(t, "faults", m.Faults, 32, 1<<30) // huge pages, if there are any
	if m.Limit == nil || *m.Limit != uint64(limit) {
		t.Errorf("limit: got %v", m.Limit)
	}
	if m.Peak != nil { // since Linux 5.19 on v2
		between(t, "peak", *m.Peak, m.Usage-mib, uint64(limit))
	}
	if m.SwapLimit != nil && *m.SwapLimit != 0 { // a kernel without accounting for swap has none
		t.Errorf("swap limit: got %d", *m.SwapLimit)
	}
	if m.Events.OOMKill != 0 {
		t.Errorf("events: got %+v", m.Events)
	}
	// The processes' own count, out of another part of the kernel.
	rss := statusOf(t, pid, "RssAnon:") << 10
	between(t, "anon against RssAnon", m.Anon, rss-min(rss, 4*mib), rss+16*mib)
}

// The page cache counts as usage. What was read once is inactive, and so not in the working set.
func TestCache(t *testing.T) {
	g := newGroup(t, "cache", &specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{{Allow: true, Access: "rwm"}}})
	file := disk(t, 32*mib)
	cached, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer cached.Close()
	if err := errors.Join(cached.Sync(), unix.Fadvise(int(cached.Fd()), 0, 0, unix.FADV_DONTNEED)); err != nil {
		t.Fatal(err)
	}
	var system unix.Statfs_t
	if err := unix.Statfs(file, &system); err != nil {
		t.Fatal(err)
	}
	if system.Type == unix.TMPFS_MAGIC && os.Getenv("MICROVM") == "" { // where it is a device below a tmpfs
		t.Skip("the file is in memory: what it takes is its writer's")
	}
	pid := use(t, g, 0, "read", file)
	m := read(t, g, pid).Memory
	between(t, "file", m.File, 30*mib, 80*mib)
	between(t, "inactive file", m.Inactive, 25*mib, m.File)
	between(t, "working set", m.WorkingSet, 0, m.Usage-25*mib)
}

func TestCPU(t *testing.T) {
	quota, period := int64(10_000), uint64(100_000)
	g := newGroup(t, "cpu", &specs.LinuxResources{CPU: &specs.LinuxCPU{Quota: &quota, Period: &period}})
	pid := use(t, g, 0, "burn", "200")
	f := read(t, g, pid)
	c := f.CPU
	between(t, "usage", c.Usage, 0.19, 5)
	between(t, "user and system", c.User+c.System, 0.15, c.Usage+0.1)
	// The process's own count: it, and the shell that it was.
	own := cpuOf(t, pid)
	between(t, "usage against /proc/PID/stat", c.Usage, own-0.1, own+0.3)
	if n, limited := c.Processors(); !limited || n != 0.1 {
		t.Errorf("got %v processors, %v", n, limited)
	}
	// 0.2 s at a tenth of a processor are twenty periods, in all but the last of which it had to wait: if the
	// machine gave it its tenth in each.
	between(t, "periods", c.Periods, 10, 10_000)
	between(t, "throttled periods", c.ThrottledPeriods, 1, c.Periods)
	between(t, "throttled", c.Throttled, 0.001, 10_000)
	if f.Started.After(time.Now()) || f.Started.Before(time.Now().Add(-10*deadline)) {
		t.Errorf("started %v", f.Started)
	}
}

// cpuOf is what a process has used in seconds, in ticks of the kernel's.
func cpuOf(t *testing.T, pid int) float64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return float64(user+system) / tick
}

func TestPids(t *testing.T) {
	limit := int64(50)
	g := newGroup(t, "pids", &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: &limit}})
	first := spawn(t, g, 0, "sh", "-c", "sleep 1000 & sleep 1000 & sleep 1000 & wait").Process.Pid
	until(t, "four processes", func() bool { return read(t, g, first).Pids.Processes == 4 })
	p := read(t, g, first).Pids
	if p.Tasks != 4 || p.Limit == nil || *p.Limit != 50 || p.Refused != 0 {
		t.Errorf("got %+v", p)
	}
	pid := use(t, g, 0, "open", "30")
	until(t, "five processes, and their files and threads", func() bool { // sleep opens some for a moment as it begins
		p = read(t, g, first).Pids
		files, threads := filesOf(t, g), statusOf(t, pid, "Threads:")
		return p.Processes == 5 && p.OpenFiles == files && files >= 30+4*3 && p.Tasks >= 4+threads-2 && p.Tasks <= 50
	})
}

// filesOf counts the open files of a group's processes.
func filesOf(t *testing.T, g *cgroup.Group) (n uint64) {
	t.Helper()
	pids, err := g.Pids(true)
	if err != nil {
		t.Fatal(err)
	}
	for _, pid := range pids {
		entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
		if err != nil {
			t.Fatal(err)
		}
		n += uint64(len(entries))
	}
	return n
}

// Processes in groups below count, as in everything else.
func TestProcessesBelow(t *testing.T) {
	g := newGroup(t, "below", nil)
	below, err := g.Below("inner")
	if err != nil {
		t.Fatal(err)
	}
	if err := below.Create(&kernel.Door{}, nil); err != nil {
		t.Fatal(err)
	}
	pid := spawn(t, below, 0, "sleep", "1000").Process.Pid
	if p := read(t, g, pid).Pids; p.Processes != 1 {
		t.Errorf("got %+v", p)
	}
}

// statusOf reads a number of /proc/PID/status.
func statusOf(t *testing.T, pid int, key string) uint64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, key); ok {
			n, _ := strconv.ParseUint(strings.Fields(rest)[0], 10, 64)
			return n
		}
	}
	t.Fatalf("/proc/%d/status has no %s", pid, key)
	return 0
}

// What is written past the page cache is counted by the device, at once.
func TestIO(t *testing.T) {
	g := newGroup(t, "io", &specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{{Allow: true, Access: "rwm"}}})
	if g.Files("io", nil) == nil && g.Files("blkio", nil) == nil {
		t.Skip("no controller of disks is mounted")
	}
	file := disk(t, written)
	pid := use(t, g, 0, "write", file)
	f := read(t, g, pid)
	var bytes, operations uint64
	for _, d := range f.IO {
		bytes, operations = bytes+d.WriteBytes, operations+d.Writes
		if !strings.HasPrefix(d.Name, "/dev/") && strings.Count(d.Name, ":") != 1 {
			t.Errorf("got %+v", d)
		}
	}
	switch {
	case bytes == 0 && !onDisk(t, file):
		t.Skip("the file is on no disk of this machine")
	case bytes == 0 && g.Files("io", nil) == nil:
		t.Skip("blkio of v1 counts only what is limited (since Linux 6.10), or what bfq schedules")
	}
	between(t, "written", bytes, written, 2*written)
	between(t, "operations", operations, 1, written/512)
}

// disk is a file on whatever disk the machine has. A virtual machine of ours has none, and gets one for the test: a
// file that is a block device.
func disk(t *testing.T, size int) (path string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, make([]byte, size), 0o600); err != nil {
		t.Fatal(err)
	}
	if os.Getenv("MICROVM") == "" {
		return file
	}
	if out, err := exec.Command("modprobe", "loop").CombinedOutput(); err != nil {
		t.Fatalf("modprobe loop: %v\n%s", err, out)
	}
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer control.Close()
	backing, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer backing.Close()
	n, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
	if err != nil {
		t.Fatal(err)
	}
	device, err := os.OpenFile(fmt.Sprintf("/dev/loop%d", n), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetInt(int(device.Fd()), unix.LOOP_SET_FD, int(backing.Fd())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(unix.IoctlSetInt(int(device.Fd()), unix.LOOP_CLR_FD, 0), device.Close()); err != nil {
			t.Error(err)
		}
	})
	return device.Name()
}

// onDisk tells whether a file is on a device that has a queue of its own.
func onDisk(t *testing.T, file string) bool {
	var stat unix.Stat_t
	if err := unix.Stat(file, &stat); err != nil {
		t.Fatal(err)
	}
	_, err := os.Stat(fmt.Sprintf("/sys/dev/block/%d:%d", unix.Major(stat.Dev), unix.Minor(stat.Dev)))
	return err == nil
}

// What goes over an interface of the container's own network is counted, and what goes over the host's is not
// the container's.
func TestNetwork(t *testing.T) {
	g := newGroup(t, "network", nil)
	pid := spawn(t, g, unix.CLONE_NEWNET, "sleep", "1000").Process.Pid
	enter(t, pid, connect)
	before := interfaceOf(t, read(t, g, pid), "eth0")
	const count = 100
	enter(t, pid, func() error { return send(count) })
	after := interfaceOf(t, read(t, g, pid), "eth0")
	const each = 1000 + 8 + 20 + 14 // the datagram, and the headings of UDP, IP and Ethernet
	between(t, "packets sent", after.Sent.Packets-before.Sent.Packets, count, count+20)
	between(t, "bytes sent", after.Sent.Bytes-before.Sent.Bytes, count*each, count*each+20*200)
	there := interfaceOf(t, read(t, g, pid), "there")
	between(t, "packets received at the other end", there.Received.Packets, count, count+40)

	host := spawn(t, newGroup(t, "host", nil), 0, "sleep", "1000")
	if f := read(t, g, host.Process.Pid); f.Network != nil {
		t.Errorf("the host's network is the container's: %+v", f.Network)
	}
}

// connect makes a pair of interfaces in the network namespace of this thread, and a neighbour at the other end.
func connect() error {
	pair := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "eth0"}, PeerName: "there"}
	if err := netlink.LinkAdd(pair); err != nil {
		return fmt.Errorf("veth: %w", err)
	}
	here, err := netlink.LinkByName("eth0")
	if err != nil {
		return err
	}
	there, err := netlink.LinkByName("there")
	if err != nil {
		return err
	}
	address, err := netlink.ParseAddr("192.0.2.1/24")
	if err != nil {
		return err
	}
	neighbour := &netlink.Neigh{
		LinkIndex: here.Attrs().Index, State: netlink.NUD_PERMANENT, IP: net.IPv4(192, 0, 2, 2),
		HardwareAddr: there.Attrs().HardwareAddr,
	}
	err = errors.Join(netlink.AddrAdd(here, address), netlink.LinkSetUp(here), netlink.LinkSetUp(there),
		netlink.NeighSet(neighbour))
	for end := time.Now().Add(deadline); err == nil && here.Attrs().OperState != netlink.OperUp; { // it drops packets
		if time.Now().After(end) {
			return errors.New("eth0 does not come up")
		}
		time.Sleep(5 * time.Millisecond)
		here, err = netlink.LinkByName("eth0")
	}
	return err
}

// send sends datagrams of 1000 bytes to the neighbour.
func send(count int) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	for range count {
		if err := unix.Sendto(fd, make([]byte, 1000), 0, &unix.SockaddrInet4{Port: 9, Addr: [4]byte{192, 0, 2, 2}}); err != nil {
			return err
		}
	}
	return nil
}

// enter runs f in the network namespace of a process, on a thread that ends with it.
func enter(t *testing.T, pid int, f func() error) {
	t.Helper()
	err := kernel.OnThread(func() error {
		fd, err := unix.Open(fmt.Sprintf("/proc/%d/ns/net", pid), unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		if err := unix.Setns(fd, unix.CLONE_NEWNET); err != nil {
			return err
		}
		return f()
	})
	if err != nil {
		t.Fatal(err)
	}
}

func interfaceOf(t *testing.T, f Figures, name string) Interface {
	t.Helper()
	i := slices.IndexFunc(f.Network, func(i Interface) bool { return i.Name == name })
	if i < 0 {
		t.Fatalf("no %s: %+v", name, f.Network)
	}
	return f.Network[i]
}

func TestPaused(t *testing.T) {
	g := newGroup(t, "paused", nil)
	pid := spawn(t, g, 0, "sleep", "1000").Process.Pid
	r := &Reader{}
	defer r.Close()
	for _, want := range []bool{false, true, false} {
		if want {
			if err := g.Freeze(&kernel.Door{}); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = g.Thaw(&kernel.Door{}) })
		} else if err := g.Thaw(&kernel.Door{}); err != nil {
			t.Fatal(err)
		}
		f, err := r.Read(target(g, "paused", pid))
		if err != nil || f.Paused != want || f.Pids.Processes != 1 {
			t.Errorf("got %v, %d processes; want %v, 1; %v", f.Paused, f.Pids.Processes, want, err)
		}
	}
}

// A group without limits, and one that another has taken the place of while its files were open.
func TestAnotherOfThatName(t *testing.T) {
	door := &kernel.Door{}
	g := newGroup(t, "again", nil)
	first := spawn(t, g, 0, "sleep", "1000")
	r := &Reader{}
	defer r.Close()
	c := target(g, "again", 0)
	f, err := r.Read(c)
	if err != nil || f.Memory.Limit != nil || f.Pids.Limit != nil || f.CPU.Quota != nil || f.Pids.Processes != 1 {
		t.Errorf("got %+v; %v", f, err)
	}
	_ = first.Process.Kill()
	_ = first.Wait()
	if err := g.Remove(door); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Read(c); !errors.Is(err, ErrGone) {
		t.Errorf("got %v", err)
	}
	limit := int64(7)
	if err := g.Create(door, &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: &limit}}); err != nil {
		t.Fatal(err)
	}
	f, err = r.Read(c)
	if err != nil || f.Pids.Limit == nil || *f.Pids.Limit != 7 || f.Pids.Processes != 0 {
		t.Errorf("got %+v; %v", f, err)
	}
}

// A Reader that may keep few files reads the others all the same, and keeps no more than it may.
func TestFewDescriptors(t *testing.T) {
	g := newGroup(t, "few", nil)
	pid := spawn(t, g, 0, "sleep", "1000").Process.Pid
	r := &Reader{}
	r.begin()
	before := descriptors(t)
	for i := range r.lanes {
		r.lanes[i].keep.Most = 3
	}
	for range 3 {
		f, err := r.Read(target(g, "few", pid))
		if err != nil || f.Pids.Processes != 1 || f.Memory.Usage == 0 {
			t.Errorf("got %+v; %v", f, err)
		}
	}
	if n := descriptors(t) - before; n != 3 {
		t.Errorf("%d files are open, want 3", n)
	}
	r.Close()
	if n := descriptors(t) - before; n != 0 {
		t.Errorf("%d files stay open", n)
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// Two hundred looks while containers come and go: no error, and no figures of another container.
func TestComingAndGoing(t *testing.T) {
	door := &kernel.Door{}
	names := []string{"coming", "going", "staying"}
	groups := map[string]*cgroup.Group{}
	var targets []Target
	for _, name := range names {
		groups[name] = newGroup(t, name, nil)
		targets = append(targets, target(groups[name], name, 0))
	}
	stop, stopped := make(chan bool), make(chan error, 1)
	go func() {
		for {
			select {
			case <-stop:
				stopped <- nil
				return
			default:
			}
			for _, name := range names[:2] {
				if err := errors.Join(groups[name].Remove(door), groups[name].Create(door, nil)); err != nil {
					stopped <- err
					return
				}
			}
		}
	}()
	r := &Reader{}
	defer r.Close()
	for range 200 {
		samples, err := r.All(targets)
		if err != nil || len(samples) == 0 || samples[len(samples)-1].ID != "staying" {
			t.Fatalf("got %d samples; %v", len(samples), err)
		}
	}
	close(stop)
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
}
