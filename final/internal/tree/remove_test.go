//go:build linux

package tree

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// What is mounted below is not ours: a file system of its own, or a directory of the same one, bound to there.
func TestRemoveStopsAtMounts(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mount needs root: EPERM for others")
	}
	top := t.TempDir()
	home, at := filepath.Join(top, "home"), filepath.Join(top, "victim", "mnt")
	for _, dir := range []string{home, at} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	done := make(chan error)
	go func() {
		done <- func() error {
			// A mount namespace of this thread's own, which ends with it.
			runtime.LockOSThread()
			if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err != nil {
				return err
			}
			if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
				return err
			}
			for _, mount := range []func() error{
				func() error { return unix.Mount("tmpfs", at, "tmpfs", 0, "") },
				func() error { return unix.Mount(home, at, "", unix.MS_BIND, "") },
			} {
				if err := mount(); err != nil {
					return err
				}
				if err := os.WriteFile(filepath.Join(at, "precious"), nil, 0o644); err != nil {
					return err
				}
				if err := Remove(filepath.Join(top, "victim")); !errors.Is(err, unix.EXDEV) {
					t.Errorf("Remove went over a mount, or says something else than EXDEV: %v", err)
				}
				if _, err := os.Stat(filepath.Join(at, "precious")); err != nil {
					return err
				}
			}
			return nil
		}()
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}
