//go:build linux

package confine

import (
	"fmt"
	"runtime"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// The ABIs that a filter can speak of: a processor runs programs of its own kind and older ones, and each
// kind has its own numbers for the same system calls. They are the columns of the table of calls.
const (
	x86_64 = iota
	x86
	x32
	aarch64
	arm
	abiCount
)

// x32Bit is what sets the numbers of x32 apart: for the kernel's audit_arch it is x86_64.
const x32Bit = 0x40000000

// armPrivate is where the calls begin that arm has for its C library, far above the others.
const armPrivate = 0xf0000

// An abi is what a filter sees of a kind of program.
type abi struct {
	name   specs.Arch
	audit  uint32 // the field arch of struct seccomp_data
	narrow bool   // arguments have 32 bits; the upper halves are 0
}

// x32 is not narrow: its programs have the registers of x86_64, and the kernel reads them whole.
var abis = [abiCount]abi{
	x86_64:  {specs.ArchX86_64, unix.AUDIT_ARCH_X86_64, false},
	x86:     {specs.ArchX86, unix.AUDIT_ARCH_I386, true},
	x32:     {specs.ArchX32, unix.AUDIT_ARCH_X86_64, false},
	aarch64: {specs.ArchAARCH64, unix.AUDIT_ARCH_AARCH64, false},
	arm:     {specs.ArchARM, unix.AUDIT_ARCH_ARM, true},
}

// A machine is a processor, with the ABIs of the programs it runs, its own first.
type machine []int

var (
	amd64 = machine{x86_64, x32, x86}
	arm64 = machine{aarch64, arm}
)

// thisMachine is what the program runs on.
func thisMachine() (machine, error) {
	switch runtime.GOARCH {
	case "amd64":
		return amd64, nil
	case "arm64":
		return arm64, nil
	}
	return nil, fmt.Errorf("linux.seccomp: filters are compiled for amd64 and arm64, not for %s", runtime.GOARCH)
}

// foreign are the architectures of the specification that neither machine runs programs of.
var foreign = []specs.Arch{
	specs.ArchMIPS, specs.ArchMIPS64, specs.ArchMIPS64N32, specs.ArchMIPSEL, specs.ArchMIPSEL64,
	specs.ArchMIPSEL64N32, specs.ArchPPC, specs.ArchPPC64, specs.ArchPPC64LE, specs.ArchS390, specs.ArchS390X,
	specs.ArchPARISC, specs.ArchPARISC64, specs.ArchRISCV64, specs.ArchLOONGARCH64, specs.ArchM68K, specs.ArchSH,
	specs.ArchSHEB,
}

// listed returns the ABIs that a profile is for. The machine's own is always among them: whoever names only
// x86 does not mean that programs of x86_64 are free. What the machine cannot run needs no rules.
func (m machine) listed(names []specs.Arch) ([]int, error) {
	var found [abiCount]bool
	found[m[0]] = true
	for i, name := range names {
		column := slices.IndexFunc(abis[:], func(a abi) bool { return a.name == name })
		if column < 0 && !slices.Contains(foreign, name) {
			return nil, fmt.Errorf("linux.seccomp.architectures[%d]: %q: unknown architecture", i, name)
		}
		if column >= 0 {
			found[column] = true
		}
	}
	var list []int
	for _, column := range m {
		if found[column] {
			list = append(list, column)
		}
	}
	return list, nil
}
