//go:build linux

package cgroup

import (
	"slices"

	"golang.org/x/sys/unix"
)

// On cgroup2 the device controller is a BPF program of the type CGROUP_DEVICE that the kernel runs at every
// open and mknod of a device: it answers 1 for yes. The program is made here, one instruction at a time.

// insn is struct bpf_insn (linux/bpf.h).
type insn struct {
	code byte
	regs byte // destination in the low half, source in the high
	off  int16
	imm  int32
}

// The registers. The kernel puts the context into R1 and finds the answer in R0; the others are the program's.
const (
	regAnswer = iota
	regContext
	regKind
	regAsked // the access, of which rules take away what they allow
	regMajor
	regMinor
)

// load is dst = *(u32 *)(context + off).
func load(dst byte, off int16) insn {
	return insn{code: unix.BPF_LDX | unix.BPF_MEM | unix.BPF_W, regs: dst | regContext<<4, off: off}
}

// alu is dst op= imm, of which move and and are two; copyTo is dst = src.
func move(dst byte, imm int32) insn { return alu(unix.BPF_MOV, dst, imm) }
func and(dst byte, imm int32) insn  { return alu(unix.BPF_AND, dst, imm) }
func alu(op, dst byte, imm int32) insn {
	return insn{code: unix.BPF_ALU | op | unix.BPF_K, regs: dst, imm: imm}
}

func copyTo(dst, src byte) insn {
	return insn{code: unix.BPF_ALU | unix.BPF_MOV | unix.BPF_X, regs: dst | src<<4}
}

// jump skips off instructions if dst op imm.
func jump(op, dst byte, imm int32, off int) insn {
	return insn{code: unix.BPF_JMP | op | unix.BPF_K, regs: dst, imm: imm, off: int16(off)}
}

func answerWith(n int32) []insn {
	return []insn{move(regAnswer, n), {code: unix.BPF_JMP | unix.BPF_EXIT}}
}

// deviceProgram decides by the rules from the last to the first, so that the last one about an access wins.
func deviceProgram(rules []rule, open bool) []insn {
	program := []insn{
		load(regKind, 0),                     // struct bpf_cgroup_dev_ctx: access_type is access<<16 | regKind,
		copyTo(regAsked, regKind),            //
		and(regKind, 0xffff),                 //
		alu(unix.BPF_RSH, regAsked, 16),      //
		load(regMajor, 4), load(regMinor, 8), // then the numbers
	}
	for _, r := range slices.Backward(rules) {
		program = append(program, r.program()...)
	}
	last := int32(0)
	if open {
		last = 1
	}
	return append(program, answerWith(last)...)
}

// program is one rule. If it is not about this device or access, control leaves at the end.
func (r rule) program() (program []insn) {
	body := slices.Concat( // deny: no if any of it is asked
		[]insn{copyTo(regAnswer, regAsked), and(regAnswer, int32(r.access)), jump(unix.BPF_JEQ, regAnswer, 0, 2)},
		answerWith(0))
	if r.allow { // what is allowed is asked no more; yes if that was all
		body = slices.Concat(
			[]insn{and(regAsked, int32(^r.access&toAll)), jump(unix.BPF_JNE, regAsked, 0, 2)},
			answerWith(1))
	}
	number := int64(unix.BPF_DEVCG_DEV_CHAR)
	if r.kind == 'b' {
		number = unix.BPF_DEVCG_DEV_BLOCK
	}
	tests := []struct {
		register byte
		value    int64
	}{{regKind, number}, {regMajor, r.major}, {regMinor, r.minor}}
	for _, test := range slices.Backward(tests) {
		if test.value != wild {
			body = append([]insn{jump(unix.BPF_JNE, test.register, int32(test.value), len(body))}, body...)
		}
	}
	return body
}
