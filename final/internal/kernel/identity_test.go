//go:build linux

package kernel

import (
	"errors"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const execsLeft = "TEST_EXECS_LEFT"

// While a thread that is not the first executes a program, the first is a zombie: the process lives all the same.
func TestStatOfExec(t *testing.T) {
	if left, err := strconv.Atoi(os.Getenv(execsLeft)); err == nil {
		execAgain(t, left)
		return
	}
	again := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$")
	again.Env = append(os.Environ(), execsLeft+"=50")
	if err := again.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = again.Process.Kill() }() // the rule is that it has ended
	first, err := Stat(again.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	for {
		var ended unix.Siginfo // looked for after the state, which is right if it had not ended then
		now, err := Stat(first.Pid)
		if err := unix.Waitid(unix.P_PID, first.Pid, &ended, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil); err != nil {
			t.Fatal(err)
		}
		if ended.Signo != 0 {
			break
		}
		if err != nil || !now.Alive() || now.Start != first.Start {
			t.Fatalf("it lives, and is %+v (%v); at first it was %+v", now, err, first)
		}
	}
	if err := again.Wait(); err != nil {
		t.Fatal(err)
	}
	if _, err := Stat(first.Pid); !errors.Is(err, unix.ESRCH) {
		t.Errorf("it is reaped: want ESRCH, got %v", err)
	}
}

// execAgain executes the test once more, on a thread that is not the first.
func execAgain(t *testing.T, left int) {
	if left == 0 {
		return
	}
	t.Setenv(execsLeft, strconv.Itoa(left-1))
	failed := make(chan error)
	for range 2 { // one of them is not the first
		go func() {
			runtime.LockOSThread() // a thread of its own
			if unix.Gettid() != os.Getpid() {
				failed <- syscall.Exec("/proc/self/exe", os.Args, os.Environ())
			}
			time.Sleep(time.Minute)
		}()
	}
	t.Fatal(<-failed)
}
