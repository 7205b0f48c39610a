//go:build linux

// Package failing has a test for each way to end badly. vm_test.go sends it to
// the micro-VM.
package failing

import (
	"os"
	"testing"
)

func TestMain(m *testing.M) {
	if os.Getenv("MICROVM") != "1" {
		os.Stderr.WriteString("failing: for the micro-VM only\n")
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func TestFails(t *testing.T) { t.Error("sum = 3, want 4") }

func TestHangs(*testing.T) { select {} }

// The kernel's own way to try out what happens when it crashes, sysrq(8).
func TestCrashesTheKernel(t *testing.T) {
	if err := os.WriteFile("/proc/sysrq-trigger", []byte("c"), 0); err != nil {
		t.Fatal(err)
	}
}
