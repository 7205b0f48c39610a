//go:build linux

package main

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/kernel"
)

// A config.json that there is no room for is not left half-written: the next try would be told that it exists.
func TestSpecWithoutRoom(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skipf("a small file system needs root: %v", unix.EPERM)
	}
	dir := t.TempDir()
	err := kernel.OnThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
			return err
		}
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			return err
		}
		if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "nr_blocks=1"); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, "full"), make([]byte, os.Getpagesize()), 0o600); err != nil {
			return err
		}
		if err := specVerb.call(&session{}, []string{"--bundle", dir}); !errors.Is(err, unix.ENOSPC) {
			t.Errorf("got %v, want ENOSPC", err)
		}
		if _, err := os.Lstat(filepath.Join(dir, "config.json")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("config.json: %v, want it gone", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
