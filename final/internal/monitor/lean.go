//go:build linux

package monitor

import (
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// shrink gives back the memory that was needed for the beginning only.
func shrink() {
	freeHeap()
	freeProgram()
}

// freeHeap gives back what the heap does not use. With transparent huge pages the kernel backs two megabytes where one
// page was touched first, and Go, which takes those that it has not touched for not there yet, has nothing to give
// back. When they have been allocated, it has. The blocks are small, so that they find the gaps.
func freeHeap() {
	const block, all = 64 << 10, 4 << 20 // the heap grows by so much at a time
	var blocks [all / block][]byte
	for i := range blocks {
		blocks[i] = make([]byte, block)
	}
	runtime.KeepAlive(&blocks)
	debug.FreeOSMemory()
}

// freeProgram gives back what this process has of the program's file in memory. It is a large program, of which a monitor
// needs little, and the kernel maps sixteen pages where one was asked for. What is needed again comes back from the
// page cache: these are mappings that nobody has written to.
//
//	00400000-00c2f000 r-xp 00000000 08:01 1234567    /usr/local/bin/final
func freeProgram() {
	self, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return // it stays large
	}
	text, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) < 6 || fields[1][1] == 'w' || !strings.HasSuffix(strings.TrimSpace(line), self) {
			continue
		}
		from, to, _ := strings.Cut(fields[0], "-")
		start, err1 := strconv.ParseUint(from, 16, 64)
		end, err2 := strconv.ParseUint(to, 16, 64)
		if err1 == nil && err2 == nil {
			_, _, _ = unix.Syscall(unix.SYS_MADVISE, uintptr(start), uintptr(end-start), unix.MADV_DONTNEED)
		}
	}
}
