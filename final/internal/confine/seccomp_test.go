//go:build linux

package confine

import (
	"encoding/binary"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moby/profiles/seccomp"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// allFlags are the flags that the newest kernel knows.
const allFlags = unix.SECCOMP_FILTER_FLAG_TSYNC | unix.SECCOMP_FILTER_FLAG_LOG | unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW |
	unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV

const (
	allow = unix.SECCOMP_RET_ALLOW
	errno = unix.SECCOMP_RET_ERRNO
)

// data is struct seccomp_data: what a filter is given.
type data struct {
	Number, Arch uint32
	Pointer      uint64
	Args         [6]uint64
}

// vm returns a machine that runs a filter.
func vm(t testing.TB, program []unix.SockFilter) func(data) uint32 {
	t.Helper()
	var instructions []bpf.Instruction
	for _, i := range program {
		instructions = append(instructions, bpf.RawInstruction{Op: i.Code, Jt: i.Jt, Jf: i.Jf, K: i.K}.Disassemble())
	}
	machine, err := bpf.NewVM(instructions)
	if err != nil {
		t.Fatal(err)
	}
	return func(d data) uint32 {
		packet, err := binary.Append(nil, binary.LittleEndian, d)
		if err != nil {
			t.Fatal(err)
		}
		// The machine is made for packets and reads words in the network's order. The filter must still find
		// the halves of the arguments where the kernel has them.
		for word := packet; len(word) > 0; word = word[4:] {
			binary.BigEndian.PutUint32(word, binary.LittleEndian.Uint32(word))
		}
		ret, err := machine.Run(packet)
		if err != nil {
			t.Fatal(err)
		}
		return uint32(ret)
	}
}

// compile compiles a profile for a machine that the test may not run on.
func compile(t testing.TB, m machine, profile *specs.LinuxSeccomp) *Filter {
	t.Helper()
	f, err := m.compile(profile, allFlags)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// dockerProfile is what Docker sends for a container with these capabilities, on the processor that the test
// runs on.
func dockerProfile(t testing.TB, capabilities ...string) *specs.LinuxSeccomp {
	t.Helper()
	profile, err := seccomp.GetDefaultProfile(&specs.Spec{
		Process: &specs.Process{Capabilities: &specs.LinuxCapabilities{Bounding: capabilities}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return profile
}

func TestDockersProfile(t *testing.T) {
	profile := dockerProfile(t)
	profile.Architectures = []specs.Arch{specs.ArchX86_64, specs.ArchX86, specs.ArchX32}
	f := compile(t, amd64, profile)
	if f.Flags != unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW || f.Listener != nil {
		t.Errorf("flags %#x, listener %v; want SPEC_ALLOW alone", f.Flags, f.Listener)
	}
	if n := len(f.Program); n > 600 {
		t.Errorf("%d instructions, want at most 600", n)
	}
	run := vm(t, f.Program)
	const none = unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)
	for _, test := range []struct {
		name   string
		arch   uint32
		number uint32
		args   [6]uint64
		want   uint32
	}{
		{"read", unix.AUDIT_ARCH_X86_64, 0, [6]uint64{}, allow},
		{"mount", unix.AUDIT_ARCH_X86_64, 165, [6]uint64{}, errno | 1},
		{"clone of a thread", unix.AUDIT_ARCH_X86_64, 56, [6]uint64{unix.CLONE_VM | unix.CLONE_THREAD}, allow},
		{"clone of a user namespace", unix.AUDIT_ARCH_X86_64, 56, [6]uint64{unix.CLONE_NEWUSER}, errno | 1},
		{"clone3", unix.AUDIT_ARCH_X86_64, 435, [6]uint64{}, none},
		{"socket of IPv4", unix.AUDIT_ARCH_X86_64, 41, [6]uint64{unix.AF_INET}, allow},
		{"socket of the virtual machine's host", unix.AUDIT_ARCH_X86_64, 41, [6]uint64{unix.AF_VSOCK}, errno | 1},
		{"socket with something in the upper half", unix.AUDIT_ARCH_X86_64, 41, [6]uint64{1<<32 | unix.AF_INET}, errno | 1},
		{"personality: which is it", unix.AUDIT_ARCH_X86_64, 135, [6]uint64{0xffffffff}, allow},
		{"personality: without randomization", unix.AUDIT_ARCH_X86_64, 135, [6]uint64{0x40000}, errno | 1},
		{"a call of the future", unix.AUDIT_ARCH_X86_64, 1000, [6]uint64{}, none},
		{"none at all", unix.AUDIT_ARCH_X86_64, ^uint32(0), [6]uint64{}, none},
		{"read of x32", unix.AUDIT_ARCH_X86_64, x32Bit, [6]uint64{}, allow},
		{"mount of x32", unix.AUDIT_ARCH_X86_64, x32Bit | 165, [6]uint64{}, errno | 1},
		{"ioctl of x32", unix.AUDIT_ARCH_X86_64, x32Bit | 514, [6]uint64{}, allow},
		{"read of x86", unix.AUDIT_ARCH_I386, 3, [6]uint64{}, allow},
		{"mount of x86", unix.AUDIT_ARCH_I386, 21, [6]uint64{}, errno | 1},
		{"read of arm", unix.AUDIT_ARCH_ARM, 3, [6]uint64{}, unlisted},
	} {
		if got := run(data{Number: test.number, Arch: test.arch, Args: test.args}); got != test.want {
			t.Errorf("%s: got %#x, want %#x", test.name, got, test.want)
		}
	}
}

// TestArm: a program of 32-bit arm calls set_tls first of all, far away from the other numbers.
func TestArm(t *testing.T) {
	f := compile(t, arm64, &specs.LinuxSeccomp{
		DefaultAction: specs.ActErrno,
		Architectures: []specs.Arch{specs.ArchARM},
		Syscalls:      []specs.LinuxSyscall{{Names: []string{"set_tls", "read"}, Action: specs.ActAllow}},
	})
	run := vm(t, f.Program)
	for number, want := range map[uint32]uint32{
		3: allow, 2: errno | 1, 4: errno | 38, 0xf0004: errno | 1, 0xf0005: allow, 0xf0006: errno | 1,
	} {
		if got := run(data{Number: number, Arch: unix.AUDIT_ARCH_ARM}); got != want {
			t.Errorf("call %#x of arm: got %#x, want %#x", number, got, want)
		}
	}
	if got := run(data{Number: 63, Arch: unix.AUDIT_ARCH_AARCH64}); got != allow {
		t.Errorf("read of aarch64, which the profile need not list: got %#x, want %#x", got, allow)
	}
}

// TestX86Parts: what is forbidden must be forbidden in the old way of calling it, too.
func TestX86Parts(t *testing.T) {
	f := compile(t, amd64, &specs.LinuxSeccomp{
		DefaultAction: specs.ActAllow,
		Architectures: []specs.Arch{specs.ArchX86},
		Syscalls: []specs.LinuxSyscall{
			{Names: []string{"socket", "semop"}, Action: specs.ActErrno},
			{Names: []string{"connect"}, Action: specs.ActErrno,
				Args: []specs.LinuxSeccompArg{{Index: 2, Value: 16, Op: specs.OpEqualTo}}},
		},
	})
	run := vm(t, f.Program)
	for _, test := range []struct {
		number uint32
		arg    uint64
		want   uint32
	}{
		{359, 0, errno | 1}, {socketcall, 1, errno | 1}, {socketcall, 2, allow}, {socketcall, 3, errno | 1},
		{ipc, 1, errno | 1}, {ipc, 1<<16 | 1, errno | 1}, {ipc, 2, allow},
	} {
		d := data{Number: test.number, Arch: unix.AUDIT_ARCH_I386, Args: [6]uint64{test.arg}}
		if got := run(d); got != test.want {
			t.Errorf("call %d of x86, first argument %#x: got %#x, want %#x", test.number, test.arg, got, test.want)
		}
	}
}

// TestDepth: how many instructions run until the answer is what each call of a container pays.
func TestDepth(t *testing.T) {
	f := compile(t, amd64, dockerProfile(t))
	for number := range uint32(500) {
		if steps := count(f.Program, number, unix.AUDIT_ARCH_X86_64); steps > 20 {
			t.Errorf("call %d: %d instructions, want at most 20", number, steps)
		}
	}
}

// count runs a filter up to where it looks at arguments, and counts.
func count(program []unix.SockFilter, number, arch uint32) (steps int) {
	word := uint32(0)
	for at := 0; at < len(program); at++ {
		i := program[at]
		steps++
		taken := false
		switch i.Code {
		case unix.BPF_LD | unix.BPF_W | unix.BPF_ABS:
			if i.K >= dataArgs {
				return steps
			}
			word = map[uint32]uint32{dataNumber: number, dataArch: arch}[i.K]
			continue
		case unix.BPF_RET | unix.BPF_K:
			return steps
		case unix.BPF_JMP | unix.BPF_JA:
			at += int(i.K)
			continue
		case unix.BPF_JMP | unix.BPF_K | unix.BPF_JEQ:
			taken = word == i.K
		case unix.BPF_JMP | unix.BPF_K | unix.BPF_JGE:
			taken = word >= i.K
		}
		if taken {
			at += int(i.Jt)
		} else {
			at += int(i.Jf)
		}
	}
	return steps
}

func BenchmarkCompile(b *testing.B) {
	profile := dockerProfile(b)
	for b.Loop() {
		if _, err := Compile(profile, allFlags); err != nil {
			b.Fatal(err)
		}
	}
}

// TestCompileIsFast: a filter is compiled at each start of a container, which takes a few milliseconds.
func TestCompileIsFast(t *testing.T) {
	profile := dockerProfile(t)
	limit := time.Millisecond
	if os.Getenv("MICROVM") != "" { // an emulated processor
		limit *= 20
	}
	fastest := time.Hour
	for end := time.Now().Add(10 * time.Second); fastest > limit && time.Now().Before(end); { // a machine that has time for us
		start := time.Now()
		compile(t, amd64, profile)
		fastest = min(fastest, time.Since(start))
	}
	if fastest > limit {
		t.Errorf("Docker's profile: compiled in %v, want less than %v", fastest, limit)
	}
}

// TestTables: a name that is not found is passed over, so the order of the tables matters.
func TestTables(t *testing.T) {
	if !slices.IsSortedFunc(calls[:], func(a, b call) int { return strings.Compare(a.name, b.name) }) {
		t.Error("the table of calls is not sorted: run go generate")
	}
	for _, p := range parts {
		if partOf(p.name) == nil || partOf(p.name).which != p.which {
			t.Errorf("part %s is not found", p.name)
		}
	}
	for i, a := range abis {
		if slices.Contains(foreign, a.name) {
			t.Errorf("%s is foreign and not", abis[i].name)
		}
	}
	// What this machine's kernel is known by in golang.org/x/sys/unix must be in the column of this machine.
	m, err := thisMachine()
	if err != nil {
		t.Skip(err)
	}
	for name, number := range map[string]int32{"openat2": unix.SYS_OPENAT2, "execve": unix.SYS_EXECVE} {
		if c := lookup(name); c == nil || c.numbers[m[0]] != number {
			t.Errorf("%s: got %v, want %d", name, c, number)
		}
	}
}
