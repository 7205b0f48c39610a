//go:build linux && !engine

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/simple-container/simple-container/final/internal/kernel"
	"golang.org/x/sys/unix"
)

// A container lives as long as its runtime holds a lock on the container's directory. That is in a state
// directory, of which there may be several: a mount namespace can have a /run of its own, as in a container
// that containers are started in, or in a test. Cgroups are the same for all of them, so a container without
// a directory here is not dead before it has none anywhere.
type stateDirs []string

// findStateDirs returns the state directories that can be seen until they are closed: ours, and those behind
// /proc/PID/root. These it holds open: the process may end at once, and others of its namespace live on.
func findStateDirs() (dirs stateDirs, closeAll func(), err error) {
	var files []*os.File
	closeAll = func() {
		for _, file := range files {
			file.Close()
		}
	}
	type inode struct{ device, number uint64 }
	seen, spaces := map[inode]bool{}, map[string]bool{}
	isNew := func(stat unix.Stat_t) bool {
		id := inode{uint64(stat.Dev), stat.Ino}
		defer func() { seen[id] = true }()
		return !seen[id]
	}
	var stat unix.Stat_t
	if unix.Lstat(kernel.StateDir, &stat) == nil && stat.Mode&unix.S_IFMT == unix.S_IFDIR && isNew(stat) {
		dirs = append(dirs, kernel.StateDir)
	}
	processes, err := filepath.Glob("/proc/[0-9]*")
	for _, process := range processes {
		space, err := os.Readlink(process + "/ns/mnt")
		if err != nil || spaces[space] {
			continue // it has ended; or another one showed this namespace
		}
		pid, _ := strconv.Atoi(filepath.Base(process))
		if _, inside := containerOf(pid); inside {
			continue // what a container's processes may write proves nothing
		}
		file, err := os.OpenFile(process+"/root"+kernel.StateDir, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
		if err != nil {
			continue // there is none; or the process has just ended, and another one may show it
		}
		files, spaces[space] = append(files, file), true
		if unix.Fstat(int(file.Fd()), &stat) == nil && isNew(stat) {
			dirs = append(dirs, fmt.Sprintf("/proc/self/fd/%d", file.Fd()))
		}
	}
	return dirs, closeAll, err
}

// claim tells whether a container is dead, and then holds the locks on its directories until unlock. They are
// shared ones: no runtime can have its own beside them, but another clean can.
func (dirs stateDirs) claim(id string) (dead bool, unlock func(), err error) {
	var locks []*os.File
	unlock = func() {
		for _, lock := range locks {
			lock.Close()
		}
	}
	for _, state := range dirs {
		lock, free, err := tryLock(filepath.Join(state, id))
		if lock != nil {
			locks = append(locks, lock)
		}
		if err != nil || !free {
			unlock()
			return false, func() {}, err
		}
	}
	return true, unlock, nil
}

// newborn is how long a directory may be there before it is locked. That takes a runtime microseconds,
// but it may be stopped in between. The lock must not be tried before that: a runtime that finds its own
// new directory locked gives up.
const newborn = 2 * time.Second

// settle waits until a container's directories are not newborn any more.
func (dirs stateDirs) settle(id string) {
	for _, state := range dirs {
		time.Sleep(youth(state, id))
	}
}

// isNewborn tells whether a container has a directory that is newborn.
func (dirs stateDirs) isNewborn(id string) bool {
	return slices.ContainsFunc(dirs, func(state string) bool { return youth(state, id) > 0 })
}

// youth is how long a container's directory will be newborn still.
func youth(state, id string) time.Duration {
	info, err := os.Stat(filepath.Join(state, id))
	if err != nil {
		return 0
	}
	return min(newborn-time.Since(info.ModTime()), newborn) // the clock may have been set back
}

// tryLock tells whether no runtime owns a container's directory, and then keeps it so. A directory that is
// not there has no owner and no lock.
func tryLock(dir string) (lock *os.File, free bool, err error) {
	lock, err = openDirectory(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, true, nil
	}
	if err != nil {
		return nil, false, err
	}
	err = unix.Flock(int(lock.Fd()), unix.LOCK_SH|unix.LOCK_NB)
	if err == nil {
		return lock, true, nil
	}
	lock.Close()
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, false, nil
	}
	return nil, false, fmt.Errorf("flock %s: %w", dir, err)
}

// openDirectory opens a container's directory, also where a mount covers it: a container that forgot to make
// its mounts private has them on the host too, and the lock is on what is below.
func openDirectory(dir string) (file *os.File, err error) {
	const flags = unix.O_DIRECTORY | unix.O_NOFOLLOW
	if !isCovered(dir) {
		return os.OpenFile(dir, flags, 0)
	}
	err = kernel.OnThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
			return fmt.Errorf("unshare mnt: %w", err)
		}
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			return fmt.Errorf("mount / MS_REC|MS_PRIVATE: %w", err)
		}
		for isCovered(dir) {
			if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
				return fmt.Errorf("umount2 %s: %w", dir, err)
			}
		}
		file, err = os.OpenFile(dir, flags, 0)
		return err
	})
	return file, err
}

// isCovered tells whether one of our own state directories has a mount at dir: the device differs from the
// parent's.
func isCovered(dir string) bool {
	var parent, child unix.Stat_t
	return filepath.Dir(dir) == kernel.StateDir && unix.Lstat(kernel.StateDir, &parent) == nil &&
		unix.Lstat(dir, &child) == nil && parent.Dev != child.Dev
}
