//go:build linux

package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/kernel"
)

// joinShm mounts another container's /dev/shm in our own mount namespace, that of the container's monitor, and returns
// where. No mount can be bound out of another namespace; so a thread goes there and takes a copy that is mounted
// nowhere, which can be mounted anywhere.
func (c *Container) joinShm(pid int) (place string, err error) {
	place = c.path("shm")
	if err := os.Mkdir(place, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	namespace, err := os.Open(fmt.Sprintf("/proc/%d/ns/mnt", pid))
	if err != nil {
		return "", err
	}
	defer namespace.Close()
	var tree *os.File
	err = kernel.OnThread(func() error {
		if err := unix.Unshare(unix.CLONE_FS); err != nil {
			return os.NewSyscallError("unshare", err)
		}
		if err := unix.Setns(int(namespace.Fd()), unix.CLONE_NEWNS); err != nil {
			return os.NewSyscallError("setns", err)
		}
		tree, err = c.engine.Door.OpenTree("/dev/shm", false)
		return err
	})
	if err != nil {
		return "", err
	}
	defer tree.Close()
	call := kernel.Call{Op: "move_mount", Object: "/dev/shm", Value: place, Shell: "mount --bind ... " + place}
	return place, c.engine.Door.Do(call, func() error {
		return unix.MoveMount(int(tree.Fd()), "", unix.AT_FDCWD, place, unix.MOVE_MOUNT_F_EMPTY_PATH)
	})
}
