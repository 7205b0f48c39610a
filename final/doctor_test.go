//go:build linux && !engine

package main

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/simple-container/simple-container/final/internal/cgroup"
	"github.com/simple-container/simple-container/final/internal/kernel"
)

// examine runs doctor and returns its findings by name.
func examine(t *testing.T, args ...string) (rows map[string]finding, code int) {
	t.Helper()
	out, stderr, code := final(t, append([]string{"doctor", "--json"}, args...)...)
	if stderr != "" {
		t.Errorf("stderr: %s", stderr)
	}
	var findings []finding
	decoder := json.NewDecoder(strings.NewReader(out))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&findings); err != nil {
		t.Fatalf("%v in:\n%s", err, out)
	}
	rows = map[string]finding{}
	for _, f := range findings {
		rows[f.Name] = f
		if f.Status == fail && f.Fix == "" {
			t.Errorf("%s fails without a fix: %s", f.Name, f.Detail)
		}
		if f.Detail == "" || strings.Contains(f.Detail+f.Fix, "\n") {
			t.Errorf("%s: want one line, got %q", f.Name, f.Detail)
		}
	}
	return rows, code
}

func expect(t *testing.T, rows map[string]finding, name string, s status, detail, fix string) {
	t.Helper()
	f := rows[name]
	if f.Status != s || !strings.Contains(f.Detail, detail) || !strings.Contains(f.Fix, fix) {
		t.Errorf("%s: got %s, %q, fix %q; want %s, %q, fix %q", name, f.Status, f.Detail, f.Fix, s, detail, fix)
	}
}

// A machine that the steps' graders run on passes all that they need.
func TestDoctorOnThisMachine(t *testing.T) {
	if !inWorld(t) {
		return
	}
	rootfs := t.TempDir()
	mkdir(t, rootfs+"/bin")
	write(t, rootfs+"/bin/sh", "#!/bin/lab\n")
	before := machineState(t)

	rows, code := examine(t, "--rootfs", rootfs)
	expect(t, rows, "root", ok, "we are root", "")
	expect(t, rows, "architecture", ok, runtime.GOARCH, "")
	expect(t, rows, "kernel", ok, "at least 5.10", "")
	expect(t, rows, "namespaces", ok, "mnt, uts, ipc, pid, net, cgroup", "")
	expect(t, rows, "overlay", ok, "can be mounted", "")
	expect(t, rows, "iptables", ok, "iptables v", "")
	expect(t, rows, "rule sets", ok, "no rules", "")
	expect(t, rows, "forward policy", ok, "", "")
	expect(t, rows, "forwarding", ok, "off", "")
	expect(t, rows, "subnet", ok, "10.213.0.0/16 is free", "")
	expect(t, rows, "metrics address", ok, "127.0.0.1:9101 is free", "")
	expect(t, rows, "go", ok, runtime.Version(), "")
	expect(t, rows, "container", note, "a pid namespace of its own", "--privileged --cgroupns=host")
	expect(t, rows, "leftovers", ok, "none", "")
	failed := slices.DeleteFunc(slices.Collect(maps.Values(rows)), func(f finding) bool { return f.Status != fail })
	// The world's root is no real root, and this test is in it, where a v2 controller would be handed down.
	failed = slices.DeleteFunc(failed, func(f finding) bool { return f.Name == "controllers" })
	if len(failed) > 0 {
		t.Errorf("failed: %+v", failed)
	}
	if want := map[status]int{ok: 0, note: 0, fail: 1}[rows["controllers"].Status]; code != want {
		t.Errorf("exit code: got %d, want %d", code, want)
	}
	if err := kernel.CgroupKill(); err == nil { // the youngest of the features
		expect(t, rows, "features", ok, "CLONE_INTO_CGROUP", "")
	} else {
		expect(t, rows, "features", note, "cgroup.kill", "")
	}
	if diff := cmp.Diff(before, machineState(t)); diff != "" {
		t.Errorf("doctor changed the machine (-before +after):\n%s", diff)
	}
}

// machineState is what a doctor could change, in words.
func machineState(t *testing.T) (state []string) {
	t.Helper()
	door := &kernel.Door{}
	for _, v := range kernel.IptablesVariants() {
		text, err := door.IptablesSave(v)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(text) {
			if !strings.HasPrefix(line, "#") { // has the time in it
				state = append(state, line)
			}
		}
	}
	links, err := door.Links()
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range links {
		state = append(state, fmt.Sprint(link.Attrs().Name, link.Attrs().Flags))
	}
	for _, h := range containerTrees(t) {
		err := filepath.WalkDir(h.Dir, func(path string, entry fs.DirEntry, err error) error {
			if err == nil && entry.IsDir() {
				state = append(state, path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		state = append(state, read(t, h.Dir+"/cgroup.procs"))
	}
	run, err := filepath.Glob("/run/*")
	if err != nil {
		t.Fatal(err)
	}
	return append(append(state, run...), read(t, "/proc/self/mountinfo"), read(t, forwardSysctl))
}

// Everything that can be wrong in a network, at once.
func TestDoctorOnABrokenNetwork(t *testing.T) {
	if !inWorld(t) {
		return
	}
	run(t, "ip", "link", "set", "lo", "up")
	run(t, "ip", "route", "add", "10.213.0.0/16", "dev", "lo")
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	for _, v := range kernel.IptablesVariants() {
		run(t, v.Name, "-w", "-P", "FORWARD", "DROP")
	}
	write(t, forwardSysctl, "1")
	leaveTraces(t, deadID, 1)
	leaveTraces(t, liveID, 2)
	lock(t, liveID)

	rows, code := examine(t, "--rootfs", "no-such-directory", "--metrics", busy.Addr().String())
	if code != 1 {
		t.Errorf("exit code: got %d, want 1", code)
	}
	expect(t, rows, "subnet", fail, "10.213.0.0/16 goes to lo", "sudo ip route del 10.213.0.0/16 dev lo")
	expect(t, rows, "forward policy", note, "step 04 adds rules of its own", "")
	expect(t, rows, "forwarding", ok, "on", "")
	expect(t, rows, "metrics address", note, "address already in use", "ss -ltnp")
	expect(t, rows, "rootfs", fail, "no-such-directory: no such directory", "go run ./final rootfs no-such-directory")
	expect(t, rows, "leftovers", note, "link 1, mount 2, directory 1", "go run -exec sudo ./final clean")
	if len(kernel.IptablesVariants()) == 2 {
		expect(t, rows, "rule sets", note, "both iptables-nft", "update-alternatives")
	}
}

func TestDoctorWithoutIptables(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	rows, code := examine(t)
	expect(t, rows, "iptables", fail, "not in PATH", "sudo apt-get install -y iptables")
	if code != 1 {
		t.Errorf("exit code: got %d, want 1", code)
	}
}

// The words for people: a row each, columns aligned, a failure ends with what to type, no colours in a pipe.
func TestDoctorTable(t *testing.T) {
	var out bytes.Buffer
	err := writeTable(&out, []finding{
		{"root", good("we are root")},
		{"user namespaces", result{note, "off", ""}},
		{"iptables", result{fail, "not in PATH", "sudo apt-get install -y iptables"}},
	})
	want := `ok    root             we are root
note  user namespaces  off
fail  iptables         not in PATH; fix: sudo apt-get install -y iptables
1 ok, 1 to note, 1 failed
`
	if diff := cmp.Diff(want, out.String()); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

func TestDoctorJSON(t *testing.T) {
	var out bytes.Buffer
	err := writeJSON(&out, []finding{{"swap", result{fail, "a > b", "x && y"}}})
	want := `[
  {
    "name": "swap",
    "status": "fail",
    "detail": "a > b",
    "fix": "x && y"
  }
]
`
	if diff := cmp.Diff(want, out.String()); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

// The judges, on what kernels and distributions say.
func TestJudges(t *testing.T) {
	unified := cgroup.Layout{{Dir: "/sys/fs/cgroup", Version: 2, Controllers: []string{"cpu", "memory", "pids"}}}
	hybrid := cgroup.Layout{
		{Dir: "/sys/fs/cgroup/unified", Version: 2, Controllers: []string{"pids"}},
		{Dir: "/sys/fs/cgroup/memory", Version: 1, Controllers: []string{"memory"}},
	}
	const (
		noSwap = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
		swap   = noSwap + "/dev/vda2                               partition\t2097148\t0\t-2\n"
		stub   = "# by systemd-resolved\nnameserver 127.0.0.53\noptions edns0\n"
	)
	routes := func(words ...string) (all []route) {
		for _, w := range words {
			all = append(all, route{netip.MustParsePrefix(w), "tun0"})
		}
		return all
	}
	for _, test := range []struct {
		name   string
		got    result
		status status
		detail string
	}{
		{"all capabilities", judgeCapabilities("000001ffffffffff"), ok, "all"},
		{"without CAP_SYS_RESOURCE", judgeCapabilities("000001fffeffffff"), note, "CAP_SYS_RESOURCE"},
		{"Docker's capabilities", judgeCapabilities("00000000a80425fb"), fail, "CAP_SYS_ADMIN (namespaces and mounts), CAP_NET_ADMIN"},
		{"no capabilities", judgeCapabilities("0000000000000000"), fail, "CAP_KILL"},
		{"unreadable capabilities", judgeCapabilities(""), note, "CapEff"},

		{"Debian 12's kernel", judgeKernel("6.1.0-18-amd64"), ok, "6.1.0-18-amd64"},
		{"Debian 11's kernel", judgeKernel("5.10.0-28-arm64"), ok, ""},
		{"an old kernel", judgeKernel("4.19.0-26-amd64"), fail, "4.19.0-26-amd64: the workshop needs 5.10"},
		{"WSL 1", judgeWSL("4.4.0-19041-Microsoft"), fail, "WSL 1"},
		{"WSL 2", judgeWSL("5.15.153.1-microsoft-standard-WSL2"), note, "WSL 2"},
		{"not WSL", judgeWSL("6.1.0-18-amd64"), ok, "no"},

		{"unified", judgeMode(unified), ok, "unified: memory on v2, cpu on v2, pids on v2"},
		{"hybrid", judgeMode(hybrid), note, "hybrid: memory on v1, pids on v2"},
		{"no cgroups", judgeMode(nil), fail, "no cgroup file system"},
		{"no swap", judgeSwap(noSwap, false), ok, "none"},
		{"swap", judgeSwap(swap, true), ok, "counted"},
		{"swap uncounted", judgeSwap(swap, false), note, "swapaccount=1"},

		{"no rules", judgeRuleSets(nil), ok, "no rules"},
		{"one set", judgeRuleSets(map[string]int{"iptables-nft": 7}), ok, "7 rules in iptables-nft"},
		{"two sets", judgeRuleSets(map[string]int{"iptables-nft": 7, "iptables-legacy": 2}), note, "(2 rules)"},
		{"no routes", judgeRoutes(nil), ok, "free"},
		{"elsewhere", judgeRoutes(routes("192.168.0.0/24", "10.212.0.0/16", "10.214.0.0/16")), ok, "free"},
		{"a VPN to all of 10", judgeRoutes(routes("10.0.0.0/8")), note, "10.0.0.0/8 goes to tun0"},
		{"a part", judgeRoutes(routes("10.213.7.0/24")), note, "10.213.7.0/24"},
		{"all of it", judgeRoutes(routes("10.213.7.0/24", "10.213.0.0/16", "10.0.0.0/8")), fail, "no address"},
		{"a router's name server", judgeNameServers("nameserver 192.168.1.1\nnameserver ::1\n", ""), ok, "192.168.1.1"},
		{"systemd-resolved", judgeNameServers(stub, "nameserver 9.9.9.9\n"), ok, "9.9.9.9, behind systemd-resolved"},
		{"a local cache", judgeNameServers("nameserver 127.0.0.1\n", ""), note, "127.0.0.1 is loopback"},
		{"IPv6 alone", judgeNameServers("nameserver 2001:db8::1\n", ""), note, "IPv6, which step 04 does not reach"},
		{"no name server", judgeNameServers("search example.org\n", ""), note, "no name server"},

		{"no Yama", judgePtrace(""), ok, "not restricted"},
		{"Yama 1", judgePtrace("1"), ok, "root can trace"},
		{"Yama 3", judgePtrace("3"), fail, "nobody can trace"},
		{"no filter", judgeSeccomp("0", "kill_process errno allow"), ok, "errno"},
		{"a filter", judgeSeccomp("2", "errno allow"), note, "a filter is on us"},
		{"no seccomp", judgeSeccomp("", ""), note, "no seccomp"},

		{"no modules", judgeModules(nil, fs.ErrNotExist, ""), ok, "none"},
		{"AppArmor", judgeModules([]string{"apparmor"}, nil, ""), ok, "simple-container-default"},
		{"no parser", judgeModules([]string{"apparmor"}, exec.ErrNotFound, ""), note, "no profile"},
		{"no securityfs", judgeModules([]string{"apparmor"}, fs.ErrNotExist, ""), note, "no profile"},
		{"SELinux", judgeModules([]string{"selinux"}, fs.ErrNotExist, "1"), note, "selinux, enforcing"},
		{"SELinux without policy", judgeModules([]string{"selinux"}, fs.ErrNotExist, ""), note, "without policy"},

		{"much memory", judgeMemory("MemTotal:  24668420 kB\nMemAvailable:   24110720 kB\n"), ok, "22.99GiB available"},
		{"some memory", judgeMemory("MemAvailable:     262144 kB\n"), note, "256MiB available"},
		{"little memory", judgeMemory("MemAvailable:      65536 kB\n"), fail, "64MiB"},
		{"no memory figure", judgeMemory("MemTotal: 1 kB\n"), note, "MemAvailable"},
	} {
		if test.got.Status != test.status || !strings.Contains(test.got.Detail, test.detail) {
			t.Errorf("%s: got %s, %q; want %s, %q", test.name, test.got.Status, test.got.Detail, test.status, test.detail)
		}
		if test.got.Status == fail && test.got.Fix == "" {
			t.Errorf("%s: fails without a fix", test.name)
		}
	}
}

// The root of a v2 tree, as the kernel shows it on a machine and inside a container.
func TestJudgeDelegation(t *testing.T) {
	for _, test := range []struct {
		name  string
		files map[string]string
		want  status
		fix   string
	}{
		{"handed down", map[string]string{"cgroup.subtree_control": "cpu memory\n", "cgroup.type": "domain\n", "cgroup.procs": "1\n"}, ok, ""},
		{"the real root may have processes", map[string]string{"cgroup.subtree_control": "\n", "cgroup.procs": "1\n2\n"}, ok, ""},
		{"an empty group", map[string]string{"cgroup.subtree_control": "\n", "cgroup.type": "domain\n", "cgroup.procs": ""}, ok, ""},
		{"a container", map[string]string{"cgroup.subtree_control": "\n", "cgroup.type": "domain\n", "cgroup.procs": "1\n"}, fail, "leaf/cgroup.procs"},
	} {
		dir := t.TempDir()
		for name, text := range test.files {
			write(t, filepath.Join(dir, name), text)
		}
		if got := judgeDelegation(dir, "memory"); got.Status != test.want || !strings.Contains(got.Fix, test.fix) {
			t.Errorf("%s: got %+v, want %s", test.name, got, test.want)
		}
	}
}

// The command that doctor gives against EBUSY does what it says, in a v2 group that is root to this test.
func TestMoveToLeaf(t *testing.T) {
	if !inWorld(t) {
		return
	}
	var root cgroup.Hierarchy
	for _, h := range containerTrees(t) {
		if h.Version == 2 {
			root = h
		}
	}
	if !slices.Contains(root.Controllers, "memory") {
		t.Skipf("memory is not on v2 here: %v", root.Controllers)
	}
	if got := judgeDelegation(root.Dir, "memory"); got.Status != fail {
		t.Errorf("with this test in the root: got %+v, want %s", got, fail)
	}
	run(t, "sh", "-c", strings.TrimSuffix(strings.TrimPrefix(moveToLeaf(root.Dir), "sudo sh -c '"), "'"))
	if got := judgeDelegation(root.Dir, "memory"); got.Status != ok {
		t.Errorf("after the fix: got %+v", got)
	}
}

func TestContainerManager(t *testing.T) {
	for text, want := range map[string]string{
		"0::/init.scope\n":                                        "",
		"4:memory:/docker/3c1f\n0::/docker/3c1f\n":                "docker",
		"0::/kubepods.slice/kubepods-besteffort.slice/cri-3c1f\n": "kubepods",
		"1:name=systemd:/lxc/box\n":                               "lxc",
		"":                                                        "",
	} {
		if got := containerManager(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

func TestCountRules(t *testing.T) {
	text := "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD DROP [0:0]\n:DOCKER-USER - [0:0]\n-A INPUT -j ACCEPT\nCOMMIT\n"
	if got := countRules(text); got != 2 {
		t.Errorf("got %d, want the rule and the policy", got)
	}
}

// A root file system as it may be found: the shell is there and runs, or one of the ways it does not.
func TestDoctorRootfs(t *testing.T) {
	native := elfHeader(machines[runtime.GOARCH])
	foreign := elfHeader(elf.EM_PPC)
	for _, test := range []struct {
		name   string
		make   func(dir string)
		status status
		detail string
	}{
		{"a shell", func(dir string) { write(t, dir+"/bin/sh", native) }, ok, "has a shell"},
		{"a script", func(dir string) { write(t, dir+"/bin/sh", "#!/bin/lab sh\n") }, ok, "has a shell"},
		{"absolute links stay inside", func(dir string) {
			write(t, dir+"/bin/lab", native)
			link(t, "/bin/lab", dir+"/bin/sh")
		}, ok, "has a shell"},
		{"another machine's", func(dir string) { write(t, dir+"/bin/sh", foreign) }, fail, "is for EM_PPC, this machine is"},
		{"no program", func(dir string) { write(t, dir+"/bin/sh", "echo") }, fail, "not a program"},
		{"empty", func(dir string) { write(t, dir+"/bin/sh", "") }, fail, "not a program"},
		{"nothing", func(string) {}, fail, "no shell in"},
		{"a link to nowhere", func(dir string) { link(t, "/no/such", dir+"/bin/sh") }, fail, "no shell in"},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			mkdir(t, dir+"/bin")
			test.make(dir)
			got := (&doctor{rootfs: dir}).rootfsDirectory()
			if got.Status != test.status || !strings.Contains(got.Detail, test.detail) {
				t.Errorf("got %+v, want %s, %q", got, test.status, test.detail)
			}
			if got.Status == fail && got.Fix != "go run ./final rootfs --force "+dir {
				t.Errorf("fix: %q", got.Fix)
			}
		})
	}
}

// elfHeader is the smallest program that a loader would look at.
func elfHeader(machine elf.Machine) string {
	var out bytes.Buffer
	header := elf.Header64{
		Ident:   [elf.EI_NIDENT]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)},
		Type:    uint16(elf.ET_EXEC),
		Machine: uint16(machine),
		Version: uint32(elf.EV_CURRENT),
	}
	_ = binary.Write(&out, binary.LittleEndian, header) // into memory
	return out.String()
}

func link(t *testing.T, target, path string) {
	t.Helper()
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
}

// Without root, the rows that only root can tell say so and nothing crashes.
func TestDoctorWithoutRoot(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("the test gives up root itself")
	}
	findings := asNobody(t, "doctor", "--json", "--rootfs", "/")
	var rows []finding
	if err := json.Unmarshal([]byte(findings), &rows); err != nil {
		t.Fatalf("%v in %q", err, findings)
	}
	byName := map[string]finding{}
	for _, f := range rows {
		byName[f.Name] = f
	}
	expect(t, byName, "root", fail, "user id 65534", "go run -exec sudo ./final doctor")
	for _, name := range []string{"capabilities", "features", "namespaces", "overlay", "rule sets", "forward policy", "leftovers"} {
		expect(t, byName, name, note, "only root can tell", "")
	}
}
