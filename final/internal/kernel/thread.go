//go:build linux

package kernel

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// OnThread runs f on a thread of its own that ends with it. What f unshares, mounts or changes of itself
// ends there too: namespaces belong to threads, and a goroutine that returns while locked takes its thread
// along (runtime.LockOSThread). So the thread is locked and never unlocked.
//
// The main thread is the exception, it cannot end, and /proc/self shows its namespaces. If the goroutine
// finds itself there it stays, which keeps the place taken, until another one has done the work.
func OnThread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() != unix.Getpid() {
			done <- f()
			return
		}
		done <- OnThread(f)
		runtime.UnlockOSThread()
	}()
	return <-done
}
