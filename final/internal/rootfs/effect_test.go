//go:build linux

package rootfs

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/executor"
	"github.com/simple-container/simple-container/final/internal/op"
)

// A container is a process that has made its tree and waits.
type container struct {
	root string // /proc/PID/root: its tree, as the host sees it through the process
	pid  int
}

const namespaces = unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWIPC | unix.CLONE_NEWNET | unix.CLONE_NEWCGROUP

// start runs the tree of a spec up to where the container's program would begin. The error is what the
// container side reports: "openat2(...): too many levels of symbolic links".
func start(t *testing.T, s *specs.Spec, o Options, reexec bool, extra ...*os.File) (*container, error) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root: mounts")
	}
	list, err := build(s, o)
	if err != nil {
		return nil, err
	}
	list.Add(op.Write(op.Int(1), "ready\n"), op.Read(op.Int(0), op.Zeros(1)), op.Exit(0))
	list.Fail(op.Int(2), 125)
	goR, goW := pipe(t)
	outR, outW := pipe(t)
	reportR, reportW := pipe(t)
	files := append([]*os.File{goR, outW, reportW}, extra...)
	flags := uintptr(namespaces)
	command := &executor.Command{List: list, Name: "rootfs", Files: files, Cloneflags: flags, Reexec: reexec}
	process, err := command.Start()
	if err != nil {
		t.Fatal(err)
	}
	goR.Close()
	outW.Close()
	reportW.Close()
	t.Cleanup(func() {
		goW.Close() // the end of the file ends it
		process.Pidfd.Close()
		var status syscall.WaitStatus
		if _, err := syscall.Wait4(process.Pid, &status, 0, nil); err != nil {
			t.Error(err)
		}
	})
	if line, _ := bufio.NewReader(outR).ReadString('\n'); line == "ready\n" {
		return &container{fmt.Sprintf("/proc/%d/root", process.Pid), process.Pid}, nil
	}
	report, err := io.ReadAll(reportR)
	if err != nil {
		t.Fatal(err)
	}
	index, errno, err := op.ParseReport(report, len(list.Ops))
	if err != nil {
		t.Fatal(err)
	}
	return nil, fmt.Errorf("%s: %w", list.Ops[index], errno)
}

// build puts the parts in their order.
func build(s *specs.Spec, o Options) (*op.List, error) {
	list := &op.List{}
	root, err := Prepare(list, s, o)
	if err != nil {
		return nil, err
	}
	return list, errors.Join(Sysctl(list, s), Protect(list, s, o, root), Enter(list, s, o, root))
}

func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	return r, w
}

// both runs a test with both executors.
func both(t *testing.T, test func(t *testing.T, reexec bool)) {
	t.Run("stub", func(t *testing.T) { test(t, false) })
	t.Run("reexec", func(t *testing.T) { test(t, true) })
}

func TestTree(t *testing.T) {
	both(t, func(t *testing.T, reexec bool) {
		dir := t.TempDir()
		began := time.Now()
		c, err := start(t, docker(), Options{Root: dir, MountSetattr: true, NetNamespace: true}, reexec)
		if err != nil {
			t.Fatal(err)
		}
		t.Log(time.Since(began))
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/mountinfo", c.pid))
		t.Logf("%s%v", text, err)
		names, err := filepath.Glob(c.root + "/dev/*")
		t.Log(strings.Join(names, " "), err)
	})
}
