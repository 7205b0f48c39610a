//go:build linux

package trace

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/kernel"
)

// ptracer stops every thread of the container at every system call, twice: on its way into the kernel and on
// its way out (ptrace(2)). It sees all, and everything waits for it; that is the price.
//
// The kernel takes ptrace calls from the one thread that seized, so all of this runs on one thread. It waits for
// stops, and cannot wait for anything else: who wants something of it rings a bell (bell.go).
//
// If this program is killed, the kernel lets all tracees go on. (PTRACE_O_EXITKILL would kill them.)
type ptracer struct {
	target  Target
	o       Options
	ours    bool // the first process is our child: its end is told to the tracer alone
	threads map[int]*tracee
	begun   bool // calls count: always, or after the first execve

	ended chan struct{} // the first process has
	gone  chan struct{} // the thread that traces has

	mutex   sync.Mutex // of what others read or write:
	bell    *bell
	closing bool
	tally   map[Call]*Count
	exit    *unix.WaitStatus // of the first process, if it was our child
	err     error
}

// A tracee is a thread of the container.
type tracee struct {
	pid, in int   // its process, in our numbers; its own number in the container's
	inside  bool  // a call
	event   Event // the call
	held    bool  // its first stop came before its parent's
	known   bool  // its parent's came
	count   *Count
}

const seizeOptions = unix.PTRACE_O_TRACEFORK | unix.PTRACE_O_TRACEVFORK | unix.PTRACE_O_TRACECLONE |
	unix.PTRACE_O_TRACEEXEC | unix.PTRACE_O_TRACESYSGOOD

func startPtrace(t Target, o Options) (engine, error) {
	p := &ptracer{
		target: t, o: o, ours: parentOf(t.Pid) == os.Getpid(), begun: !o.AfterExec,
		threads: map[int]*tracee{}, tally: map[Call]*Count{},
		ended: make(chan struct{}), gone: make(chan struct{}),
	}
	begun := make(chan error)
	go func() {
		// See above. It is never unlocked: the thread ends with the trace, and so does what it still traces.
		runtime.LockOSThread()
		defer close(p.gone)
		err := p.begin()
		begun <- err
		if err == nil {
			p.follow()
		}
	}()
	if err := <-begun; err != nil {
		<-p.gone
		return nil, err
	}
	if t.Pids != nil {
		go p.lookForOthers()
	}
	return p, nil
}

func (p *ptracer) begin() (err error) {
	if p.bell, err = newBell(); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			p.bell.ring()
			_, _ = unix.Wait4(p.bell.pid, nil, unix.WALL, nil)
		}
	}()
	if err := p.seizeAll(); err != nil {
		return err
	}
	if len(p.threads) == 0 {
		return fmt.Errorf("process %d: %w", p.target.Pid, unix.ESRCH)
	}
	return nil
}

// seizeAll attaches to every thread of the container, until a look finds no new one: those that are not seized
// yet make others meanwhile.
func (p *ptracer) seizeAll() error {
	for fresh := true; fresh; {
		fresh = false
		pids, err := p.target.processes()
		if err != nil {
			return err
		}
		for _, pid := range pids {
			for _, tid := range threads(pid) {
				if p.threads[tid] != nil {
					continue
				}
				seized, err := p.seize(pid, tid)
				if err != nil {
					return err
				}
				fresh = fresh || seized
			}
		}
	}
	return nil
}

// seize attaches to a thread and has it stop when it can, so that it can be told to stop at its calls.
func (p *ptracer) seize(pid, tid int) (bool, error) {
	call := kernel.Call{
		Op: "ptrace", Object: strconv.Itoa(tid), Value: "PTRACE_SEIZE",
		Shell: fmt.Sprintf("strace -f -p %d", tid),
	}
	err := p.o.Door.Do(call, func() error { return ptrace(unix.PTRACE_SEIZE, tid, seizeOptions) })
	switch {
	case errors.Is(err, unix.ESRCH), errors.Is(err, unix.EPERM) && !alive(pid, tid):
		return false, nil
	case errors.Is(err, unix.EPERM) && tracerOf(tid) != 0:
		if tracerOf(tid) == unix.Gettid() {
			return false, nil // born of one that is seized already
		}
		return false, fmt.Errorf("thread %d: thread %d traces it already, and there can be one only", tid, tracerOf(tid))
	case err != nil:
		return false, err
	}
	p.thread(tid).known = true
	return true, ptrace(unix.PTRACE_INTERRUPT, tid, 0)
}

// thread returns what is known of a thread.
func (p *ptracer) thread(tid int) *tracee {
	t := p.threads[tid]
	if t == nil {
		t = &tracee{pid: statusNumber(tid, "Tgid"), in: inContainer(tid, tid)}
		p.threads[tid] = t
	}
	return t
}

// follow takes every stop as it comes and lets the thread go on, until all have ended or been let go.
func (p *ptracer) follow() {
	for len(p.threads) > 0 {
		var status unix.WaitStatus
		tid, err := await(&status)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			p.fail(fmt.Errorf("wait4: %w", err))
			return
		case tid == p.bell.pid && !status.Stopped():
			p.rung()
		case status.Stopped():
			p.stopped(tid, status)
		default:
			p.died(tid, status)
		}
	}
	p.end(nil)
	p.bell.ring()
	_, _ = unix.Wait4(p.bell.pid, nil, unix.WALL, nil)
}

// await waits for the next stop. It looks a few times first, and lets others run in between, such as the thread that
// it has just let go: mostly that is at its next stop by then, and the way to sleep and back is saved.
func await(status *unix.WaitStatus) (tid int, err error) {
	const glances = 3
	const flags = unix.WALL | unix.WNOTHREAD // only those this thread traces, not what another has started
	for range glances {
		tid, _, errno := unix.RawSyscall6(unix.SYS_WAIT4, ^uintptr(0), uintptr(unsafe.Pointer(status)),
			flags|unix.WNOHANG, 0, 0, 0)
		switch {
		case errno != 0:
			return -1, errno
		case tid != 0:
			return int(tid), nil
		}
		_, _, _ = unix.RawSyscall(unix.SYS_SCHED_YIELD, 0, 0, 0) // it cannot fail
	}
	return unix.Wait4(-1, status, flags, nil)
}

// rung does what the bell was rung for: lets all go, or looks who is new.
func (p *ptracer) rung() {
	b, err := newBell()
	if err != nil {
		p.fail(err)
		b = &bell{}
	}
	p.mutex.Lock()
	p.bell = b
	closing := p.closing
	p.mutex.Unlock()
	if closing {
		p.interruptAll()
		return
	}
	if err := p.seizeAll(); err != nil {
		p.fail(err)
	}
}

// interruptAll has every thread stop, to be let go.
func (p *ptracer) interruptAll() {
	for tid, t := range p.threads {
		err := ptrace(unix.PTRACE_INTERRUPT, tid, 0)
		switch {
		case t.held:
			p.release(tid)
		case errors.Is(err, unix.ESRCH) && errors.Is(unix.Kill(tid, 0), unix.ESRCH):
			// Nobody will tell of its end: another thread of ours, whose child it was, has waited for it.
			p.unfinished(t)
			delete(p.threads, tid)
		}
	}
}

// stopped looks at why a thread has stopped.
func (p *ptracer) stopped(tid int, status unix.WaitStatus) {
	signal := status.StopSignal()
	switch event := int(status) >> 16; {
	case signal == unix.SIGTRAP|0x80:
		p.systemCall(tid)
		p.resume(tid, 0)
	case event == unix.PTRACE_EVENT_FORK || event == unix.PTRACE_EVENT_VFORK || event == unix.PTRACE_EVENT_CLONE:
		if child, err := unix.PtraceGetEventMsg(tid); err == nil {
			p.adopt(int(child))
		}
		p.resume(tid, 0)
	case event == unix.PTRACE_EVENT_EXEC:
		p.executed(tid)
		p.resume(tid, 0)
	case event == unix.PTRACE_EVENT_STOP && signal == unix.SIGTRAP:
		// A new thread's first stop, or one that we asked for. The first may come before its parent's stop tells
		// that there is a child; it waits, so that all is told in order.
		switch t := p.thread(tid); {
		case p.isClosing():
			p.release(tid)
		case !t.known:
			t.held = true
		default:
			p.resume(tid, 0)
		}
	case event == unix.PTRACE_EVENT_STOP:
		p.halted(tid)
	default:
		p.resume(tid, int(signal)) // a signal on its way to it: pass it on
	}
}

// halted leaves a thread stopped that was stopped by SIGSTOP or the like. It wakes up for SIGCONT.
func (p *ptracer) halted(tid int) {
	if p.isClosing() {
		p.release(tid) // and it stays stopped
		return
	}
	_ = ptrace(unix.PTRACE_LISTEN, tid, 0) // ESRCH: it was killed
}

// adopt begins with a new thread, and lets it run if it was waiting for that.
func (p *ptracer) adopt(tid int) {
	t := p.thread(tid)
	t.known = true
	if t.held {
		t.held = false
		p.resume(tid, 0)
	}
}

// executed is for execve. In a program of several threads the one that calls it goes on under the first one's
// number, and what the first one was doing has no end.
func (p *ptracer) executed(tid int) {
	former, err := unix.PtraceGetEventMsg(tid)
	if caller := p.threads[int(former)]; err == nil && int(former) != tid && caller != nil {
		p.unfinished(p.threads[tid])
		delete(p.threads, int(former))
		p.threads[tid] = caller
		caller.in = inContainer(tid, tid)
	}
	if p.thread(tid).pid == p.target.Pid {
		p.begun = true
	}
}

// died is the end of a thread.
func (p *ptracer) died(tid int, status unix.WaitStatus) {
	p.unfinished(p.threads[tid])
	delete(p.threads, tid)
	for other, t := range p.threads { // its children, if it died before it could tell
		if t.held {
			p.adopt(other)
		}
	}
	if tid == p.target.Pid {
		p.end(&status)
	}
}

// end tells that the first process has ended.
func (p *ptracer) end(status *unix.WaitStatus) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if p.ours && status != nil {
		p.exit = status
	}
	select {
	case <-p.ended:
	default:
		close(p.ended)
	}
}

// resume lets a thread run up to its next stop. At the end of the trace that is the one that it was asked for; it is
// asked again, since any other stop makes the kernel forget.
func (p *ptracer) resume(tid, signal int) {
	request := unix.PTRACE_SYSCALL
	if p.isClosing() {
		_ = ptrace(unix.PTRACE_INTERRUPT, tid, 0)
		request = unix.PTRACE_CONT
	}
	_ = ptrace(request, tid, uintptr(signal)) // ESRCH: it was killed while it was stopped
}

// release lets a thread go. It must be in the stop that it was asked for: in the one at the end of a call that the
// stop has interrupted, the kernel has not yet seen to it that the call is made again.
func (p *ptracer) release(tid int) {
	p.unfinished(p.threads[tid])
	if ptrace(unix.PTRACE_DETACH, tid, 0) == nil {
		delete(p.threads, tid) // else it was killed, and its end will be told
	}
}

func (p *ptracer) isClosing() bool {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return p.closing
}

func (p *ptracer) fail(err error) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.err = errors.Join(p.err, err)
}

// interval is between two looks for processes that others have put into the container, as exec does.
const interval = 200 * time.Millisecond

// lookForOthers rings whenever there is a process that was not there before.
func (p *ptracer) lookForOthers() {
	seen := map[int]bool{}
	for {
		select {
		case <-p.gone:
			return
		case <-time.After(interval):
		}
		pids, err := p.target.Pids()
		if err != nil {
			continue // the container ends, or the next look will do
		}
		fresh, now := false, map[int]bool{}
		for _, pid := range pids {
			fresh = fresh || !seen[pid]
			now[pid] = true
		}
		if seen = now; fresh {
			p.ring()
		}
	}
}

func (p *ptracer) ring() {
	p.mutex.Lock()
	b := p.bell
	p.mutex.Unlock()
	b.ring()
}

func (p *ptracer) counts() (counts []Count, err error) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	for _, c := range p.tally {
		counts = append(counts, *c)
	}
	return counts, nil
}

// missed is nothing: every call waits for us.
func (p *ptracer) missed() (dropped, lost uint64, err error) { return 0, 0, nil }

func (p *ptracer) done() <-chan struct{} { return p.ended }

func (p *ptracer) status() (unix.WaitStatus, bool) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if p.exit == nil {
		return 0, false
	}
	return *p.exit, true
}

// close has each thread stop once more and lets it go.
func (p *ptracer) close() error {
	p.mutex.Lock()
	p.closing = true
	p.mutex.Unlock()
	p.ring()
	<-p.gone
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return p.err
}

// alive tells whether a thread has not ended yet.
func alive(pid, tid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/stat", pid, tid))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(text[strings.LastIndexByte(string(text), ')'):]), " ")
	return rest != "" && rest[0] != 'Z' && rest[0] != 'X'
}

func tracerOf(tid int) int { return statusNumber(tid, "TracerPid") }
func parentOf(pid int) int { return statusNumber(pid, "PPid") }

// statusNumber is a line of /proc/TID/status; 0 if there is none.
func statusNumber(tid int, name string) (n int) {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", tid))
	_, rest, _ := strings.Cut(string(text), "\n"+name+":")
	_, _ = fmt.Sscan(rest, &n)
	return n
}
