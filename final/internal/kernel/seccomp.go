//go:build linux

package kernel

import (
	"errors"
	"sync"

	"golang.org/x/sys/unix"
)

// SeccompFlags returns the flags that the kernel takes with a filter (SECCOMP_FILTER_FLAG_*). Each is tried
// with no filter: a kernel that knows the flag looks for the filter, at address 0, and says EFAULT.
var SeccompFlags = sync.OnceValue(func() (known uint) {
	for _, try := range []struct{ flag, with uint }{
		{unix.SECCOMP_FILTER_FLAG_TSYNC, 0},
		{unix.SECCOMP_FILTER_FLAG_LOG, 0},
		{unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW, 0},
		{unix.SECCOMP_FILTER_FLAG_NEW_LISTENER, 0},
		{unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, unix.SECCOMP_FILTER_FLAG_NEW_LISTENER},
	} {
		_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, uintptr(try.flag|try.with), 0)
		if errors.Is(errno, unix.EFAULT) {
			known |= try.flag
		}
	}
	return known
})
