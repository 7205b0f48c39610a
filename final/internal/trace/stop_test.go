//go:build linux

package trace

import (
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/kernel"
)

// What the kernel says of a stop arrives although the stack that it is for is moved, as it has to grow on the way to the
// call: so it is asked at many depths, each time of a new thread with a small one.
func TestSyscallInfoWhileTheStackGrows(t *testing.T) {
	for depth := range 200 {
		err := kernel.OnThread(func() error { // to ptrace, the tracer is a thread
			pid, err := syscall.ForkExec("/proc/self/exe", []string{"stopped"}, &syscall.ProcAttr{
				Sys: &syscall.SysProcAttr{Ptrace: true, Pdeathsig: syscall.SIGKILL},
			})
			if err != nil {
				return err
			}
			defer func() {
				_ = unix.Kill(pid, unix.SIGKILL)
				_, _ = unix.Wait4(pid, nil, unix.WALL, nil)
			}()
			if _, err := unix.Wait4(pid, nil, unix.WALL, nil); err != nil {
				return err
			}
			info, err := syscallBelow(depth, pid)
			if err == nil && info.arch != native.audit {
				t.Errorf("at depth %d: got architecture %#x, want %#x", depth, info.arch, native.audit)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// syscallBelow asks with so many frames above.
//
//go:noinline
func syscallBelow(depth, tid int) (syscallInfo, error) {
	if depth == 0 {
		return syscallOf(tid)
	}
	return syscallBelow(depth-1, tid)
}
