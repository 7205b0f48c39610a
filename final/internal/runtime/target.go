//go:build linux

package runtime

import (
	"errors"
	"fmt"
	"os"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/plan"
)

// A target is a process whose namespaces another one is to join.
type target struct {
	pidfd *os.File
	root  *os.File // its root, if it is in our mount namespace; nil if not
	kinds uintptr  // CLONE_NEW* of those that are not ours
}

// openTarget pins the container's first process and finds out which of its namespaces are not ours.
func (c *Container) openTarget() (t *target, err error) {
	pid := c.Pid
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		if errors.Is(err, unix.ESRCH) {
			err = ErrNotRunning
		}
		return nil, fmt.Errorf("process %d: %w", pid, err)
	}
	t = &target{pidfd: os.NewFile(uintptr(fd), "pidfd")}
	defer func() {
		if err != nil {
			t.close()
		}
	}()
	for _, kind := range plan.Kinds {
		theirs := fmt.Sprintf("/proc/%d/ns/%s", pid, kind.File)
		same, err := sameFile(theirs, "/proc/thread-self/ns/"+kind.File)
		switch {
		case errors.Is(err, os.ErrNotExist) && exists(fmt.Sprintf("/proc/%d", pid)):
			continue // a kind that this kernel does not have
		case errors.Is(err, os.ErrNotExist):
			return nil, fmt.Errorf("process %d: %w", pid, ErrNotRunning)
		case err != nil:
			return nil, err
		case same && kind.Type == specs.MountNamespace:
			if t.root, err = os.OpenFile(fmt.Sprintf("/proc/%d/root", pid), unix.O_PATH|unix.O_DIRECTORY, 0); err != nil {
				return nil, err
			}
		case !same:
			t.kinds |= kind.Flag
		}
	}
	if !c.alive() { // then the pid may have been another process's all the time, with the host's namespaces
		return nil, fmt.Errorf("process %d: %w", pid, ErrNotRunning)
	}
	return t, nil
}

func (t *target) close() {
	t.pidfd.Close()
	if t.root != nil {
		t.root.Close()
	}
}

// hand gives a container side what it needs to join.
func (t *target) hand(h *handover, o *plan.Options) {
	o.Target, o.TargetKinds = h.add(t.pidfd), t.kinds
	if t.root != nil {
		o.Root = h.add(t.root)
	}
}

func sameFile(a, b string) (bool, error) {
	var x, y unix.Stat_t
	if err := unix.Stat(a, &x); err != nil {
		return false, &os.PathError{Op: "stat", Path: a, Err: err}
	}
	if err := unix.Stat(b, &y); err != nil {
		return false, &os.PathError{Op: "stat", Path: b, Err: err}
	}
	return x.Dev == y.Dev && x.Ino == y.Ino, nil
}
