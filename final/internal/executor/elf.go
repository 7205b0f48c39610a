//go:build linux && (amd64 || arm64)

package executor

import (
	"encoding/binary"
	"os"
	"unsafe"

	"github.com/simple-container/simple-container/final/internal/op"
)

// The stub's beginning and end, from the assembler.
var stubStart, stubStop uintptr

// code returns the instructions of the stub.
func code() []byte {
	return unsafe.Slice((*byte)(*(*unsafe.Pointer)(unsafe.Pointer(&stubStart))), stubStop-stubStart)
}

// codeAddress is where the stub runs; its code does not depend on it.
const codeAddress = 0x20_0000_0000

const hasStub = true

// program lays out a static program (elf(5)), up to where the plan begins, of which it gets the size: the stub can be
// read and executed, the plan read and written, at the address that was fixed when it was encoded.
//
//	0         ELF header
//	64        two program headers
//	176       the stub
//	a page    the plan
func program(plan int) []byte {
	const headers = 64 + 2*56
	stub, alignment := code(), os.Getpagesize() // 4 KiB, or up to 64 on some arm64 kernels
	file := make([]byte, alignment)
	le := binary.LittleEndian

	copy(file, "\x7fELF\x02\x01\x01")   // 64 bits, little-endian, version 1
	le.PutUint16(file[16:], 2)          // ET_EXEC
	le.PutUint16(file[18:], elfMachine) // the processor
	le.PutUint32(file[20:], 1)          // version
	le.PutUint64(file[24:], codeAddress+headers)
	le.PutUint64(file[32:], 64) // where the program headers are
	le.PutUint16(file[52:], 64) // the size of this header
	le.PutUint16(file[54:], 56) // and of a program header
	le.PutUint16(file[56:], 2)  // and how many there are

	segment := func(header []byte, flags uint32, offset, address, size uint64) {
		le.PutUint32(header, 1) // PT_LOAD
		le.PutUint32(header[4:], flags)
		le.PutUint64(header[8:], offset)
		le.PutUint64(header[16:], address)
		le.PutUint64(header[32:], size) // in the file
		le.PutUint64(header[40:], size) // in memory
		le.PutUint64(header[48:], uint64(alignment))
	}
	const execute, write, read = 1, 2, 4
	segment(file[64:], read|execute, 0, codeAddress, headers+uint64(len(stub)))
	segment(file[120:], read|write, uint64(alignment), op.Base, uint64(plan))

	copy(file[headers:], stub)
	return file
}
