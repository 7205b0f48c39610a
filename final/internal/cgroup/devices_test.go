//go:build linux

package cgroup

import (
	"fmt"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/simple-container/simple-container/final/internal/kernel"
	"golang.org/x/sys/unix"
)

// dev is a rule in short: "allow c 1:3 rwm", "deny a *:* rwm".
func dev(text string) specs.LinuxDeviceCgroup {
	d := specs.LinuxDeviceCgroup{}
	var word, major, minor string
	if _, err := fmt.Sscanf(strings.Replace(text, ":", " ", 1), "%s %s %s %s %s", &word, &d.Type, &major, &minor, &d.Access); err != nil {
		panic(err) // a typing error in a test
	}
	d.Allow = word == "allow"
	for _, n := range []struct {
		text string
		to   **int64
	}{{major, &d.Major}, {minor, &d.Minor}} {
		if n.text != "*" {
			*n.to = new(int64)
			_, _ = fmt.Sscan(n.text, *n.to)
		}
	}
	return d
}

func devs(lines ...string) (list []specs.LinuxDeviceCgroup) {
	for _, line := range lines {
		list = append(list, dev(line))
	}
	return list
}

func TestRules(t *testing.T) {
	for _, test := range []struct {
		name  string
		asked []specs.LinuxDeviceCgroup
		open  bool
		v1    string // the exceptions, or "! " and a part of the error
	}{
		{"none", nil, false, ""},
		{"an engine's", devs("deny a *:* rwm", "allow c 1:3 rwm", "deny c 10:229 rwm", "allow c *:* m"), false, "c 1:3 rwm,c *:* m"},
		{"privileged", devs("deny a *:* rwm", "allow c 1:3 rwm", "allow a *:* rwm"), true, ""},
		{"all but one", devs("allow a *:* rwm", "deny b 8:0 w"), true, "b 8:0 w"},
		{"both kinds", devs("allow a 7:* r"), false, "b 7:* r,c 7:* r"},
		{"more of the same", devs("allow c 1:3 r", "allow c 1:3 w"), false, "c 1:3 rw"},
		{"taken back", devs("allow c 1:3 rwm", "deny c 1:3 w", "allow b 8:0 r", "deny b 8:0 rwm"), false, "c 1:3 rm"},
		{"an exception to an exception", devs("allow c *:* rwm", "deny c 1:3 w"), false, "! c 1:3 w: cgroup v1 cannot"},
		{"other accesses meet", devs("allow c *:* m", "deny c 1:3 rw"), false, "c *:* m"},
	} {
		t.Run(test.name, func(t *testing.T) {
			rules, open, err := parseRules(test.asked)
			if err != nil || open != test.open {
				t.Fatalf("open %v, %v; want %v", open, err, test.open)
			}
			got, err := exceptionsOf(rules, open)
			if part, refused := strings.CutPrefix(test.v1, "! "); refused {
				if err == nil || !strings.Contains(err.Error(), part) {
					t.Errorf("got %v, want the error %s", err, part)
				}
				return
			}
			if diff := cmp.Diff(test.v1, strings.Join(got, ",")); diff != "" || err != nil {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}
	for _, test := range []struct {
		bad  specs.LinuxDeviceCgroup
		want string
	}{
		{specs.LinuxDeviceCgroup{Type: "p"}, `linux.resources.devices[0].type: "p": want a, b or c`},
		{specs.LinuxDeviceCgroup{Access: "rx"}, `linux.resources.devices[0].access: "rx": want some of r, w and m`},
		{specs.LinuxDeviceCgroup{Major: ptr[int64](1 << 12)}, `linux.resources.devices[0].major: 4096: want 0 to 4095, or -1 for any`},
		{specs.LinuxDeviceCgroup{Minor: ptr[int64](-2)}, `linux.resources.devices[0].minor: -2: `},
	} {
		if _, _, err := parseRules([]specs.LinuxDeviceCgroup{test.bad}); err == nil || !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("got %v, want %s", err, test.want)
		}
	}
}

// run carries out a device program as the kernel does: it is the second opinion on what was assembled.
func run(t *testing.T, program []insn, memory [3]uint32) uint64 {
	t.Helper()
	var r [11]uint64
	for at, steps := 0, 0; ; at, steps = at+1, steps+1 {
		if at < 0 || at >= len(program) || steps > len(program) {
			t.Fatalf("the program leaves itself, or runs for ever: at %d of %d", at, len(program))
		}
		i := program[at]
		dst, operand := i.regs&15, uint64(int64(i.imm))
		if i.code&unix.BPF_X != 0 && i.code&7 != unix.BPF_LDX {
			operand = r[i.regs>>4]
		}
		switch i.code &^ unix.BPF_X {
		case unix.BPF_LDX | unix.BPF_MEM | unix.BPF_W:
			r[dst] = uint64(memory[i.off/4])
		case unix.BPF_ALU | unix.BPF_MOV:
			r[dst] = uint64(uint32(operand))
		case unix.BPF_ALU | unix.BPF_AND:
			r[dst] = uint64(uint32(r[dst]) & uint32(operand))
		case unix.BPF_ALU | unix.BPF_RSH:
			r[dst] = uint64(uint32(r[dst]) >> operand)
		case unix.BPF_JMP | unix.BPF_JNE:
			if r[dst] != operand {
				at += int(i.off)
			}
		case unix.BPF_JMP | unix.BPF_JEQ:
			if r[dst] == operand {
				at += int(i.off)
			}
		case unix.BPF_JMP | unix.BPF_EXIT:
			return r[0]
		default:
			t.Fatalf("instruction %d has the code %#x", at, i.code)
		}
	}
}

// decide is what the rules mean, word for word: each bit of an access is decided by the last rule about it.
func decide(rules []rule, open bool, kind byte, major, minor int64, asked access) bool {
	for _, bit := range []access{toMake, toRead, toWrite} {
		allowed := open
		for _, r := range rules {
			if r.kind == kind && (r.major == wild || r.major == major) && (r.minor == wild || r.minor == minor) && r.access&bit != 0 {
				allowed = r.allow
			}
		}
		if asked&bit != 0 && !allowed {
			return false
		}
	}
	return true
}

func TestDeviceProgram(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	kinds := map[byte]uint32{'b': unix.BPF_DEVCG_DEV_BLOCK, 'c': unix.BPF_DEVCG_DEV_CHAR}
	pick := func() byte { return "bc"[random.IntN(2)] }
	for range 300 {
		var rules []rule
		for range random.IntN(6) {
			rules = append(rules, rule{
				allow: random.IntN(2) == 0, kind: pick(), major: random.Int64N(3) - 1, minor: random.Int64N(3) - 1,
				access: access(1 + random.IntN(7)),
			})
		}
		open := random.IntN(2) == 0
		program := deviceProgram(rules, open)
		for range 60 {
			kind, major, minor, asked := pick(), random.Int64N(3), random.Int64N(3), access(1+random.IntN(7))
			got := run(t, program, [3]uint32{uint32(asked)<<16 | kinds[kind], uint32(major), uint32(minor)}) == 1
			if want := decide(rules, open, kind, major, minor, asked); got != want {
				t.Fatalf("%v, open %v: %c %d:%d %v: got %v, want %v", rules, open, kind, major, minor, asked, got, want)
			}
		}
	}
}

// What the rules do to a process in the group, on whichever version the machine has.
func TestDevices(t *testing.T) {
	g := newGroup(t)
	door := &kernel.Door{}
	// /dev/kmsg is 1:11. The default devices need no rule.
	if err := g.Create(door, &specs.LinuxResources{Devices: devs("deny a *:* rwm", "allow c 1:11 r")}); err != nil {
		t.Fatal(err)
	}
	node := filepath.Join(t.TempDir(), "node")
	try := func(name, script string, want bool) {
		t.Helper()
		cmd := spawn(t, g, "sh", "-c", script+" 2>/dev/null")
		if got := cmd.Wait() == nil; got != want {
			t.Errorf("%s: %s: got %v, want %v", name, script, got, want)
		}
	}
	const kmsg = "/dev/kmsg"
	try("default", "exec 3<>/dev/null", true)
	try("default", "exec 3</dev/zero", true)
	try("to read", "exec 3<"+kmsg, true)
	try("to read", "exec 3>"+kmsg, false)
	try("to make", "mknod "+node+" b 8 0", true)
	try("to make, not to use", "exec 3<"+node, false)
	update := func(lines ...string) {
		t.Helper()
		if err := g.Update(door, &specs.LinuxResources{Devices: devs(lines...)}); err != nil {
			t.Fatal(err)
		}
	}
	update("deny a *:* rwm", "allow c 1:11 w")
	try("updated", "exec 3<"+kmsg, false)
	try("updated", "exec 3>"+kmsg, true)
	try("updated", "exec 3<>/dev/null", true)
	update("allow a *:* rwm", "deny c 1:11 r")
	try("all but one", "exec 3<"+kmsg, false)
	try("all but one", "exec 3>"+kmsg, true)
	update("allow a *:* rwm")
	try("all", "exec 3<>"+kmsg, true)
	update("deny a *:* rwm")
	try("none", "exec 3<"+kmsg, false)
	if err := g.Update(door, &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr[int64](30)}}); err != nil {
		t.Fatal(err)
	}
	try("not updated", "exec 3<"+kmsg, false)
	if p := g.v2(); p != nil && g.part("devices") == nil {
		group, err := unix.Open(p.dir, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(group)
		programs, err := attached(group)
		if err != nil || len(programs) != 1 {
			t.Errorf("programs on the group after five updates: got %d, %v, want 1", len(programs), err)
		}
		for _, fd := range programs {
			_ = unix.Close(fd)
		}
	}
}

// The list that v1 shows is the one that was worked out.
func TestDevicesV1List(t *testing.T) {
	g := newGroup(t)
	if g.part("devices") == nil {
		t.Skipf("no devices controller: %v", exec.ErrNotFound)
	}
	asked := devs("deny a *:* rwm", "allow c 1:11 r", "allow c 1:11 w", "allow b 7:* rwm")
	if err := g.Create(&kernel.Door{}, &specs.LinuxResources{Devices: asked}); err != nil {
		t.Fatal(err)
	}
	rules, open, err := parseRules(append(slices.Clone(asked), defaultDevices()...))
	if err != nil {
		t.Fatal(err)
	}
	want, err := exceptionsOf(rules, open)
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Split(readFile(g.part("devices").dir+"/devices.list"), "\n")
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
