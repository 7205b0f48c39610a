//go:build linux

package runtime

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/plan"
)

// A container without a mount namespace has its mounts in ours. They do not end with it: it must be known
// which they are.

// noteMount notes the mount that the container's root is on, if something is to be mounted there in our own
// mount namespace.
func (c *Container) noteMount(s *specs.Spec) (err error) {
	if !plan.Has(s, specs.MountNamespace) {
		c.Beneath, err = mountOf(c.Rootfs)
	}
	return err
}

// unmount takes the container's tree out of our mount namespace, if it is there.
func (c *Container) unmount() error {
	if c.Beneath == 0 {
		return nil
	}
	now, err := mountOf(c.Rootfs)
	if now == c.Beneath || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return c.runtime.Door.Unmount(c.Rootfs)
}

// mountOf is the id of the mount that a path leads to (statx(2), STATX_MNT_ID, since Linux 5.8).
func mountOf(path string) (uint64, error) {
	var stat unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, path, unix.AT_SYMLINK_NOFOLLOW, unix.STATX_MNT_ID, &stat); err != nil {
		return 0, fmt.Errorf("statx %s: %w", path, err)
	}
	return stat.Mnt_id, nil
}
