//go:build linux

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/simple-container/simple-container/final/internal/kernel"
)

const stepsDir = "TEST_STEPS" // where the steps' programs are

// Whenever a step's runtime is killed, clean finds all that it left.
func TestCleanAfterKilledSteps(t *testing.T) {
	if os.Getenv(stepsDir) == "" {
		if _, err := exec.LookPath("go"); err != nil {
			t.Skipf("the steps are built for this: %v", err)
		}
		dir := t.TempDir()
		run(t, "go", "build", "-o", dir, "../step02-rootfs", "../step03-cgroups", "../step04-network", "../step05-metrics")
		t.Setenv(stepsDir, dir)
	}
	if !inWorld(t) {
		return
	}
	programs, err := filepath.Glob(os.Getenv(stepsDir) + "/step*")
	if err != nil || len(programs) != 4 {
		t.Fatalf("programs: %v, %v", programs, err)
	}
	leftovers := 0
	for _, program := range programs {
		// The first is let live long enough to be complete.
		for _, delay := range []time.Duration{time.Second, moment(), moment(), moment(), moment(), moment(), moment()} {
			killAfter(t, program, delay)
			left := traces(t)
			leftovers += len(left)
			name := fmt.Sprintf("%s killed after %v", filepath.Base(program), delay)
			out, stderr, code := final(t, "clean")
			if code != 0 || stderr != "" {
				t.Errorf("%s: exit code %d, stderr %q, stdout:\n%s", name, code, stderr, out)
			}
			if diff := cmp.Diff([]string(nil), traces(t)); diff != "" {
				t.Fatalf("%s (-want +got):\n%s\nleft before clean: %v\nclean said:\n%s", name, diff, left, out)
			}
			if got := read(t, forwardSysctl); got != "0" {
				t.Errorf("%s: ip_forward is %s", name, got)
			}
			if _, err := os.Stat(kernel.StateDir); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s: %s is still there: %v", name, kernel.StateDir, err)
			}
		}
	}
	if leftovers < 20 {
		t.Errorf("the killed steps left %d things in all: too few for a test of clean", leftovers)
	}
}

func moment() time.Duration { return time.Duration(rand.IntN(80)) * time.Millisecond }

// killAfter starts a container and kills its runtime, with no chance to tidy up.
func killAfter(t *testing.T, program string, delay time.Duration) {
	t.Helper()
	cmd := exec.Command(program, "run", "--rootfs", "/", "sleep", "30")
	if testing.Verbose() {
		cmd.Stderr = os.Stderr
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(delay)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatalf("%s ended within %v: %v", program, delay, err)
	}
	_ = cmd.Wait() // it says "signal: killed"
	if cmd.ProcessState.Exited() {
		t.Fatalf("%s ended by itself within %v: %v", program, delay, cmd.ProcessState)
	}
	dirs, err := filepath.Glob(kernel.StateDir + "/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range dirs {
		age(t, dir) // else clean waits for each
	}
}
