//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// tracer stops every process of the container at every system call, twice: on its way into the kernel and
// on its way out (ptrace(2)). It sees all, and everything waits for it; that is the price.
type tracer struct {
	init    int // process 1 of the container, as the host numbers it
	threads map[int]*thread
	held    map[int]bool // new threads whose origin is not known yet
	calls   histogram
	ended   chan syscall.WaitStatus
	err     error // why it ended before the container
}

// thread is a thread of the container. It is counted from its program's start on; what process 1 does to
// start one, and does for itself, is not the container's doing.
type thread struct {
	counted bool
	call    int // the system call it is in, or none
	entered time.Time
}

const none = -1

// trace follows process 1 of the container and all that come from it.
func trace(init int) (*tracer, error) {
	t := &tracer{
		init:    init,
		threads: map[int]*thread{},
		held:    map[int]bool{},
		calls:   histogram{},
		ended:   make(chan syscall.WaitStatus, 1),
	}
	seized := make(chan error)
	go func() {
		runtime.LockOSThread() // the kernel takes ptrace calls from the thread that seized, and no other
		say(fmt.Sprintf("ptrace(PTRACE_SEIZE, %d)", init), fmt.Sprintf("strace --summary-only --follow-forks --attach %d", init))
		err := t.seize()
		seized <- err
		if err == nil {
			t.ended <- t.follow()
		}
	}()
	return t, <-seized
}

// seize attaches without stopping. TRACE... make us the tracer of what it starts too, and tell us when;
// TRACESYSGOOD marks the stops at system calls; with EXITKILL nothing stays stopped if we die.
func (t *tracer) seize() error {
	const options = unix.PTRACE_O_TRACEFORK | unix.PTRACE_O_TRACEVFORK | unix.PTRACE_O_TRACECLONE |
		unix.PTRACE_O_TRACEEXEC | unix.PTRACE_O_TRACESYSGOOD | unix.PTRACE_O_EXITKILL
	if err := ptrace(unix.PTRACE_SEIZE, t.init, options); err != nil {
		return fmt.Errorf("ptrace PTRACE_SEIZE %d: %w", t.init, err)
	}
	t.threads[t.init] = &thread{call: none}
	return nil
}

// wait waits for the container's end, tells what was counted, and returns the exit code.
func (t *tracer) wait() (code int, err error) {
	status := <-t.ended
	return exitCode(status), errors.Join(t.err, t.calls.write(os.Stderr))
}

// follow takes every stop as it comes and lets the thread go on, until process 1 has ended.
func (t *tracer) follow() syscall.WaitStatus {
	for {
		var status syscall.WaitStatus
		// WNOTHREAD: only those this thread traces, not iptables or whatever another has started.
		tid, err := syscall.Wait4(-1, &status, unix.WALL|unix.WNOTHREAD, nil)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			t.err = fmt.Errorf("wait4: %w", err) // ECHILD: the container was abandoned
			return syscall.WaitStatus(exitFailure << 8)
		case !status.Stopped():
			delete(t.threads, tid)
			t.releaseHeld()
			if tid == t.init {
				return status
			}
		default:
			t.stopped(tid, status)
		}
	}
}

// stopped looks at why a thread has stopped.
func (t *tracer) stopped(tid int, status syscall.WaitStatus) {
	signal := status.StopSignal()
	switch event := int(status) >> 16; {
	case signal == unix.SIGTRAP|0x80:
		t.systemCall(tid)
		t.resume(tid, 0)
	case event == unix.PTRACE_EVENT_FORK || event == unix.PTRACE_EVENT_VFORK || event == unix.PTRACE_EVENT_CLONE:
		if child, err := unix.PtraceGetEventMsg(tid); err == nil {
			t.adopt(int(child), t.thread(tid).counted)
		}
		t.resume(tid, 0)
	case event == unix.PTRACE_EVENT_EXEC:
		// A program of several threads that calls execve goes on as one, under the first one's number.
		if former, err := unix.PtraceGetEventMsg(tid); err == nil && int(former) != tid {
			delete(t.threads, int(former))
		}
		t.thread(tid).counted = true
		t.resume(tid, 0)
	case event == unix.PTRACE_EVENT_STOP && signal == unix.SIGTRAP:
		// A new thread's first stop. It may come before its parent's stop tells whose it is.
		if t.threads[tid] == nil {
			t.held[tid] = true
			return
		}
		t.resume(tid, 0)
	case event == unix.PTRACE_EVENT_STOP:
		_ = ptrace(unix.PTRACE_LISTEN, tid, 0) // stopped by Ctrl-Z or the like: let it be so
	default:
		t.resume(tid, int(signal)) // a signal on its way to it: pass it on
	}
}

// thread returns what is known of a thread.
func (t *tracer) thread(tid int) *thread {
	if t.threads[tid] == nil {
		t.threads[tid] = &thread{call: none}
	}
	return t.threads[tid]
}

// adopt begins with a new thread, and lets it run if it was waiting for that.
func (t *tracer) adopt(tid int, counted bool) {
	t.thread(tid).counted = counted
	if t.held[tid] {
		delete(t.held, tid)
		t.resume(tid, 0)
	}
}

// releaseHeld adopts those whose parent died before it could tell.
func (t *tracer) releaseHeld() {
	for tid := range t.held {
		t.adopt(tid, true)
	}
}

// resume lets a thread run up to its next system call, or, if it is not counted, up to its next event.
func (t *tracer) resume(tid, signal int) {
	request := unix.PTRACE_CONT
	if t.thread(tid).counted {
		request = unix.PTRACE_SYSCALL
	}
	_ = ptrace(request, tid, uintptr(signal)) // ESRCH: it was killed while it was stopped
}

// systemCall notes a thread's way into the kernel, or out of it.
func (t *tracer) systemCall(tid int) {
	var info syscallInfo
	// Not by ptrace below: Go may move the stack at the call of a function, and a pointer that is a number stays behind.
	_, _, errno := unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_GET_SYSCALL_INFO, uintptr(tid),
		unsafe.Sizeof(info), uintptr(unsafe.Pointer(&info)), 0, 0)
	if errno != 0 {
		return // killed
	}
	thread := t.thread(tid)
	switch info.op {
	case unix.PTRACE_SYSCALL_INFO_ENTRY:
		thread.call, thread.entered = int(info.value), time.Now()
		t.calls.enter(thread.call)
	case unix.PTRACE_SYSCALL_INFO_EXIT:
		if thread.call != none { // else we came when it was half-way
			failure := unix.Errno(0)
			if info.isError != 0 {
				failure = unix.Errno(-info.value)
			}
			t.calls.leave(thread.call, failure, time.Since(thread.entered))
			thread.call = none
		}
	}
}

// syscallInfo is struct ptrace_syscall_info, since Linux 5.3: the same on every architecture, where the
// registers are not.
type syscallInfo struct {
	op      uint8
	_       [3]uint8
	arch    uint32
	pointer [2]uint64 // of instructions, of the stack
	value   int64     // on entry the call's number, on exit its result
	isError uint8     // on exit: the result is a negative errno
	_       [55]uint8
}

func ptrace(request, tid int, data uintptr) error {
	if _, _, errno := unix.Syscall6(unix.SYS_PTRACE, uintptr(request), uintptr(tid), 0, data, 0, 0); errno != 0 {
		return errno
	}
	return nil
}
