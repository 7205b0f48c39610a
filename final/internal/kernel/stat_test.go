//go:build linux

package kernel

import (
	"os"
	"os/exec"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const leaderless = "KERNEL_TEST_LEADERLESS"

// A program whose first thread ends, and which goes on without it: that is where init runs.
func init() {
	if os.Getenv(leaderless) == "" {
		return
	}
	go func() {
		time.Sleep(time.Minute)
		os.Exit(0)
	}()
	_, _, _ = unix.Syscall(unix.SYS_EXIT, 0, 0, 0)
}

// TestStatOfManyThreads: a process has ended when its last thread has. The first one is a zombie earlier, for a
// moment whenever another one calls execve, as Go programs do.
func TestStatOfManyThreads(t *testing.T) {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), leaderless+"=1")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var p ProcessStat
	for deadline := time.Now().Add(30 * time.Second); p.State != 'Z' && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		var err error
		if p, err = Stat(cmd.Process.Pid); err != nil {
			t.Fatal(err)
		}
	}
	if p.State != 'Z' || !p.Alive() {
		t.Errorf("its first thread has ended: %+v, want state Z, and alive", p)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(30 * time.Second); p.Alive() && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		var err error
		if p, err = Stat(cmd.Process.Pid); err != nil {
			t.Fatal(err) // nobody has waited for it
		}
	}
	if p.Alive() {
		t.Errorf("killed: %+v, want it dead", p)
	}
	_ = cmd.Wait() // it says "signal: killed"
	if _, err := Stat(cmd.Process.Pid); err != unix.ESRCH {
		t.Errorf("waited for: %v, want ESRCH", err)
	}
}
