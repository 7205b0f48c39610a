//go:build linux

package runtime

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// keepInherited keeps the descriptors that we have inherited from the programs that we start: those of an
// engine, and those to be preserved for the command, which gets them by their numbers. Go's own files need no
// such care.
func keepInherited() {
	if unix.CloseRange(3, ^uint(0)>>32, unix.CLOSE_RANGE_CLOEXEC) == nil { // since Linux 5.11
		return
	}
	entries, _ := os.ReadDir("/proc/self/fd")
	for _, entry := range entries {
		if fd, err := strconv.Atoi(entry.Name()); err == nil && fd > 2 {
			unix.CloseOnExec(fd)
		}
	}
}
