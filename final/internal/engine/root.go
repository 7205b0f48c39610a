//go:build linux

package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/kernel"
	"github.com/simple-container/simple-container/final/internal/ocispec"
	"github.com/simple-container/simple-container/final/internal/overlay"
	"github.com/simple-container/simple-container/final/internal/runtime"
)

// mountRoot stacks the container's root file system, in the mount namespace of its monitor. It is there for nobody
// else, and ends with the last process in it.
func (c *Container) mountRoot(host ocispec.Host) error {
	if err := c.engine.detach(c.dir); err != nil {
		return err
	}
	if c.AutoRemove {
		// After a crash of the machine nobody comes here, as such a container goes then.
		if err := overlay.Reuse(c.path("work")); err != nil {
			return err
		}
	}
	names, err := c.Options.LSM(host)
	if err != nil {
		return err
	}
	stack := overlay.Stack{Lowers: c.lowers(), Upper: c.path("upper"), Work: c.path("work"), Volatile: c.AutoRemove,
		IDs: overlay.IDs(c.Options.Userns), Context: names.Files}
	return overlay.Mount(c.engine.Door, stack, c.path("rootfs"))
}

// detach keeps what we mount below a directory in our own mount namespace: the mount that the directory is on would
// pass it on to the host's, if that is shared, as systemd has it. Mounts of the host keep coming, and those below
// other mounts, such as shared volumes, go both ways still.
func (e *Engine) detach(dir string) error {
	mounts, err := e.Door.Mounts()
	if err != nil {
		return err
	}
	at := mountOf(mounts, dir)
	if at == nil || !strings.Contains(at.Optional, "shared:") {
		return nil
	}
	call := kernel.Call{Op: "mount", Object: at.Mountpoint, Value: "MS_SLAVE", Shell: "mount --make-slave " + at.Mountpoint}
	return e.Door.Do(call, func() error { return unix.Mount("", at.Mountpoint, "", unix.MS_SLAVE, "") })
}

// mountOf is the mount that a path is on: the one with the longest mount point, and the last of several there.
func mountOf(mounts []*mountinfo.Info, path string) (found *mountinfo.Info) {
	for _, m := range mounts {
		within := m.Mountpoint == "/" || path == m.Mountpoint || strings.HasPrefix(path, m.Mountpoint+"/")
		if within && (found == nil || len(m.Mountpoint) >= len(found.Mountpoint)) {
			found = m
		}
	}
	return found
}

// unmountRoot takes the root file system away, if it is in our own mount namespace.
func (c *Container) unmountRoot() error {
	err := c.engine.Door.Unmount(c.path("rootfs"))
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) { // no mount, or no directory even
		return nil
	}
	return err
}

// WithRoot calls use with the directory of the container's root file system, volumes and all: as its processes see
// it, or if there are none, as the next ones will. With a user namespace, use is called as its root.
func (c *Container) WithRoot(use func(root string) error) error {
	if c.State.Status == Running || c.State.Status == Paused {
		return kernel.OnThread(func() error {
			if err := c.actAsRoot(); err != nil {
				return err
			}
			return c.withLiveRoot(use)
		})
	}
	return c.withMounted(func(root string) error {
		if err := c.fillVolumes(); err != nil {
			return err
		}
		if err := c.bindVolumes(); err != nil {
			return err
		}
		if err := c.actAsRoot(); err != nil {
			return err
		}
		return use(root)
	})
}

// withLiveRoot calls use with the root directory that the container's first process has. If that ends meanwhile, and its
// pid becomes another's, it is not that one's, which may be the host's.
func (c *Container) withLiveRoot(use func(root string) error) error {
	root, err := os.OpenFile(fmt.Sprintf("/proc/%d/root", c.State.Pid), unix.O_PATH|unix.O_DIRECTORY, 0)
	if err == nil {
		defer root.Close()
		err = c.stillRuns()
	}
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, runtime.ErrNotExist) {
		err = ErrNotRunning
	}
	if err != nil {
		return fmt.Errorf("container %s: %w", c.Name, err)
	}
	return use(fmt.Sprintf("/proc/self/fd/%d", root.Fd()))
}

// stillRuns tells whether the first process is the one that we know.
func (c *Container) stillRuns() error {
	made, err := c.engine.OCI.Load(c.ID)
	if err != nil {
		return err
	}
	status, err := made.Status()
	if err == nil && (status == runtime.Stopped || made.Pid != c.State.Pid) {
		return ErrNotRunning
	}
	return err
}

// actAsRoot makes the thread the container's root to file systems: nobody else could make a file there.
func (c *Container) actAsRoot() error {
	users := c.Options.Userns
	if users.Size == 0 {
		return nil
	}
	return kernel.ActAs(int(users.First), int(users.First))
}

// withLayers is the same without volumes, and without what the kernel has there.
func (c *Container) withLayers(use func(root string) error) error {
	if c.State.Status == Running || c.State.Status == Paused {
		return c.withBare(use)
	}
	return c.withMounted(use)
}

// withMounted mounts the root file system of a container that does not run for the time of a call, in a mount
// namespace of a thread of its own.
func (c *Container) withMounted(use func(root string) error) error {
	held, run, err := c.lockIdle()
	if err != nil {
		return err
	}
	defer closeAll(held, run)
	return kernel.OnThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNS); err != nil { // which parts with the other threads' directory too
			return fmt.Errorf("unshare mnt: %w", err)
		}
		host, err := hostFacts(false)
		if err != nil {
			return err
		}
		if err := c.mountRoot(host); err != nil {
			return err
		}
		return use(c.path("rootfs"))
	})
}

// withBare shows the root file system of a container that runs without what is mounted in it: the mount is the one
// that its monitor has, with nothing below.
func (c *Container) withBare(use func(root string) error) error {
	root := fmt.Sprintf("/proc/%d/root%s", c.State.Monitor, c.path("rootfs"))
	return use(root)
}
