//go:build linux

// Package bare checks what -no-cgroup2 promises. vm_test.go sends it to the
// micro-VM.
package bare

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// Nothing is mounted, and what a step does about it works.
func TestCgroup2IsThereToBeMounted(t *testing.T) {
	if os.Getenv("MICROVM") != "1" {
		t.Fatal("for the micro-VM only")
	}
	const dir = "/sys/fs/cgroup"
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil || fs.Type != unix.SYSFS_MAGIC {
		t.Fatalf("statfs %s: type %#x, %v, want sysfs and nothing on it", dir, fs.Type, err)
	}
	if err := unix.Mount("cgroup2", dir, "cgroup2", 0, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir + "/cgroup.controllers"); err != nil {
		t.Error(err)
	}
}
