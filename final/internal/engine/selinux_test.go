//go:build linux

package engine

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/kernel"
	"github.com/simple-container/simple-container/final/internal/ocispec"
)

// needSELinux has the kernel enforce testdata/selinux.cil. A policy is the whole machine's: only that of a micro-VM is
// ours to change, and it has SELinux if its command line says so.
func needSELinux(t *testing.T) {
	t.Helper()
	line, _ := os.ReadFile("/proc/cmdline")
	if os.Getenv("MICROVM") == "" || !strings.Contains(string(line), "security=selinux") {
		t.Skip("a policy is the machine's: go run ./vagrant/microvm -append security=selinux")
	}
	if !slices.Contains(kernel.SecurityModules(), "selinux") {
		t.Fatalf("SELinux is off, with %s", line)
	}
	policy := filepath.Join(t.TempDir(), "policy")
	// Version 31 is one that each of Debian's kernels takes; secilc alone would take its own newest.
	if out, err := exec.Command("secilc", "-c", "31", "-o", policy, "-f", os.DevNull, "testdata/selinux.cil").CombinedOutput(); err != nil {
		t.Fatalf("secilc: %v\n%s", err, out)
	}
	text, err := os.ReadFile(policy)
	err = errors.Join(err, os.WriteFile("/sys/fs/selinux/load", text, 0), os.WriteFile("/sys/fs/selinux/enforce", []byte("1"), 0))
	if err != nil {
		t.Fatal(err)
	}
}

// TestSELinux: a container with a label has files of its own, and can write to those and to no others.
func TestSELinux(t *testing.T) {
	needSELinux(t)
	w := newWorld(t)
	outside := filepath.Join(t.TempDir(), "outside")
	w.must(os.WriteFile(outside, nil, 0o666))
	labelled := func(o *CreateOptions) {
		o.Security.Label = ocispec.Label{Type: "container_t", Level: "s0:c1,c2"}
		o.Mounts = []ocispec.Mount{{Type: ocispec.Bind, Source: outside, Target: "/outside"}}
	}
	c := w.start(labelled, "sh", "-c", "echo x > /inside && echo wrote; echo x > /outside || echo refused; echo ready; sleep 1000")
	w.awaitLog(c, "stdout: ready\n")
	c = w.find(c.ID)
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/attr/current", c.State.Pid))
	if got, want := strings.TrimRight(string(text), "\x00"), "system_u:system_r:container_t:s0:c1,c2"; err != nil || got != want {
		t.Errorf("label %q, %v; want %s", got, err, want)
	}
	for _, path := range []string{"/", "/etc", "/inside", "/dev/shm"} {
		label := make([]byte, 256)
		n, err := unix.Getxattr(fmt.Sprintf("/proc/%d/root%s", c.State.Pid, path), "security.selinux", label)
		got := strings.TrimRight(string(label[:max(n, 0)]), "\x00")
		if want := "system_u:object_r:container_file_t:s0:c1,c2"; err != nil || got != want {
			t.Errorf("label of %s: %q, %v; want %s", path, got, err, want)
		}
	}
	if log := w.log(c, LogOptions{Tail: -1}); !slices.Contains(log, "stdout: wrote\n") || !slices.Contains(log, "stdout: refused\n") {
		t.Errorf("the container says %q", log)
	}
}
