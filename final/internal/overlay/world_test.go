//go:build linux

package overlay

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// world names the directory of the tests in the environment of the process that they run in.
const world = "OVERLAY_TEST_WORLD"

// TestMain runs the tests in a mount namespace of their own, on a tmpfs: an upper layer cannot be on an overlay, as
// a container's root is.
func TestMain(m *testing.M) {
	if dir := os.Getenv(world); dir != "" {
		os.Exit(inWorld(m, dir))
	}
	if os.Geteuid() != 0 {
		fmt.Println("the tests mount, so they must be root: sudo env PATH=$PATH go test")
		os.Exit(1)
	}
	dir, err := os.MkdirTemp("", "overlay-test-")
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), world+"="+dir)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS, Pdeathsig: unix.SIGKILL}
	err = cmd.Run()
	if _, failed := errors.AsType[*exec.ExitError](err); err != nil && !failed {
		fmt.Println(err)
	}
	if err := os.Remove(dir); err != nil { // nothing may be left in it
		fmt.Println(err)
	}
	os.Exit(cmd.ProcessState.ExitCode())
}

func inWorld(m *testing.M, dir string) int {
	err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
	if err == nil {
		err = unix.Mount("tmpfs", dir, "tmpfs", 0, "")
	}
	if err == nil {
		err = os.Setenv("TMPDIR", dir)
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	return m.Run()
}

// stack makes a stack of n empty lower layers.
func stack(t testing.TB, n int) (s Stack, target string) {
	t.Helper()
	dir := t.TempDir()
	for i := range n {
		s.Lowers = append(s.Lowers, filepath.Join(dir, fmt.Sprintf("layer-%03d", i)))
	}
	s.Upper, s.Work, target = filepath.Join(dir, "upper"), filepath.Join(dir, "work"), filepath.Join(dir, "root")
	for _, d := range append(s.Lowers, s.Upper, s.Work, target) {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return s, target
}

// write makes a file, and the directories above it.
func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// wantFile looks for a file with a text; an empty one means that there is none.
func wantFile(t *testing.T, path, text string) {
	t.Helper()
	got, err := os.ReadFile(path)
	if text == "" && !errors.Is(err, os.ErrNotExist) || text != "" && string(got) != text {
		t.Errorf("%s: got %q, %v; want %q", path, got, err, text)
	}
}

// must ends a test at an error.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
