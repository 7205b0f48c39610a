//go:build linux

package confine

import (
	"slices"

	"golang.org/x/sys/unix"
)

// An assembler writes a program of classic BPF (linux/filter.h) from its end to its beginning. Jumps only go
// forward, so where they lead is written already, and how far away it is is known.
type assembler struct {
	reversed []unix.SockFilter
	returns  map[uint32]label // for each outcome, the nearest instruction that returns it
}

// A label is an instruction, counted from the end of the program.
type label int

// The fields of struct seccomp_data, which is what a filter is given to read: int nr; u32 arch; u64
// instruction_pointer; u64 args[6]. Both processors have the lower half of a number first.
const (
	dataNumber = 0
	dataArch   = 4
	dataArgs   = 16
)

// farthest is how many instructions a conditional jump can skip.
const farthest = 255

func (a *assembler) emit(code uint16, k uint32, jt, jf uint8) label {
	a.reversed = append(a.reversed, unix.SockFilter{Code: code, Jt: jt, Jf: jf, K: k})
	return label(len(a.reversed) - 1)
}

// skip is how many instructions the next one would skip on its way to a label.
func (a *assembler) skip(to label) int { return len(a.reversed) - 1 - int(to) }

// follow makes a label the instruction that comes after the next one to be written.
func (a *assembler) follow(to label) {
	if skip := a.skip(to); skip > 0 {
		a.emit(unix.BPF_JMP|unix.BPF_JA, uint32(skip), 0, 0)
	}
}

// near makes a label one that a conditional jump reaches when at most slack instructions come in between.
func (a *assembler) near(to label, slack int) label {
	if a.skip(to)+slack <= farthest {
		return to
	}
	if target := a.reversed[to]; target.Code == unix.BPF_RET|unix.BPF_K {
		return a.fresh(target.K)
	}
	return a.emit(unix.BPF_JMP|unix.BPF_JA, uint32(a.skip(to)), 0, 0)
}

// ret returns an outcome.
func (a *assembler) ret(outcome uint32) label {
	if to, ok := a.returns[outcome]; ok && a.skip(to) < farthest {
		return to
	}
	return a.fresh(outcome)
}

func (a *assembler) fresh(outcome uint32) label {
	to := a.emit(unix.BPF_RET|unix.BPF_K, outcome, 0, 0)
	a.returns[outcome] = to
	return to
}

// load reads a word of struct seccomp_data, and goes on at next.
func (a *assembler) load(offset uint32, next label) label {
	a.follow(next)
	return a.emit(unix.BPF_LD|unix.BPF_W|unix.BPF_ABS, offset, 0, 0)
}

// and keeps the bits of mask in the word that was read, and goes on at next.
func (a *assembler) and(mask uint32, next label) label {
	if mask == ^uint32(0) {
		return next
	}
	a.follow(next)
	return a.emit(unix.BPF_ALU|unix.BPF_AND|unix.BPF_K, mask, 0, 0)
}

// branch compares the word that was read with k: BPF_JEQ, BPF_JGT, BPF_JGE.
func (a *assembler) branch(compare uint16, k uint32, yes, no label) label {
	if yes == no {
		return yes
	}
	yes = a.near(yes, 1) // 1 is what near may write for the other
	no = a.near(no, 0)
	return a.emit(unix.BPF_JMP|unix.BPF_K|compare, k, uint8(a.skip(yes)), uint8(a.skip(no)))
}

// program returns the instructions in the order that they are carried out.
func (a *assembler) program() []unix.SockFilter {
	slices.Reverse(a.reversed)
	return a.reversed
}

// condition compares an argument, of 64 bits in two halves: the machine of a filter has only 32. Where
// arguments are narrow, the lower half is all there is.
func (a *assembler) condition(c condition, narrow bool, yes, no label) label {
	compare := uint16(unix.BPF_JEQ)
	switch c.op {
	case notEqual:
		yes, no = no, yes
	case greater:
		compare = unix.BPF_JGT
	case greaterEqual:
		compare = unix.BPF_JGE
	case less: // not greater or equal
		compare, yes, no = unix.BPF_JGE, no, yes
	case lessEqual:
		compare, yes, no = unix.BPF_JGT, no, yes
	}
	at := dataArgs + 8*uint32(c.index)
	next := a.branch(compare, uint32(c.value), yes, no)
	next = a.load(at, a.and(uint32(c.mask), next))
	if narrow {
		return next
	}
	high := uint32(c.value >> 32)
	next = a.branch(unix.BPF_JEQ, high, next, no) // equal so far: the lower half decides
	if compare != unix.BPF_JEQ {
		next = a.branch(unix.BPF_JGT, high, yes, next)
	}
	return a.load(at+4, a.and(uint32(c.mask>>32), next))
}
