//go:build linux

package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// needQEMU is the rule for the tests that boot a machine. They run where QEMU
// is; CI claims to have it, so there its absence is a failure. -short leaves
// them out.
func needQEMU(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: boots no machine")
	}
	m := machines[runtime.GOARCH]
	_, err := exec.LookPath(m.QEMU)
	switch {
	case err == nil:
	case os.Getenv("CI") == "true":
		t.Fatalf("%v: CI=true promises it: vagrant/provision.sh has to install %s", err, m.Package)
	default:
		t.Skipf("%v: run make setup", err)
	}
}

// boot runs a package of testdata in a machine.
func boot(t *testing.T, pkg string, args ...string) (string, error) {
	t.Helper()
	needQEMU(t)
	o, err := parse(append(args, "-rootfs=false", "./testdata/"+pkg))
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	err = o.do(t.Context(), &out)
	return out.String(), err
}

// TestMachine is what the machine promises: see testdata/probe.
func TestMachine(t *testing.T) {
	out, err := boot(t, "probe", "-v", "-timeout", "2m", "-append", "security=selinux")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{"--- PASS: TestPivotRoot", "--- PASS: TestOverlay", "--- PASS: TestCommands", "ok  \t./testdata/probe\t"} {
		if !strings.Contains(out, want) {
			t.Errorf("output has no %q:\n%s", want, out)
		}
	}
}

func TestNoCgroup2(t *testing.T) {
	if out, err := boot(t, "bare", "-no-cgroup2"); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// A test that fails, and one that hangs: both have to come back as an error
// with what the test said, and the machine has to end in time.
func TestFailures(t *testing.T) {
	out, err := boot(t, "failing", "-run", "TestFails|TestHangs", "-timeout", "10s")
	if want := "failed: ./testdata/failing"; err == nil || err.Error() != want {
		t.Errorf("error %v, want %q", err, want)
	}
	for _, want := range []string{"sum = 3, want 4", "panic: test timed out after 5s", "FAIL\t./testdata/failing\t", "\texit code 2"} {
		if !strings.Contains(out, want) {
			t.Errorf("output has no %q:\n%s", want, out)
		}
	}
}

func TestKernelPanic(t *testing.T) {
	out, err := boot(t, "failing", "-run", "TestCrashesTheKernel")
	if err == nil {
		t.Fatalf("a kernel panic is no error:\n%s", out)
	}
	for _, want := range []string{"./testdata/failing: guest: kernel panic: not syncing: sysrq triggered crash", "last lines:\n\t"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q in it", err, want)
		}
	}
}

// What cannot even start says what is missing and where to get it.
func TestNoQEMU(t *testing.T) {
	v := &vm{machine: machine{QEMU: "qemu-system-none", Package: "qemu-none"}, Dir: t.TempDir()}
	err := v.run(t.Context(), "tcg", nil)
	if want := "qemu-system-none: not found: run make setup, or apt-get install qemu-none"; err == nil || err.Error() != want {
		t.Errorf("error %v, want %q", err, want)
	}
}

// A QEMU that ends at once, like one that KVM refuses, is not ready and says why.
func TestQEMUThatEnds(t *testing.T) {
	program := filepath.Join(t.TempDir(), "qemu")
	if err := os.WriteFile(program, []byte("#!/bin/sh\necho 'failed to set MSR 0x10a to 0x69' >&2\nexit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	v := &vm{machine: machine{QEMU: program}, Dir: t.TempDir()}
	err := v.run(t.Context(), "kvm", nil)
	if !errors.Is(err, errNotReady) || !strings.Contains(err.Error(), "failed to set MSR") {
		t.Errorf("error %v, want %v and QEMU's words", err, errNotReady)
	}
}

// A QEMU that starts and then does nothing, like one on a KVM that only
// pretends, is stopped when a guest should have been up.
func TestQEMUThatHangs(t *testing.T) {
	defer func(d time.Duration) { bootTime["kvm"] = d }(bootTime["kvm"])
	bootTime["kvm"] = 100 * time.Millisecond
	program := filepath.Join(t.TempDir(), "qemu")
	if err := os.WriteFile(program, []byte("#!/bin/sh\nexec sleep 600\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	v := &vm{machine: machine{QEMU: program}, Dir: t.TempDir()}
	start := time.Now()
	if err := v.run(t.Context(), "kvm", nil); !errors.Is(err, errNotReady) {
		t.Errorf("error %v, want %v", err, errNotReady)
	}
	if took := time.Since(start); took > time.Minute {
		t.Errorf("took %v, want about 100ms", took)
	}
}

func TestKVMMemory(t *testing.T) {
	memory := kvmMemory{filepath.Join(t.TempDir(), "kvm")}
	if works, known := memory.recall(); works || known {
		t.Errorf("before anything was tried: works %v, known %v", works, known)
	}
	for _, want := range []bool{false, true} {
		if err := memory.remember(want); err != nil {
			t.Fatal(err)
		}
		if works, known := memory.recall(); works != want || !known {
			t.Errorf("after remember(%v): works %v, known %v", want, works, known)
		}
	}
	if err := os.WriteFile(memory.File, []byte("another-boot works\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, known := memory.recall(); known {
		t.Error("an earlier boot's finding is still believed")
	}
}
