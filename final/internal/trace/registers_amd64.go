//go:build linux

package trace

import "github.com/cilium/ebpf/asm"

// Of struct pt_regs (asm/ptrace.h): r15 r14 r13 r12 bp bx r11 r10 r9 r8 ax cx dx si di orig_ax ip cs.
const (
	regsSize = 144
	regsRead = regsSize
	offsetCS = 136
)

var (
	nativeArguments = [6]int{112, 104, 96, 56, 72, 64} // di si dx r10 r8 r9
	compatArguments = [6]int{40, 88, 96, 104, 112, 32} // bx cx dx si di bp
)

// findSlot turns the number in the slot's register into a slot. A program of 32 bits is one that runs in the 32-bit
// code segment; x32 has a bit in its numbers.
func (p *program) findSlot() {
	const code32 = 0x23
	found, x64, other := p.label("found"), p.label("x64"), p.label("other")
	p.stackAddress(asm.R1, stackWord)
	p.readKernel(regRegs, offsetCS, 8)
	p.add(
		asm.LoadMem(asm.R1, asm.RFP, stackWord, asm.DWord), asm.JNE.Imm(asm.R1, code32, x64),
		asm.JGE.Imm(regSlot, slots, other), asm.Add.Imm(regSlot, slots), asm.Ja.Label(found),
	)
	p.mark(x64)
	p.add(
		asm.JLT.Imm(regSlot, slots, found),
		asm.JLT.Imm(regSlot, x32Bit, other), asm.Sub.Imm(regSlot, x32Bit), asm.JGE.Imm(regSlot, slots, other),
		asm.Add.Imm(regSlot, 2*slots), asm.Ja.Label(found),
	)
	p.mark(other)
	p.add(asm.Mov.Imm(regSlot, otherOne))
	p.mark(found)
}
