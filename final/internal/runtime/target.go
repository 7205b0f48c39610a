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
	pid   *os.File // its PID namespace, which is joined before the clone; nil if it is ours
	root  *os.File // its root, if it is in our mount namespace; nil if not
	kinds uintptr  // CLONE_NEW* of the others that are not ours
}

// openTarget pins a process and finds out which of its namespaces are not ours.
func openTarget(pid int) (t *target, err error) {
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
			continue
		case same:
			continue
		}
		if kind.Type != specs.PIDNamespace {
			t.kinds |= kind.Flag
			continue
		}
		if t.pid, err = openNamespace(theirs, kind); err != nil {
			return nil, err
		}
	}
	return t, nil
}

func (t *target) joins() []join {
	if t.pid == nil {
		return nil
	}
	kind, _ := plan.KindOf(specs.PIDNamespace)
	return []join{{t.pid, kind}}
}

func (t *target) close() {
	for _, file := range []*os.File{t.pidfd, t.pid, t.root} {
		if file != nil {
			file.Close()
		}
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
