//go:build linux

package kernel

import (
	"fmt"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// NoFile is the limit of open descriptors that this program was started with. Go raises it (package os) and
// gives programs that it starts the old one; but this very program, started again, raises it again. So it is
// asked of a child that stops before its first instruction, and is ended there.
var NoFile = sync.OnceValues(func() (limit unix.Rlimit, err error) {
	err = withStopped("limits", syscall.SysProcAttr{}, func(pid int) error {
		return unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &limit)
	})
	if err != nil {
		return limit, fmt.Errorf("prlimit RLIMIT_NOFILE: %w", err)
	}
	return limit, nil
})
