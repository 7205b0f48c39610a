//go:build linux

package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/simple-container/simple-container/final/internal/kernel"
	"golang.org/x/sys/unix"
)

// patience bounds the wait for killed processes to end. It takes milliseconds as a rule, more when a
// process has much memory to give back; one that hangs in a broken disk or NFS server never ends.
const patience = 5 * time.Second

const interval = 5 * time.Millisecond

// errForeign says that a group has processes of another PID namespace: this is the inside of a container
// that sees the groups of the outside, and they are not ours to end.
var errForeign = errors.New("has processes of another PID namespace")

// Remove ends every process in a group and the groups below it, waits until they are gone, and removes the
// groups. A group that is not there is fs.ErrNotExist; one that goes meanwhile is no error.
func Remove(door *kernel.Door, dir string) error {
	groups, err := tree(dir)
	if err != nil {
		return err
	}
	if len(groups) == 0 {
		return fmt.Errorf("remove cgroup %s: %w", dir, fs.ErrNotExist)
	}
	if err := empty(door, dir, groups); err != nil {
		return err
	}
	for _, group := range slices.Backward(groups) {
		if err := rmdir(door, group); err != nil {
			return err
		}
	}
	return nil
}

// Remove ends every process in the group and removes it from every tree: from cgroup2 first, which has
// cgroup.kill. A group that is not there is no error.
func (g *Group) Remove(door *kernel.Door) (err error) {
	parts := slices.Clone(g.parts)
	slices.SortStableFunc(parts, func(a, b *part) int { return b.Version - a.Version })
	for _, p := range parts {
		if e := p.remove(door); e != nil && !errors.Is(e, fs.ErrNotExist) {
			err = errors.Join(err, e)
		}
	}
	if g.unit != nil {
		err = errors.Join(err, g.unit.stopUnit(door))
	}
	return err
}

// remove tries what is enough as a rule, as the container has ended, and only then looks at what is in the way.
func (p *part) remove(door *kernel.Door) error {
	err := door.Rmdir(p.dir)
	if !errors.Is(err, unix.EBUSY) && !errors.Is(err, unix.ENOTEMPTY) {
		return err
	}
	if frozen, _ := p.frozen(); frozen { // processes frozen by v1 cannot be killed
		if err := p.setFrozen(door, false); err != nil {
			return err
		}
	}
	return Remove(door, p.dir)
}

// tree returns a group and all below it, parents before children; nothing if there is no such group.
func tree(dir string) (groups []string, err error) {
	err = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // it went while we looked
		}
		if err == nil && entry.IsDir() {
			groups = append(groups, path)
		}
		return err
	})
	return groups, err
}

// empty kills until nobody is left. With cgroup.kill (v2, since Linux 5.14) one write gets them all, also
// those about to fork. Without, whoever is listed is killed, again and again, until the forks lose the race.
func empty(door *kernel.Door, dir string, groups []string) error {
	killed := false
	for deadline := time.Now().Add(patience); ; time.Sleep(interval) {
		pids, err := members(groups)
		if err != nil || len(pids) == 0 {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("kill cgroup %s: processes %v: still there after %v", dir, pids, patience)
		}
		if killed {
			continue
		}
		err = door.Write(filepath.Join(dir, "cgroup.kill"), "1")
		if killed = err == nil; killed {
			continue
		}
		if !gone(err) {
			return err
		}
		if err := killAll(door, groups, pids); err != nil {
			return err
		}
	}
}

func killAll(door *kernel.Door, groups []string, pids []int) error {
	for _, pid := range pids {
		still := func() bool {
			now, err := members(groups)
			return err == nil && slices.Contains(now, pid)
		}
		if err := door.Kill(pid, still); err != nil && !errors.Is(err, unix.ESRCH) {
			return err
		}
	}
	return nil
}

// members returns the processes in the groups. It refuses to list those that must not be killed.
func members(groups []string) (pids []int, err error) {
	for _, group := range groups {
		here, err := pidsIn(group)
		if err != nil {
			return nil, err
		}
		if slices.Contains(here, 0) {
			return nil, fmt.Errorf("cgroup %s: %w", group, errForeign)
		}
		if slices.Contains(here, os.Getpid()) {
			return nil, fmt.Errorf("cgroup %s: process %d: that is this program", group, os.Getpid())
		}
		pids = append(pids, here...)
	}
	return pids, nil
}

// rmdir removes one group. A process leaves cgroup.procs a moment before it leaves the group, so the group
// may still be busy; on v2 cgroup.events says when it is not. The last word is rmdir's own.
func rmdir(door *kernel.Door, dir string) error {
	deadline := time.Now().Add(patience)
	for populated(dir) && time.Now().Before(deadline) {
		time.Sleep(interval)
	}
	for {
		err := door.Rmdir(dir)
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if !errors.Is(err, unix.EBUSY) || time.Now().After(deadline) {
			return err
		}
		time.Sleep(interval)
	}
}

// populated tells whether a v2 group or one below it has processes. cgroup.events has lines as
// "populated 1"; v1 has no such file, and the answer is no.
func populated(dir string) bool {
	text, err := os.ReadFile(filepath.Join(dir, "cgroup.events"))
	return err == nil && slices.Contains(strings.Split(string(text), "\n"), "populated 1")
}
