//go:build linux

package confine

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// judge says what a profile means for a call, in the plainest way: by name, and from the top to the bottom.
func judge(profile *specs.LinuxSeccomp, m machine, d data) uint32 {
	column := -1
	for _, c := range m {
		isX32 := d.Number >= x32Bit && d.Number != ^uint32(0)
		if abis[c].audit == d.Arch && (d.Arch != unix.AUDIT_ARCH_X86_64 || isX32 == (c == x32)) {
			column = c
		}
	}
	if column < 0 || column != m[0] && !slices.Contains(profile.Architectures, abis[column].name) {
		return unix.SECCOMP_RET_KILL_PROCESS
	}
	otherwise := mustOutcome(profile.DefaultAction, profile.DefaultErrnoRet)
	conditional, newest := otherwise, uint32(0)
	named, matched := false, false
	for _, entry := range profile.Syscalls {
		ret := mustOutcome(entry.Action, entry.ErrnoRet)
		for _, name := range entry.Names {
			if c := lookup(name); c != nil && c.numbers[column] >= 0 && c.numbers[column]&^x32Bit < armPrivate {
				newest, named = max(newest, uint32(c.numbers[column])), true
			}
			if part := partOf(name); part != nil && column == x86 {
				newest, named = max(newest, uint32(part.of)), true
			}
			if ret == otherwise {
				continue
			}
			if part := partOf(name); part != nil && column == x86 && d.Number == uint32(part.of) && !matched {
				which := uint32(d.Args[0])
				if part.of == ipc {
					which &= 0xffff
				}
				if uint64(which) == part.which && (len(entry.Args) == 0 || harder(ret, otherwise)) {
					conditional, matched = ret, true
				}
			}
			c := lookup(name)
			if c == nil || c.numbers[column] < 0 || uint32(c.numbers[column]) != d.Number {
				continue
			}
			if len(entry.Args) == 0 {
				return ret
			}
			if !matched && holds(entry.Args, d, abis[column].narrow) {
				conditional, matched = ret, true
			}
		}
	}
	private := column == arm && d.Number >= armPrivate
	if !matched && named && d.Number > newest && !private {
		switch profile.DefaultAction {
		case specs.ActAllow, specs.ActLog, specs.ActTrace:
		default:
			return errno | uint32(unix.ENOSYS)
		}
	}
	return conditional
}

func mustOutcome(action specs.LinuxSeccompAction, errno *uint) uint32 {
	ret, err := outcome(action, errno, "", "")
	if err != nil {
		panic(err)
	}
	return ret
}

func holds(args []specs.LinuxSeccompArg, d data, narrow bool) bool {
	seen := map[uint]int{}
	held := 0
	for _, arg := range args {
		seen[arg.Index]++
		value, got, two := arg.Value, d.Args[arg.Index], arg.ValueTwo
		if narrow {
			value, got, two = uint64(uint32(value)), uint64(uint32(got)), uint64(uint32(two))
		}
		if map[specs.LinuxSeccompOperator]bool{
			specs.OpEqualTo: got == value, specs.OpNotEqual: got != value, specs.OpLessThan: got < value,
			specs.OpLessEqual: got <= value, specs.OpGreaterThan: got > value, specs.OpGreaterEqual: got >= value,
			specs.OpMaskedEqual: got&value == two&value,
		}[arg.Op] {
			held++
		}
	}
	for _, n := range seen {
		if n > 1 {
			return held > 0
		}
	}
	return held == len(args)
}

// TestRandomProfiles compares filters, run in a machine, with what the profiles mean.
func TestRandomProfiles(t *testing.T) {
	for seed := range uint64(400) {
		r := rand.New(rand.NewPCG(seed, 1))
		m := []machine{amd64, arm64}[seed%2]
		profile := randomProfile(r, m)
		check(t, m, profile, compile(t, m, profile), func(n int) (list []data) {
			for range n {
				list = append(list, randomCall(r, profile, m))
			}
			return list
		}(300))
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// check compares a filter with its profile.
func check(t *testing.T, m machine, profile *specs.LinuxSeccomp, f *Filter, list []data) {
	t.Helper()
	run := vm(t, f.Program)
	for _, d := range list {
		if got, want := run(d), judge(profile, m, d); got != want {
			text, _ := json.Marshal(profile)
			t.Fatalf("call %d of %#x%x: got %#x, want %#x\n%s", d.Number, d.Arch, d.Args, got, want, text)
		}
	}
}

func pick[T any](r *rand.Rand, list ...T) T { return list[r.IntN(len(list))] }

func randomProfile(r *rand.Rand, m machine) *specs.LinuxSeccomp {
	profile := &specs.LinuxSeccomp{DefaultAction: randomAction(r), ListenerPath: "/run/agent.sock"}
	for profile.DefaultAction == specs.ActNotify {
		profile.DefaultAction = randomAction(r)
	}
	for _, column := range m {
		if r.IntN(2) == 0 {
			profile.Architectures = append(profile.Architectures, abis[column].name)
		}
	}
	for range r.IntN(pick(r, 3, 10, 200)) {
		entry := specs.LinuxSyscall{Action: randomAction(r)}
		if entry.Action == specs.ActErrno && r.IntN(2) == 0 {
			errno := uint(r.IntN(4096))
			entry.ErrnoRet = &errno
		}
		for range 1 + r.IntN(pick(r, 1, 5)) {
			if name := randomName(r); name != "write" {
				entry.Names = append(entry.Names, name)
			}
		}
		entry.Names = append(entry.Names, "no_such_call")
		if r.IntN(2) == 0 {
			for range 1 + r.IntN(3) {
				entry.Args = append(entry.Args, specs.LinuxSeccompArg{Index: uint(r.IntN(6)), Value: randomValue(r),
					ValueTwo: randomValue(r), Op: pick(r, append(operatorNames[:], specs.OpMaskedEqual)...)})
			}
		}
		profile.Syscalls = append(profile.Syscalls, entry)
	}
	return profile
}

// randomName prefers a few names, so that they meet.
func randomName(r *rand.Rand) string {
	few := []string{"read", "socket", "semop", "shmget", "socketcall", "rt_sigaction", "execve", "set_tls"}
	return pick(r, append(few, pick(r, calls[:]...).name, pick(r, calls[:]...).name, pick(r, calls[:]...).name)...)
}

func randomAction(r *rand.Rand) specs.LinuxSeccompAction { return pick(r, actions[:]...).name }

// randomValue prefers numbers next to those that comparisons by halves could get wrong.
func randomValue(r *rand.Rand) uint64 {
	half := func() uint64 { return pick[uint64](r, 0, 1, 2, 1<<31-1, 1<<31, 1<<32-2, 1<<32-1, uint64(r.Uint32())) }
	return pick(r, half(), half()<<32|half(), uint64(r.IntN(4)))
}

// randomCall is one that the profile may speak of.
func randomCall(r *rand.Rand, profile *specs.LinuxSeccomp, m machine) data {
	column := pick(r, m...)
	d := data{Arch: abis[column].audit}
	if r.IntN(10) == 0 {
		d.Arch = unix.AUDIT_ARCH_S390X
	}
	d.Number = pick[uint32](r, uint32(r.IntN(600)), x32Bit|uint32(r.IntN(600)), armPrivate+uint32(r.IntN(9)),
		r.Uint32(), ^uint32(0), socketcall, ipc)
	values := []uint64{randomValue(r), randomValue(r), uint64(r.IntN(25))}
	if len(profile.Syscalls) > 0 {
		entry := pick(r, profile.Syscalls...)
		if c := lookup(pick(r, entry.Names...)); c != nil && c.numbers[column] >= 0 {
			d.Number = uint32(c.numbers[column]) + pick[uint32](r, 0, 0, 0, 0, 1)
		}
		for _, arg := range entry.Args {
			values = append(values, arg.Value, arg.Value, arg.Value+1, arg.Value-1, arg.ValueTwo, arg.ValueTwo&arg.Value)
		}
	}
	for i := range d.Args {
		d.Args[i] = pick(r, values...)
		if abis[column].narrow { // as the kernel passes it
			d.Args[i] = uint64(uint32(d.Args[i]))
		}
	}
	return d
}

// FuzzCompile: whatever a config.json says, the compiler refuses it or compiles what it means.
func FuzzCompile(f *testing.F) {
	f.Add(uint64(1), []byte(`{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":38,"architectures":["SCMP_ARCH_X32"],
		"syscalls":[{"names":["read"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":1,"op":"SCMP_CMP_GT"}]}]}`))
	f.Add(uint64(2), []byte(`{"defaultAction":"SCMP_ACT_ALLOW","flags":["SECCOMP_FILTER_FLAG_LOG"],"listenerPath":"/x",
		"syscalls":[{"names":["socket"],"action":"SCMP_ACT_NOTIFY"}]}`))
	for seed := range uint64(4) {
		r := rand.New(rand.NewPCG(seed, 2))
		text, err := json.Marshal(randomProfile(r, amd64))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(seed, text)
	}
	f.Fuzz(func(t *testing.T, seed uint64, text []byte) {
		profile := &specs.LinuxSeccomp{}
		if json.Unmarshal(text, profile) != nil {
			return
		}
		r := rand.New(rand.NewPCG(seed, 3))
		m := pick(r, amd64, arm64)
		filter, err := m.compile(profile, allFlags)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "linux.seccomp") {
				t.Errorf("error without a path: %v", err)
			}
			return
		}
		var list []data
		for range 20 {
			list = append(list, randomCall(r, profile, m))
		}
		check(t, m, profile, filter, list)
	})
}

// TestProfileErrors: each of these is refused with the path of what is wrong.
func TestProfileErrors(t *testing.T) {
	const allowBut = `{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["read"],"action":"SCMP_ACT_LOG",`
	for _, test := range []struct{ profile, want string }{
		{`{"defaultAction":"SCMP_ACT_DENY"}`, `linux.seccomp.defaultAction: "SCMP_ACT_DENY": unknown action`},
		{`{"defaultAction":"SCMP_ACT_NOTIFY","listenerPath":"/a"}`,
			`linux.seccomp.defaultAction: "SCMP_ACT_NOTIFY": the container could not hand over the listener`},
		{`{"defaultAction":"SCMP_ACT_ALLOW","defaultErrnoRet":1}`,
			`linux.seccomp.defaultErrnoRet: 1: no number goes with SCMP_ACT_ALLOW`},
		{`{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":4096}`,
			`linux.seccomp.defaultErrnoRet: 4096: want at most 4095`},
		{`{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_MIPS","SCMP_ARCH_VAX"]}`,
			`linux.seccomp.architectures[1]: "SCMP_ARCH_VAX": unknown architecture`},
		{`{"defaultAction":"SCMP_ACT_ALLOW","flags":["SECCOMP_FILTER_FLAG_NEW_LISTENER"]}`,
			`linux.seccomp.flags[0]: "SECCOMP_FILTER_FLAG_NEW_LISTENER": unknown flag`},
		{`{"defaultAction":"SCMP_ACT_ALLOW","listenerMetadata":"m"}`,
			`linux.seccomp.listenerMetadata: "m": there is no listenerPath`},
		{`{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":[],"action":"SCMP_ACT_LOG"}]}`,
			`linux.seccomp.syscalls[0].names: empty`},
		{`{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["read",""],"action":"SCMP_ACT_LOG"}]}`,
			`linux.seccomp.syscalls[0].names[1]: SCMP_ACT_LOG cannot be used for the  syscall`},
		{`{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["read"],"action":"SCMP_ACT_NOTIFY"}]}`,
			`linux.seccomp.listenerPath: none, and there is SCMP_ACT_NOTIFY`},
		{`{"defaultAction":"SCMP_ACT_ALLOW","listenerPath":"/a","syscalls":[{"names":["write"],"action":"SCMP_ACT_NOTIFY"}]}`,
			`linux.seccomp.syscalls[0].names[0]: SCMP_ACT_NOTIFY cannot be used for the write syscall`},
		{`{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["read"],"action":"SCMP_ACT_X"}]}`,
			`linux.seccomp.syscalls[0].action: "SCMP_ACT_X": unknown action`},
		{allowBut + `"errnoRet":0}]}`, `linux.seccomp.syscalls[0].errnoRet: 0: no number goes with SCMP_ACT_LOG`},
		{allowBut + `"args":[{"index":6,"op":"SCMP_CMP_EQ"}]}]}`,
			`linux.seccomp.syscalls[0].args[0].index: 6: want 0 to 5`},
		{allowBut + `"args":[{"index":0,"op":"=="}]}]}`, `linux.seccomp.syscalls[0].args[0].op: "==": unknown operator`},
	} {
		profile := &specs.LinuxSeccomp{}
		if err := json.Unmarshal([]byte(test.profile), profile); err != nil {
			t.Fatal(err)
		}
		if _, err := amd64.compile(profile, allFlags); fmt.Sprint(err) != test.want {
			t.Errorf("%s\n got: %v\nwant: %s", test.profile, err, test.want)
		}
	}
	old := &specs.LinuxSeccomp{DefaultAction: specs.ActAllow,
		Flags: []specs.LinuxSeccompFlag{specs.LinuxSeccompFlagWaitKillableRecv}}
	if _, err := amd64.compile(old, unix.SECCOMP_FILTER_FLAG_LOG); err == nil {
		t.Error("a flag that the kernel does not know: compiled")
	}
	if f, err := Compile(&specs.LinuxSeccomp{}, allFlags); f != nil || err != nil {
		t.Errorf("an empty profile: got %v, %v; want no filter", f, err)
	}
}

// TestTooLong: there is an end to what the kernel takes.
func TestTooLong(t *testing.T) {
	profile := &specs.LinuxSeccomp{DefaultAction: specs.ActErrno}
	for i := range uint64(2000) {
		profile.Syscalls = append(profile.Syscalls, specs.LinuxSyscall{Names: []string{"read"}, Action: specs.ActAllow,
			Args: []specs.LinuxSeccompArg{{Index: 0, Op: specs.OpEqualTo, Value: i}}})
	}
	if _, err := amd64.compile(profile, allFlags); err == nil || !strings.Contains(err.Error(), "the kernel takes 4096") {
		t.Errorf("2000 conditions: got error %v, want another", err)
	}
}
