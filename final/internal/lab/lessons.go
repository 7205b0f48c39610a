//go:build linux

package lab

import (
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The commands of this file misbehave, so that what holds them can be seen. Each says what it does, ends by
// itself, and stops on SIGINT and SIGTERM.
var lessonCommands = []command{
	{"eat", "use memory, page by page: eat SIZE [--hold 10s]", runEat},
	{"burn", "use processors: burn [--threads N] [--for 5s]", runBurn},
	{"bomb", "fork until it fails: bomb [--max N] [--hold 0s]", runBomb},
	{"zombies", "make orphans that end at once, for process 1 to reap: zombies [N]", runZombies},
	{"stubborn", "ignore SIGTERM: stubborn [--for 60s]", runStubborn},
	{"exit", "end with this exit code: lab exit N", runExit},
	{"signal", "end by this signal: lab signal NAME", runSignal},
	{"escape", "try to get out of a chroot: escape [DIR]", runEscape},
	{"probe", "print namespaces, cgroup, capabilities and limits: probe [--json]", runProbe},
	{"syscalls", "make exactly N getppid calls: syscalls N [--missing M]", runSyscalls},
	{"connect", "open a TCP connection: connect HOST:PORT", runConnect},
}

func runEat(c *call) error {
	o, err := c.options("h:", "hold=h")
	if err != nil {
		return err
	}
	if len(o.rest) != 1 {
		return usagef("usage: eat SIZE [--hold 10s]")
	}
	size, err := parseSize(o.rest[0])
	if err != nil {
		return usagef("%v", err)
	}
	hold, err := o.duration('h', 0)
	if err != nil {
		return err
	}
	ctx, stop := interruptible()
	defer stop()
	c.say("eating %s of memory", humanSize(size))
	const bite = 10 << 20
	page := os.Getpagesize()
	for eaten := int64(0); eaten < size; {
		n := min(bite, size-eaten)
		// Straight from the kernel, not from Go's heap, and kept until the end.
		memory, err := unix.Mmap(-1, 0, int(n), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
		if err != nil {
			return fmt.Errorf("mmap %d bytes: %w", n, err)
		}
		for at := 0; at < len(memory); at += page {
			memory[at] = 1 // the page is charged when it is written to, not when it is mapped
		}
		eaten += n
		c.say("ate %s", humanSize(eaten))
		if ctx.Err() != nil {
			return exitCode(130)
		}
	}
	if hold > 0 {
		c.say("holding it for %v", hold)
		select {
		case <-ctx.Done():
		case <-time.After(hold):
		}
	}
	return nil
}

func runBurn(c *call) error {
	o, err := c.options("t:f:", "threads=t", "for=f")
	if err != nil {
		return err
	}
	threads, err := o.int('t', 1)
	if err != nil {
		return err
	}
	limit, err := o.duration('f', 5*time.Second)
	if err != nil {
		return err
	}
	if threads < 1 || threads > 1024 {
		return usagef("--threads %d: out of range", threads)
	}
	ctx, stop := interruptible()
	defer stop()
	runtime.GOMAXPROCS(threads + 1) // one more for the timer
	c.say("burning on %d threads for %v", threads, limit)
	began, before := time.Now(), cpuTime()
	var done atomic.Bool
	var wg sync.WaitGroup
	for range threads {
		wg.Go(func() {
			runtime.LockOSThread()
			for !done.Load() {
			}
		})
	}
	select {
	case <-ctx.Done():
	case <-time.After(limit):
	}
	done.Store(true)
	wg.Wait()
	took, used := time.Since(began), cpuTime()-before
	c.say("got %.2f seconds of cpu time in %.2f seconds: %.2f processors", used.Seconds(), took.Seconds(),
		used.Seconds()/took.Seconds())
	return nil
}

func cpuTime() time.Duration {
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// fork is a bare fork(2). The child has one thread and no Go runtime: it may make raw system calls and nothing
// else, in functions that do not grow the stack. What it buys: a child that counts as exactly one task and
// needs next to no memory.
//
//go:nosplit
//go:norace
func fork() (pid uintptr, errno syscall.Errno) {
	pid, _, errno = syscall.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	return pid, errno
}

// forkSleeper forks a child that sleeps for good.
//
//go:nosplit
//go:norace
func forkSleeper() (pid uintptr, errno syscall.Errno) {
	pid, errno = fork()
	if errno != 0 || pid != 0 {
		return pid, errno
	}
	syscall.RawSyscall6(unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0, 0)
	for {
		// pause(2), by the name that every architecture has.
		syscall.RawSyscall6(unix.SYS_PPOLL, 0, 0, 0, 0, 0, 0)
	}
}

// forkOrphan forks a child that forks a child and exits. The grandchild lives for a moment and exits as well:
// nobody but process 1, or a subreaper, can collect its exit code.
//
//go:nosplit
//go:norace
func forkOrphan(moment *unix.Timespec) (pid uintptr, errno syscall.Errno) {
	pid, errno = fork()
	if errno != 0 || pid != 0 {
		return pid, errno
	}
	if pid, errno = fork(); errno != 0 {
		syscall.RawSyscall(unix.SYS_EXIT_GROUP, 1, 0, 0)
	}
	if pid == 0 {
		syscall.RawSyscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(moment)), 0, 0)
	}
	for {
		syscall.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
	}
}

func runBomb(c *call) error {
	o, err := c.options("m:h:", "max=m", "hold=h")
	if err != nil {
		return err
	}
	limit, err := o.int('m', 10000)
	if err != nil {
		return err
	}
	hold, err := o.duration('h', 0)
	if err != nil {
		return err
	}
	ctx, stop := interruptible()
	defer stop()
	// At the limit the Go runtime cannot make a thread any more, and would die of it.
	spareThreads(4)
	runtime.LockOSThread() // PR_SET_PDEATHSIG watches the thread that forked
	defer runtime.UnlockOSThread()
	c.say("forking up to %d sleeping children", limit)
	var children []int
	defer func() { reapAll(children) }()
	var failure syscall.Errno
	for len(children) < limit && ctx.Err() == nil {
		pid, errno := forkSleeper()
		if errno != 0 {
			failure = errno
			break
		}
		children = append(children, int(pid))
	}
	if failure != 0 {
		c.say("fork failed after %d children: %v", len(children), failure)
	} else {
		c.say("forked %d children, and fork did not fail", len(children))
	}
	if hold > 0 {
		select {
		case <-ctx.Done():
		case <-time.After(hold):
		}
	}
	reapAll(children)
	c.say("killed and reaped %d children", len(children))
	children = nil
	return nil
}

func reapAll(children []int) {
	for _, pid := range children {
		_ = unix.Kill(pid, unix.SIGKILL)
	}
	for _, pid := range children {
		for {
			if _, err := unix.Wait4(pid, nil, 0, nil); err != unix.EINTR {
				break
			}
		}
	}
}

func runZombies(c *call) error {
	count := 3
	if len(c.args) > 0 {
		n, err := strconv.Atoi(c.args[0])
		if err != nil || n < 1 || n > 10000 {
			return usagef("usage: zombies [N]")
		}
		count = n
	}
	moment := unix.NsecToTimespec(int64(100 * time.Millisecond))
	made := 0
	var failure error
	for range count {
		pid, errno := forkOrphan(&moment)
		if errno != 0 {
			failure = fmt.Errorf("fork after %d: %w", made, errno)
			break
		}
		made++
		if _, err := unix.Wait4(int(pid), nil, 0, nil); err != nil && err != unix.EINTR {
			return fmt.Errorf("wait for %d: %w", pid, err)
		}
	}
	c.say("made %d orphans: their parents have exited, and they will in %v", made, time.Duration(moment.Nano()))
	time.Sleep(time.Duration(moment.Nano()) + 200*time.Millisecond)
	all, err := readProcesses()
	if err != nil {
		return err
	}
	left, parents := 0, []string{}
	for _, p := range all {
		if p.state == "Z" {
			left++
			parents = append(parents, strconv.Itoa(p.ppid))
		}
	}
	slices.Sort(parents)
	if left == 0 {
		c.say("no zombies are left: somebody reaps them")
	} else {
		c.say("%d zombies are left, children of %s", left, strings.Join(slices.Compact(parents), ", "))
	}
	return failure
}

func runStubborn(c *call) error {
	o, err := c.options("f:", "for=f")
	if err != nil {
		return err
	}
	limit, err := o.duration('f', time.Minute)
	if err != nil {
		return err
	}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, unix.SIGTERM, unix.SIGINT)
	c.say("process %d ignores SIGTERM for %v", os.Getpid(), limit)
	end := time.After(limit)
	for {
		select {
		case sig := <-signals:
			if sig == unix.SIGINT {
				return exitCode(130)
			}
			c.say("SIGTERM? no")
		case <-end:
			return nil
		}
	}
}

func runExit(c *call) error {
	if len(c.args) == 0 {
		return nil
	}
	n, err := strconv.Atoi(c.args[0])
	if err != nil || n < 0 || n > 255 {
		return usagef("%q is not an exit code", c.args[0])
	}
	return exitCode(n)
}

func runSignal(c *call) error {
	if len(c.args) != 1 {
		return usagef("usage: lab signal NAME")
	}
	sig, err := parseSignal(c.args[0])
	if err != nil {
		return err
	}
	_ = unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}) // no core file for a demonstration
	if err := standardAction(sig); err != nil {
		return err
	}
	if err := unix.Kill(os.Getpid(), sig); err != nil {
		return fmt.Errorf("kill %s: %w", signalName(sig), err)
	}
	time.Sleep(time.Second)
	return fmt.Errorf("%s did not end the process", signalName(sig))
}

// runEscape is the classic way out of a chroot: chroot(2) changes where "/" is and leaves the working directory
// alone. With the directory outside of the new root, ".." never meets the root and goes up to the real one.
func runEscape(c *call) error {
	dir := filepath.Join(os.TempDir(), "escape")
	if len(c.args) > 0 {
		dir = c.args[0]
	}
	before, err := directoryID("/")
	if err != nil {
		return err
	}
	c.say("/ is %s", before)
	if err := os.Mkdir(dir, 0o700); err != nil && !os.IsExist(err) {
		return err
	}
	defer os.Remove(dir) // from here if nothing worked; else the path has no meaning any more
	if err := os.Chdir("/"); err != nil {
		return err
	}
	c.say("chroot %s, with the working directory left outside of it", dir)
	if err := unix.Chroot(dir); err != nil {
		c.say("no escape: chroot %s: %v", dir, err)
		return exitCode(1)
	}
	c.say("chdir .. a thousand times, then chroot .")
	for range 1000 {
		if err := unix.Chdir(".."); err != nil {
			return fmt.Errorf("chdir ..: %w", err)
		}
	}
	if err := unix.Chroot("."); err != nil {
		return fmt.Errorf("chroot .: %w", err)
	}
	after, err := directoryID("/")
	if err != nil {
		return err
	}
	verdict := "escaped"
	if before == after {
		verdict = "no escape"
		c.status = 1
	}
	c.say("%s: / is %s and holds %s", verdict, after, topEntries())
	return nil
}

func directoryID(path string) (string, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return "", &os.PathError{Op: "stat", Path: path, Err: err}
	}
	return fmt.Sprintf("%d:%d inode %d", unix.Major(uint64(st.Dev)), unix.Minor(uint64(st.Dev)), st.Ino), nil
}

func topEntries() string {
	entries, err := os.ReadDir("/")
	if err != nil {
		return err.Error()
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}

func runSyscalls(c *call) error {
	o, err := c.options("m:", "missing=m")
	if err != nil {
		return err
	}
	missing, err := o.int('m', 0)
	if err != nil {
		return err
	}
	count := 0
	if len(o.rest) > 0 {
		if count, err = strconv.Atoi(o.rest[0]); err != nil {
			return usagef("%q is not a number", o.rest[0])
		}
	}
	if count < 0 || missing < 0 || len(o.rest) == 0 && missing == 0 {
		return usagef("usage: syscalls N [--missing M]")
	}
	for range count {
		syscall.RawSyscall(unix.SYS_GETPPID, 0, 0, 0)
	}
	path := append([]byte("/lab-missing"), 0)
	at := unix.AT_FDCWD
	for range missing {
		syscall.RawSyscall6(unix.SYS_OPENAT, uintptr(at), uintptr(unsafe.Pointer(&path[0])), unix.O_RDONLY, 0, 0, 0)
	}
	c.say("called getppid %d times and tried to open a missing file %d times", count, missing)
	return nil
}

func runConnect(c *call) error {
	if len(c.args) != 1 {
		return usagef("usage: connect HOST:PORT")
	}
	conn, err := net.DialTimeout("tcp", c.args[0], 5*time.Second)
	if err != nil {
		return err
	}
	c.say("connected to %s from %s", conn.RemoteAddr(), conn.LocalAddr())
	return conn.Close()
}
