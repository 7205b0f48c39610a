#include "textflag.h"

// The stub: it walks an encoded list (package op, list.go, has the layout) and makes its system calls.
// There is nothing else in the process, no stack is used, no register has to be kept for anybody.
//
//	R19  the header
//	R20  the op
//	R21  the op's flags: which arguments are addresses of values, then the errors it accepts
//
// A system call destroys nothing but R0, its result (syscall(2)).

TEXT ·stub(SB), NOSPLIT|NOFRAME, $0
	MOVD $0x2010000000, R19 // op.Base
	MOVD (R19), R20         // the first op

call:
	MOVD 56(R20), R21 // the arguments: a value, or with its bit set, the address of one

	MOVD 8(R20), R0
	TBZ  $0, R21, second
	MOVD (R0), R0

second:
	MOVD 16(R20), R1
	TBZ  $1, R21, third
	MOVD (R1), R1

third:
	MOVD 24(R20), R2
	TBZ  $2, R21, fourth
	MOVD (R2), R2

fourth:
	MOVD 32(R20), R3
	TBZ  $3, R21, fifth
	MOVD (R3), R3

fifth:
	MOVD 40(R20), R4
	TBZ  $4, R21, sixth
	MOVD (R4), R4

sixth:
	MOVD 48(R20), R5
	TBZ  $5, R21, number
	MOVD (R5), R5

number:
	MOVD (R20), R8
	CMN  $1, R8 // op.Let, -1: no call, the result is the first argument
	BEQ  done
	SVC  $0
	CMN  $4095, R0 // results from -4095 to -1 are errors (intro(2))
	BHS  failed    // unsigned at or above

done:
	MOVD 64(R20), R22 // where the result goes
	CBZ  R22, next
	MOVD R0, (R22)

next:
	CBZ  R0, zero
	MOVD 80(R20), R20 // the op after a result that is not zero
	B    call

zero:
	MOVD 72(R20), R20 // the op after zero
	B    call

failed:
	NEG R0, R0 // the error

expected:
	LSR  $8, R21, R21 // the next error that is accepted, 0 behind the last
	AND  $255, R21, R22
	CBZ  R22, unexpected
	CMP  R22, R0
	BNE  expected
	CMP  $11, R0 // EAGAIN that is accepted: the same op again
	BEQ  call
	MOVD 88(R20), R20 // the op after an accepted error
	B    call

unexpected:
	MOVD 96(R20), R22
	MOVD R22, 24(R19) // report the index of the op
	MOVD R0, 32(R19)  // and the error
	MOVD 8(R19), R20  // go on with the ops for a failure
	MOVD 16(R19), R22
	MOVD R22, 8(R19)  // should one of those fail, then with the last of them
	B    call

TEXT ·stubEnd(SB), NOSPLIT|NOFRAME, $0
	RET

// The addresses of the two, for Go to read: a func value would be the address of a wrapper.
DATA ·stubStart(SB)/8, $·stub(SB)
GLOBL ·stubStart(SB), RODATA, $8
DATA ·stubStop(SB)/8, $·stubEnd(SB)
GLOBL ·stubStop(SB), RODATA, $8
