//go:build linux

package confine

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	seccomp "github.com/moby/profiles/seccomp"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// allFlags are the flags that the newest kernel knows.
const allFlags = unix.SECCOMP_FILTER_FLAG_TSYNC | unix.SECCOMP_FILTER_FLAG_LOG | unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW |
	unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV

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
		// The machine is made for packets, and reads words in the network's order. The filter must find the
		// numbers it reads at the places where the kernel has them.
		packet, err := binary.Append(nil, binary.LittleEndian, d)
		if err != nil {
			t.Fatal(err)
		}
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

// dockerProfile is what Docker sends for a container with these capabilities. It is made for the machine
// that the test runs on.
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

func BenchmarkCompile(b *testing.B) {
	profile := dockerProfile(b)
	for b.Loop() {
		if _, err := Compile(profile, allFlags); err != nil {
			b.Fatal(err)
		}
	}
}

func TestDocker(t *testing.T) {
	f, err := amd64.compile(dockerProfile(t), allFlags)
	if err != nil {
		t.Fatal(err)
	}
	t.Log(len(f.Program), "instructions")
	_ = fmt.Sprint
	_ = strings.Join
	run := vm(t, f.Program)
	t.Logf("%x", run(data{Number: unix.SYS_READ, Arch: unix.AUDIT_ARCH_X86_64}))
}
