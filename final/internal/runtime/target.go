//go:build linux

package runtime

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/plan"
)

// A target is a process whose namespaces another one is to join.
type target struct {
	pidfd *os.File
	root  *os.File // its root
	kinds uintptr  // CLONE_NEW* of those that are not ours
	sent  sent     // these very ones, where the process is none that we may look into
}

// openTarget pins the container's first process and finds out which of its namespaces are not ours. It is ESRCH,
// and worth another try while the process is alive, if that is becoming another program just now: the thread that
// calls execve(2) takes the place of the first one, which has no namespaces and no root by then.
func (c *Container) openTarget() (t *target, err error) {
	if c.sent != nil {
		return &target{sent: c.sent, kinds: c.sent.kinds()}, nil
	}
	pid := c.Pid
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		if errors.Is(err, unix.ESRCH) {
			err = ErrNotRunning
		}
		return nil, fmt.Errorf("process %d: %w", pid, err)
	}
	t = &target{pidfd: os.NewFile(uintptr(fd), "pidfd")}
	opened := t // a return sets t to nil before this runs
	defer func() {
		if err != nil {
			opened.close()
		}
	}()
	if t.root, err = os.OpenFile(fmt.Sprintf("/proc/%d/root", pid), unix.O_PATH|unix.O_DIRECTORY, 0); err != nil {
		return nil, leaderless(err)
	}
	for _, kind := range plan.Kinds {
		ours := "/proc/thread-self/ns/" + kind.File
		if !exists(ours) {
			continue // a kind that this kernel does not have
		}
		same, err := sameFile(fmt.Sprintf("/proc/%d/ns/%s", pid, kind.File), ours)
		if err != nil {
			return nil, leaderless(err)
		}
		if !same {
			t.kinds |= kind.Flag
		}
	}
	if !c.alive() { // then the pid may have been another process's all the time, with the host's namespaces
		return nil, fmt.Errorf("process %d: %w", pid, ErrNotRunning)
	}
	return t, nil
}

// leaderless makes ESRCH of what is not there of a process's first thread.
func leaderless(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%w: %w", err, unix.ESRCH)
	}
	return err
}

func (t *target) close() {
	t.pidfd.Close() // both may be nil, and say so
	t.root.Close()
}

// hand gives a container side what it needs to join.
func (t *target) hand(h *handover, o *plan.Options) {
	o.TargetKinds = t.kinds
	if t.sent != nil {
		t.sent.hand(h, o)
		return
	}
	o.Target = h.add(t.pidfd)
	if t.kinds&unix.CLONE_NEWNS == 0 {
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
