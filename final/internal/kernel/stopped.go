//go:build linux

package kernel

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// withStopped starts this program once more, stopped before its first instruction, for something to be looked at,
// and ends it. name is its argv[0].
func withStopped(name string, attributes syscall.SysProcAttr, look func(pid int) error) error {
	attributes.Ptrace, attributes.Pdeathsig = true, syscall.SIGKILL
	return OnThread(func() error { // to ptrace, the tracer is a thread
		pid, err := syscall.ForkExec("/proc/self/exe", []string{name}, &syscall.ProcAttr{Sys: &attributes})
		if err != nil {
			return err
		}
		defer func() {
			_ = unix.Kill(pid, unix.SIGKILL) // our unreaped child: the id is its own
			_, _ = unix.Wait4(pid, nil, unix.WALL, nil)
		}()
		return look(pid)
	})
}
