//go:build linux

package trace

import "github.com/cilium/ebpf/asm"

// Of struct pt_regs (asm/ptrace.h): x0 to x30, sp, pc, pstate.
const (
	regsSize     = 64
	regsRead     = regsSize
	offsetPstate = 264
)

var (
	nativeArguments = [6]int{0, 8, 16, 24, 32, 40}
	compatArguments = nativeArguments
)

// findSlot turns the number in the slot's register into a slot. A program of 32 bits is one in whose processor
// state bit 4 is set.
func (p *program) findSlot() {
	const mode32 = 0x10
	found, wide, low, other := p.label("found"), p.label("wide"), p.label("low"), p.label("other")
	p.stackAddress(asm.R1, stackWord)
	p.readKernel(regRegs, offsetPstate, 8)
	p.add(
		asm.LoadMem(asm.R1, asm.RFP, stackWord, asm.DWord), asm.And.Imm(asm.R1, mode32), asm.JEq.Imm(asm.R1, 0, wide),
		asm.JLT.Imm(regSlot, armPrivate, low),
		asm.Sub.Imm(regSlot, armPrivate), asm.JGE.Imm(regSlot, slots-armPrivateSlot, other),
		asm.Add.Imm(regSlot, slots+armPrivateSlot), asm.Ja.Label(found),
	)
	p.mark(low)
	p.add(
		asm.JGE.Imm(regSlot, armPrivateSlot, other), asm.Add.Imm(regSlot, slots), asm.Ja.Label(found),
	)
	p.mark(wide)
	p.add(asm.JLT.Imm(regSlot, slots, found))
	p.mark(other)
	p.add(asm.Mov.Imm(regSlot, otherOne))
	p.mark(found)
}
