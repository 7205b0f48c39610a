#include "textflag.h"

// The stub: it walks an encoded list (package op, list.go, has the layout) and makes its system calls.
// There is nothing else in the process, no stack is used, no register has to be kept for anybody.
//
//	R12  the header
//	R13  the op
//	R14  the op's flags: which arguments are addresses of values, then the errors it accepts
//
// A system call destroys CX, R11 and, with its result, AX (syscall(2)).

TEXT ·stub(SB), NOSPLIT|NOFRAME, $0
	MOVQ $0x2010000000, R12 // op.Base
	MOVQ (R12), R13         // the first op

call:
	MOVQ 56(R13), R14 // the arguments: a value, or with its bit set, the address of one

	MOVQ 8(R13), DI
	BTQ  $0, R14
	JCC  second
	MOVQ (DI), DI

second:
	MOVQ 16(R13), SI
	BTQ  $1, R14
	JCC  third
	MOVQ (SI), SI

third:
	MOVQ 24(R13), DX
	BTQ  $2, R14
	JCC  fourth
	MOVQ (DX), DX

fourth:
	MOVQ 32(R13), R10
	BTQ  $3, R14
	JCC  fifth
	MOVQ (R10), R10

fifth:
	MOVQ 40(R13), R8
	BTQ  $4, R14
	JCC  sixth
	MOVQ (R8), R8

sixth:
	MOVQ 48(R13), R9
	BTQ  $5, R14
	JCC  number
	MOVQ (R9), R9

number:
	MOVQ (R13), AX
	CMPQ AX, $-1 // op.Let: no call, the result is the first argument
	JEQ  let
	SYSCALL
	CMPQ AX, $-4095 // results from here to -1 are errors (intro(2))
	JCC  failed     // unsigned at or above

done:
	MOVQ  64(R13), BX // where the result goes
	TESTQ BX, BX
	JEQ   next
	MOVQ  AX, (BX)

next:
	TESTQ AX, AX
	JEQ   zero
	MOVQ  80(R13), R13 // the op after a result that is not zero
	JMP   call

zero:
	MOVQ 72(R13), R13 // the op after zero
	JMP  call

let:
	MOVQ DI, AX
	JMP  done

failed:
	NEGQ AX // the error

expected:
	SHRQ  $8, R14 // the next error that is accepted, 0 behind the last
	MOVBQZX R14, BX
	TESTQ BX, BX
	JEQ   unexpected
	CMPQ  BX, AX
	JNE   expected
	CMPQ  AX, $11 // EAGAIN that is accepted: the same op again
	JEQ   call
	MOVQ  88(R13), R13 // the op after an accepted error
	JMP   call

unexpected:
	MOVQ 96(R13), BX
	MOVQ BX, 24(R12) // report the index of the op
	MOVQ AX, 32(R12) // and the error
	MOVQ 8(R12), R13 // go on with the ops for a failure
	MOVQ 16(R12), BX
	MOVQ BX, 8(R12)  // should one of those fail, then with the last of them
	JMP  call

TEXT ·stubEnd(SB), NOSPLIT|NOFRAME, $0
	RET

// The addresses of the two, for Go to read: a func value would be the address of a wrapper.
DATA ·stubStart(SB)/8, $·stub(SB)
GLOBL ·stubStart(SB), RODATA, $8
DATA ·stubStop(SB)/8, $·stubEnd(SB)
GLOBL ·stubStop(SB), RODATA, $8
