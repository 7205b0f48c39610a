//go:build linux

package trace

import (
	"github.com/opencontainers/runtime-spec/specs-go"
)

// x32Bit marks the numbers of x32, which the kernel takes for x86_64's otherwise (asm/unistd.h).
const x32Bit = 0x40000000

// armPrivate is where arm has the calls of its C library (asm/unistd.h, __ARM_NR_BASE); they get the last slots.
const (
	armPrivate     = 0xf0000
	armPrivateSlot = slots - 16
)

// callIn is the call that a slot is for; the last slot is for numbers that no call has.
func callIn(slot int) Call {
	number := uint32(slot % slots)
	switch {
	case slot >= otherOne:
		return Call{native.audit, unknown}
	case slot >= 2*slots:
		return Call{native.audit, number | x32Bit}
	case slot < slots:
		return Call{native.audit, number}
	case compat.arch == specs.ArchARM && number >= armPrivateSlot:
		return Call{compat.audit, armPrivate + number - armPrivateSlot}
	}
	return Call{compat.audit, number}
}

// wantedOf is what the programs are to do with a call.
func wantedOf(slot int, f *Filter) (value [wantedSize]byte) {
	call := callIn(slot)
	if !f.wants(call) {
		return value
	}
	value[wantedFlags] = flagTraced
	if call.endless() {
		value[wantedFlags] |= flagEndless
	}
	for i, l := range looks(call.Name()) {
		at := value[wantedLooks+4*i:]
		at[0] = byte(l.form)
		if l.form == text {
			at[0] = byte(path) // to the programs it is all the same
		}
		registers := argumentsOf(call)
		at[1] = byte(registers[l.arg])
		if l.arg < 5 {
			at[2] = byte(registers[l.arg+1])
		}
	}
	return value
}

// argumentsOf is where pt_regs has the arguments of a call.
func argumentsOf(call Call) [6]int {
	if call.Audit == compat.audit {
		return compatArguments
	}
	return nativeArguments
}
