//go:build linux

package cgroup

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/godbus/dbus/v5"
	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/simple-container/simple-container/final/internal/kernel"
	"golang.org/x/sys/unix"
)

func TestUnit(t *testing.T) {
	for _, test := range []struct{ path, name, dir, err string }{
		{"", "simple-container-cafe.scope", "/system.slice/simple-container-cafe.scope", ""},
		{"system.slice:docker:0123", "docker-0123.scope", "/system.slice/docker-0123.scope", ""},
		{"kubepods-burstable-pod1.slice:cri-containerd:cafe", "cri-containerd-cafe.scope",
			"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1.slice/cri-containerd-cafe.scope", ""},
		{"-.slice:x:y", "x-y.scope", "/x-y.scope", ""},
		{"user.slice::inner.slice", "inner.slice", "/user.slice/inner.slice", ""},
		{"/docker/cafe", "", "", `"/docker/cafe": with systemd want slice:prefix:name`},
		{"a:b:", "", "", "want slice:prefix:name"},
		{"system.slice:x:../../etc", "", "", "want slice:prefix:name"},
		{"system:x:y", "", "", `slice "system": want a name that ends with .slice`},
		{"a--b.slice:x:y", "", "", "want words between the dashes"},
	} {
		u, err := newUnit(test.path, "cafe")
		if test.err != "" {
			if err == nil || !strings.Contains(err.Error(), "linux.cgroupsPath: ") || !strings.Contains(err.Error(), test.err) {
				t.Errorf("%q: got %v, want an error with %q", test.path, err, test.err)
			}
			continue
		}
		if err != nil || u.name != test.name || u.path() != test.dir {
			t.Errorf("%q: got %+v, %v, want %s at %s", test.path, u, err, test.name, test.dir)
		}
	}
}

func TestLimitsForSystemd(t *testing.T) {
	r := &specs.LinuxResources{
		Devices: []specs.LinuxDeviceCgroup{{Allow: true, Type: "b", Major: ptr[int64](8), Minor: ptr[int64](1), Access: "r"}},
		Memory:  &specs.LinuxMemory{Limit: ptr[int64](100), Swap: ptr[int64](150), Reservation: ptr[int64](50)},
		CPU:     &specs.LinuxCPU{Shares: ptr[uint64](1024), Quota: ptr[int64](12345), Period: ptr[uint64](100000), Cpus: "0-2,9", Mems: "0"},
		Pids:    &specs.LinuxPids{Limit: ptr[int64](-1)},
		Unified: map[string]string{
			"memory.high": "80", "memory.min": "10\n", "memory.swap.max": "max", "pids.max": "7", "cpu.weight": "200",
			"cpu.max": "50000 200000", "cpuset.cpus": "1", "io.weight": "default 10", "memory.low": "nonsense",
		},
	}
	for version, want := range map[int]string{
		2: "MemoryMax=100 MemoryLow=50 MemorySwapMax=50 CPUWeight=100 CPUQuotaPeriodUSec=100000 CPUQuotaPerSecUSec=130000 " +
			"AllowedCPUs=[7,2] AllowedMemoryNodes=[1] TasksMax=18446744073709551615 " +
			"MemoryMin=10 MemoryHigh=80 MemorySwapMax=18446744073709551615 TasksMax=7 CPUWeight=200 CPUQuotaPeriodUSec=200000 " +
			"CPUQuotaPerSecUSec=250000 AllowedCPUs=[2]",
		1: "MemoryLimit=100 CPUShares=1024 CPUQuotaPeriodUSec=100000 CPUQuotaPerSecUSec=130000 TasksMax=18446744073709551615 " +
			"DevicePolicy=strict DeviceAllow=[{/dev/block/8:1,r},{char-*,m},{block-*,m},{/dev/char/1:3,rwm},{/dev/char/1:8,rwm}," +
			"{/dev/char/1:7,rwm},{/dev/char/5:0,rwm},{/dev/char/1:5,rwm},{/dev/char/1:9,rwm},{char-136,rwm},{/dev/char/5:2,rwm}]",
	} {
		p := &part{Hierarchy: Hierarchy{Version: version, Controllers: []string{"memory", "cpu", "cpuset", "pids"}}}
		if version == 1 {
			p.Controllers = append(p.Controllers, "devices")
		}
		g := &Group{parts: []*part{p}}
		got := strings.TrimSpace(words("", g.limits(r)))
		if diff := cmp.Diff(strings.Fields(want), strings.Fields(got)); diff != "" {
			t.Errorf("v%d (-want +got):\n%s", version, diff)
		}
	}
}

// What an update leaves out is as it was: systemd is told both halves of what is one value to it.
func TestUpdatedLimitsForSystemd(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"memory.max": "1048576\n", "cpu.max": "20000 50000\n", "cpu.cfs_quota_us": "20000\n", "cpu.cfs_period_us": "50000\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		versions []int
		update   specs.LinuxResources
		want     string
	}{
		{[]int{2}, specs.LinuxResources{Memory: &specs.LinuxMemory{Swap: ptr[int64](3 << 20)}}, "MemorySwapMax=2097152"},
		{[]int{1, 2}, specs.LinuxResources{CPU: &specs.LinuxCPU{Quota: ptr[int64](10000)}}, "CPUQuotaPeriodUSec=50000 CPUQuotaPerSecUSec=200000"},
		{[]int{1, 2}, specs.LinuxResources{CPU: &specs.LinuxCPU{Period: ptr[uint64](25000)}}, "CPUQuotaPeriodUSec=25000 CPUQuotaPerSecUSec=800000"},
	} {
		for _, version := range test.versions {
			g := &Group{parts: []*part{{dir: dir, Hierarchy: Hierarchy{Version: version, Controllers: []string{"memory", "cpu"}}}}}
			if got := strings.TrimSpace(words("", g.limits(&test.update))); got != test.want {
				t.Errorf("v%d: got %s, want %s", version, got, test.want)
			}
		}
	}
}

// What is wrong is refused before systemd hears of it; and what the limits depend on is looked at before systemd, which
// rounds, has written there.
func TestUpdateLooksFirst(t *testing.T) {
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path="+filepath.Join(t.TempDir(), "nobody"))
	g := Load(map[string]string{"memory": t.TempDir()}, "box.scope")
	err := g.Update(&kernel.Door{}, &specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: ptr[int64](-5)}})
	if err == nil || !strings.Contains(err.Error(), "memory.limit: -5: want bytes") {
		t.Errorf("got %v", err)
	}
}

// fakeSystemd answers on a socket as systemd does on its own: it makes scopes and removes them.
type fakeSystemd struct {
	t      *testing.T
	layout Layout
	result string // of jobs

	mu    sync.Mutex
	calls []string
	units map[string]string // to their paths
}

func newFakeSystemd(t *testing.T, layout Layout, result string) *fakeSystemd {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "bus")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path="+socket)
	f := &fakeSystemd{t: t, layout: layout, result: result, units: map[string]string{}}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return // closed
			}
			go f.serve(conn)
		}
	}()
	return f
}

// serve speaks the authentication of the D-Bus specification, then answers calls.
func (f *fakeSystemd) serve(conn net.Conn) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	for line := ""; line != "BEGIN"; {
		text, err := in.ReadString('\n')
		if err != nil {
			return
		}
		switch line = strings.Trim(text, "\x00\r\n"); {
		case line == "AUTH":
			_, _ = io.WriteString(conn, "REJECTED EXTERNAL\r\n")
		case strings.HasPrefix(line, "AUTH EXTERNAL"):
			_, _ = io.WriteString(conn, "OK 0123456789abcdef0123456789abcdef\r\n")
		case line == "NEGOTIATE_UNIX_FD":
			_, _ = io.WriteString(conn, "ERROR\r\n")
		}
	}
	for {
		call, err := dbus.DecodeMessage(in)
		if err != nil {
			return
		}
		f.answer(conn, call)
	}
}

func (f *fakeSystemd) answer(conn net.Conn, call *dbus.Message) {
	f.mu.Lock()
	defer f.mu.Unlock()
	method, _ := call.Headers[dbus.FieldMember].Value().(string)
	f.calls = append(f.calls, method)
	body, failed, job := f.do(method, call.Body)
	headers := map[dbus.HeaderField]dbus.Variant{dbus.FieldReplySerial: dbus.MakeVariant(call.Serial())}
	reply := &dbus.Message{Type: dbus.TypeMethodReply, Headers: headers, Body: body}
	if failed != "" {
		reply.Type = dbus.TypeError
		headers[dbus.FieldErrorName] = dbus.MakeVariant("org.freedesktop.systemd1." + failed)
	}
	f.send(conn, reply)
	if job {
		f.send(conn, &dbus.Message{Type: dbus.TypeSignal, Headers: map[dbus.HeaderField]dbus.Variant{
			dbus.FieldPath: dbus.MakeVariant(dbus.ObjectPath(busPath)), dbus.FieldInterface: dbus.MakeVariant(manager),
			dbus.FieldMember: dbus.MakeVariant("JobRemoved"),
		}, Body: []any{uint32(7), dbus.ObjectPath("/job/7"), "unit", f.result}})
	}
}

var serial uint32

func (f *fakeSystemd) send(conn net.Conn, m *dbus.Message) {
	if len(m.Body) > 0 {
		m.Headers[dbus.FieldSignature] = dbus.MakeVariant(dbus.SignatureOf(m.Body...))
	}
	var text strings.Builder
	if err := m.EncodeTo(&text, binary.LittleEndian); err != nil {
		f.t.Error(err)
	}
	// The serial is bytes 8 to 11 of a message, and not 0.
	serial++
	wire := binary.LittleEndian.AppendUint32([]byte(text.String()[:8]), serial)
	_, _ = conn.Write(append(wire, text.String()[12:]...))
}

func (f *fakeSystemd) do(method string, args []any) (body []any, failed string, job bool) {
	switch method {
	case "Hello":
		return []any{":1.7"}, "", false
	case "StartTransientUnit":
		name := args[0].(string)
		if f.units[name] != "" {
			return nil, "UnitExists", false
		}
		slice, pid := "", 0
		for _, p := range args[2].([][]any) {
			switch value := p[1].(dbus.Variant).Value(); p[0] {
			case "Slice":
				slice = value.(string)
			case "PIDs":
				pid = int(value.([]uint32)[0])
			}
		}
		dir, err := expandSlice(slice)
		if err != nil {
			f.t.Error(err)
		}
		f.units[name] = dir + "/" + name
		f.place(f.units[name], pid)
		return []any{dbus.ObjectPath("/job/7")}, "", true
	case "StopUnit", "ResetFailedUnit":
		if f.units[args[0].(string)] == "" {
			return nil, "NoSuchUnit", false
		}
		if method == "ResetFailedUnit" {
			delete(f.units, args[0].(string))
			return nil, "", false
		}
		return []any{dbus.ObjectPath("/job/7")}, "", true
	}
	return nil, "", false
}

// place makes the group in the trees that systemd has, and puts the process there.
func (f *fakeSystemd) place(path string, pid int) {
	for _, h := range f.layout {
		if h.Version != 2 && h.Name != "systemd" {
			continue
		}
		dir := filepath.Join(h.Dir, path)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			f.t.Error(err)
		}
		if err := os.WriteFile(dir+"/cgroup.procs", []byte(strconv.Itoa(pid)), 0); err != nil {
			f.t.Error(err)
		}
	}
}

func (f *fakeSystemd) called() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	calls := slices.DeleteFunc(f.calls, func(name string) bool {
		return slices.Contains([]string{"Hello", "AddMatch", "Subscribe"}, name)
	})
	f.calls = nil
	return calls
}

func TestSystemd(t *testing.T) {
	layout, own := machine(t)
	f := newFakeSystemd(t, layout, "done")
	slice := fmt.Sprintf("simplecontainertest%d", os.Getpid())
	g, err := New(layout, slice+".slice:test:cafe", "cafe", true, own)
	if err != nil {
		t.Fatal(err)
	}
	door := &kernel.Door{}
	t.Cleanup(func() {
		if err := g.Remove(door); err != nil {
			t.Error(err)
		}
		for _, p := range g.parts {
			if err := unix.Rmdir(p.Dir + "/" + slice + ".slice"); err != nil {
				t.Error(err)
			}
		}
	})
	if err := g.Create(door, typical()); err != nil {
		t.Fatal(err)
	}
	if g.Exists() || len(f.called()) > 0 {
		t.Error("there is a group before there is a process")
	}
	cmd := spawn(t, g, "sleep", "60")
	if got := g.one(t, "memory", "memory.limit_in_bytes", "memory.max"); got != "67108864" {
		t.Errorf("memory limit: got %s", got)
	}
	if got, err := g.Pids(true); err != nil || !slices.Equal(got, []int{cmd.Process.Pid}) {
		t.Errorf("pids: got %v, %v, want %d", got, err, cmd.Process.Pid)
	}
	again := Load(g.Paths(), g.Unit())
	if err := again.Update(door, &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr[int64](30)}}); err != nil {
		t.Error(err)
	}
	if got := g.one(t, "pids", "pids.max", "pids.max"); got != "30" {
		t.Errorf("pids.max after the update: got %s, want 30", got)
	}
	second := spawn(t, again, "sleep", "60")
	if got, err := again.Pids(true); err != nil || len(got) != 2 {
		t.Errorf("after an exec: got %v, %v, want %d too", got, err, second.Process.Pid)
	}
	if err := again.Remove(door); err != nil {
		t.Error(err)
	}
	if g.Exists() {
		t.Error("the group is there after Remove")
	}
	want := []string{"StartTransientUnit", "SetUnitProperties", "StopUnit", "ResetFailedUnit"}
	if diff := cmp.Diff(want, f.called()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A job that fails, and what comes after it.
func TestSystemdFails(t *testing.T) {
	layout, own := machine(t)
	f := newFakeSystemd(t, layout, "failed")
	g, err := New(layout, "x.slice:test:cafe", "cafe", true, own)
	if err != nil {
		t.Fatal(err)
	}
	s, err := dialSystemd()
	if err != nil {
		t.Fatal(err)
	}
	defer s.conn.Close()
	err = s.stop(&kernel.Door{}, "unknown.scope")
	if err != nil {
		t.Errorf("stop of a unit that is gone: %v", err)
	}
	f.mu.Lock()
	f.units[g.Unit()] = "/x.slice/" + g.Unit()
	f.mu.Unlock()
	if err := s.stop(&kernel.Door{}, g.Unit()); err == nil || !strings.Contains(err.Error(), `systemd StopUnit test-cafe.scope: the job's result is "failed"`) {
		t.Errorf("got %v", err)
	}
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path="+t.TempDir()+"/none")
	if _, err := dialSystemd(); !errors.Is(err, unix.ENOENT) || !strings.Contains(err.Error(), "connect to systemd: ") {
		t.Errorf("without systemd: got %v", err)
	}
}
