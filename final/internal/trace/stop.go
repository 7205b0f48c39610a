//go:build linux

package trace

import (
	"bytes"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// syscallInfo is struct ptrace_syscall_info, since Linux 5.3: the same on every architecture, where the
// registers are not.
type syscallInfo struct {
	op      uint8
	_       [3]uint8
	arch    uint32    // AUDIT_ARCH_*
	pointer [2]uint64 // of instructions, of the stack
	value   int64     // on entry the call's number, on exit its result
	args    [6]uint64 // on entry; on exit the first byte says whether the result is an error
}

// systemCall notes a thread's way into the kernel, or out of it.
func (p *ptracer) systemCall(tid int) {
	info, err := syscallOf(tid)
	if err != nil {
		return // killed
	}
	t := p.thread(tid)
	switch info.op {
	case unix.PTRACE_SYSCALL_INFO_ENTRY:
		p.enter(tid, t, &info)
	case unix.PTRACE_SYSCALL_INFO_EXIT:
		if t.inside { // else we came when it was half-way
			t.inside = false
			t.event.Result, t.event.Duration = info.value, time.Since(t.event.Time)
			t.event.Endless = p.isClosing() && restarts[t.event.Errno()] != "" // it was us who interrupted it
			p.tell(t)
		}
	}
}

func (p *ptracer) enter(tid int, t *tracee, info *syscallInfo) {
	call := Call{info.arch, uint32(info.value)}
	if !p.o.Filter.wants(call) {
		return
	}
	t.inside = true
	t.event = Event{Time: time.Now(), Pid: t.pid, Tid: tid, In: t.in, Call: call, Args: info.args}
	if p.o.Event == nil {
		if call.endless() {
			p.unfinished(t)
		}
		return
	}
	for i, l := range looks(call.Name()) {
		t.event.Texts[i] = l.read(tid, info.args)
	}
	if call.endless() {
		p.unfinished(t)
	}
}

// endless tells of calls that never come back.
func (c Call) endless() bool {
	switch c.Audit {
	case native.audit:
		return c.Number == unix.SYS_EXIT || c.Number == unix.SYS_EXIT_GROUP
	case compat.audit:
		name := c.Name()
		return name == "exit" || name == "exit_group"
	}
	return false
}

// unfinished tells of a call that will not be seen to come back.
func (p *ptracer) unfinished(t *tracee) {
	if t != nil && t.inside {
		t.inside, t.event.Endless = false, true
		p.tell(t)
	}
}

// tell counts an event and passes it on.
func (p *ptracer) tell(t *tracee) {
	if !p.begun {
		return
	}
	e := &t.event
	p.mutex.Lock()
	if t.count == nil || t.count.Call != e.Call { // a loop makes the same call again
		if t.count = p.tally[e.Call]; t.count == nil {
			t.count = &Count{Call: e.Call}
			p.tally[e.Call] = t.count
		}
	}
	if e.Endless {
		t.count.Calls++
		t.count.Endless++
	} else {
		t.count.add(e.Result, e.Duration)
	}
	p.mutex.Unlock()
	if p.o.Event != nil && (!p.o.Errors || e.Errno() != 0) {
		p.o.Event(*e)
	}
}

// How much of what an argument points to is looked at, in bytes. Both engines have the same.
const (
	pathRoom    = 256
	writtenRoom = 32
	socketRoom  = 112
)

// read fetches what an argument of a thread points to.
func (l look) read(tid int, args [6]uint64) Text {
	t := Text{Arg: l.arg}
	if args[l.arg] == 0 {
		return t
	}
	switch l.form {
	case written, socket:
		length, room := args[l.arg+1], uint64(writtenRoom)
		if l.form == socket {
			room = socketRoom
		}
		t.Bytes, t.Cut = peek(tid, args[l.arg], int(min(length, room))), length > room
	default:
		b := peek(tid, args[l.arg], pathRoom)
		end := bytes.IndexByte(b, 0)
		if t.Cut = end < 0 && len(b) == pathRoom; t.Cut {
			end = pathRoom - 1 // as the kernel's programs have it: the last byte is for the 0
		}
		if end >= 0 {
			t.Bytes = b[:end:end]
		}
	}
	return t
}

// peek reads the memory of another process, as far as it is there (process_vm_readv(2)): a page is read, or is not.
func peek(tid int, address uint64, length int) []byte {
	buffer := make([]byte, length)
	if length == 0 {
		return buffer
	}
	page := uint64(unix.Getpagesize())
	first := min(uint64(length), page-address%page)
	remote := []unix.RemoteIovec{{Base: uintptr(address), Len: int(first)}}
	if rest := length - int(first); rest > 0 {
		remote = append(remote, unix.RemoteIovec{Base: uintptr(address + first), Len: rest})
	}
	local := []unix.Iovec{{Base: &buffer[0]}}
	local[0].SetLen(length)
	n, err := unix.ProcessVMReadv(tid, local, remote, 0)
	if err != nil || n <= 0 {
		return nil
	}
	return buffer[:n]
}

// syscallOf asks where a thread has stopped. It makes the call itself: a pointer that is a number already is not corrected
// when Go moves the stack, which it may do at any call of a function.
func syscallOf(tid int) (info syscallInfo, err error) {
	_, _, errno := unix.RawSyscall6(unix.SYS_PTRACE, unix.PTRACE_GET_SYSCALL_INFO, uintptr(tid),
		unsafe.Sizeof(info), uintptr(unsafe.Pointer(&info)), 0, 0)
	if errno != 0 {
		return info, errno
	}
	return info, nil
}

// ptrace does not tell Go's scheduler: no request waits for anything, and there are two for each stop.
func ptrace(request, tid int, data uintptr) error {
	_, _, errno := unix.RawSyscall6(unix.SYS_PTRACE, uintptr(request), uintptr(tid), 0, data, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}
