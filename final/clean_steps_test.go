//go:build linux && !engine

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/simple-container/simple-container/final/internal/kernel"
)

const stepsDir = "TEST_STEPS" // where the steps' programs are

// Whenever a step's runtime is killed, clean finds all that it left. With -v a step says every kernel call
// before it makes it, so killing it at each of these words goes through its whole life.
func TestCleanAfterKilledSteps(t *testing.T) {
	if os.Getenv(stepsDir) == "" {
		if _, err := exec.LookPath("go"); err != nil {
			t.Skipf("the steps are built for this: %v", err)
		}
		dir := t.TempDir()
		run(t, "go", "build", "-o", dir, "../step01-reexec", "../step02-rootfs", "../step03-cgroups", "../step04-network",
			"../step05-metrics")
		t.Setenv(stepsDir, dir)
	}
	if !inWorld(t) {
		return
	}
	programs, err := filepath.Glob(os.Getenv(stepsDir) + "/step*")
	if err != nil || len(programs) != 5 {
		t.Fatalf("programs: %v, %v", programs, err)
	}
	leftovers := 0
	for i, program := range programs {
		stride := 4
		if i == len(programs)-1 {
			stride = 1 // it makes all calls of those before
		}
		calls := 1 + rand.IntN(stride)
		for ; killAtCall(t, program, calls); calls += stride {
			leftovers += len(traces(t))
			checkClean(t, fmt.Sprintf("%s killed at kernel call %d", filepath.Base(program), calls))
		}
	}
	if leftovers < 20 {
		t.Errorf("the killed steps left %d things in all: too few for a test of clean", leftovers)
	}
}

// killAtCall starts a container and kills its runtime, with no chance to tidy up, when it says its n-th kernel
// call. If it ends before, the answer is no.
func killAtCall(t *testing.T, program string, n int) (killed bool) {
	t.Helper()
	args := []string{"run", "-v", "--rootfs", "/", "true"}
	if strings.Contains(program, "step01") {
		args = []string{"run", "-v", "true"}
	}
	cmd := exec.Command(program, args...)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said := ""
	for lines := bufio.NewScanner(stderr); !killed && lines.Scan(); {
		said += lines.Text() + "\n"
		if strings.HasPrefix(lines.Text(), "parent ") || strings.HasPrefix(lines.Text(), "child ") {
			n--
		}
		if killed = n == 0; killed {
			_ = cmd.Process.Kill() // it may have just ended: the last calls are followed by little
		}
	}
	if err := cmd.Wait(); err != nil && !killed {
		t.Fatalf("%s: %v\n%s", program, err, said)
	}
	dirs, err := filepath.Glob(kernel.StateDir + "/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range dirs {
		age(t, dir) // else clean waits for each
	}
	return killed
}

// checkClean cleans, and looks whether anything is left.
func checkClean(t *testing.T, when string) {
	t.Helper()
	left := traces(t)
	out, stderr, code := final(t, "clean")
	if code != 0 || stderr != "" {
		t.Errorf("%s: exit code %d, stderr %q, stdout:\n%s", when, code, stderr, out)
	}
	if diff := cmp.Diff([]string(nil), traces(t)); diff != "" {
		t.Fatalf("%s (-want +got):\n%s\nleft before clean: %v\nclean said:\n%s", when, diff, left, out)
	}
	if got := read(t, forwardSysctl); got != "0" {
		t.Errorf("%s: ip_forward is %s", when, got)
	}
	if _, err := os.Stat(kernel.StateDir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s: %s is still there: %v", when, kernel.StateDir, err)
	}
	deadline := time.Now().Add(patience)
	for running(t) > 2 && time.Now().Before(deadline) {
		time.Sleep(interval)
	}
	if n := running(t); n > 2 {
		t.Errorf("%s: %d processes are left", when, n-2)
	}
}

// running counts the processes in the world that have not ended. Two are the test's own.
func running(t *testing.T) (n int) {
	t.Helper()
	processes, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range processes {
		if _, err := os.Readlink(dir + "/exe"); err == nil {
			n++
		}
	}
	return n
}
