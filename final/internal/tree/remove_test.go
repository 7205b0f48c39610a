//go:build linux

package tree

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
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

// TestRemoveDeep: a container can make a tree that is deeper than we may have files open. What is to be kept, and what
// leads to it, stays.
func TestRemoveDeep(t *testing.T) {
	const deep = 3*mostOpen + 7
	top := t.TempDir()
	parent, err := os.Open(top)
	if err != nil {
		t.Fatal(err)
	}
	defer parent.Close()
	var precious Inode
	at := filepath.Join(top, "victim")
	for i := range deep {
		at = filepath.Join(at, "d")
		other := filepath.Join(at, "other", "still")
		if err := errors.Join(os.MkdirAll(other, 0o755), os.WriteFile(filepath.Join(at, "file"), nil, 0o644)); err != nil {
			t.Fatal(err)
		}
		if i == deep/2 {
			if precious, _, err = InodeAt(int(parent.Fd()), strings.TrimPrefix(other, top+"/")); err != nil {
				t.Fatal(err)
			}
		}
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	few := unix.Rlimit{Cur: mostOpen + 32, Max: limit.Max}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &few); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Setrlimit(unix.RLIMIT_NOFILE, &limit) }() // as it was: allowed
	if err := RemoveAt(int(parent.Fd()), "victim", func(id Inode) bool { return id == precious }); err != nil {
		t.Fatal(err)
	}
	left := 0
	err = filepath.WalkDir(filepath.Join(top, "victim"), func(string, os.DirEntry, error) error { left++; return nil })
	if want := 1 + (deep/2 + 1) + 2; err != nil || left != want {
		t.Errorf("%d are left, %v; want %d: what was to be kept, and the way to it", left, err, want)
	}
	if err := Remove(filepath.Join(top, "victim")); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(filepath.Join(top, "victim")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("in the end: %v, want nothing there", err)
	}
}
