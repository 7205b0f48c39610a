//go:build linux

package cgroup

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/simple-container/simple-container/final/internal/kernel"
	"golang.org/x/sys/unix"
)

// Pids returns the processes of the group; with all, also those in groups below it. A group that is gone has
// none. They are listed by cgroup2 where it is mounted, else by any tree: all have the same processes.
func (g *Group) Pids(all bool) ([]int, error) {
	if g.None() {
		return nil, errNone
	}
	groups := []string{g.book().dir}
	if all {
		var err error
		if groups, err = tree(groups[0]); err != nil {
			return nil, err
		}
	}
	var pids []int
	for _, group := range groups {
		here, err := pidsIn(group)
		if err != nil {
			return nil, err
		}
		pids = append(pids, here...)
	}
	slices.Sort(pids)
	return slices.Compact(pids), nil // one may have moved while we looked
}

// book is the part whose list of processes counts.
func (g *Group) book() *part {
	if p := g.v2(); p != nil {
		return p
	}
	return g.parts[0]
}

// pidsIn reads cgroup.procs. A process of a PID namespace that cannot be seen from here is 0. A threaded group has no
// list: its processes are in that of the group above which they are threads of (cgroups(7), "Thread mode").
func pidsIn(group string) (pids []int, err error) {
	text, err := kernel.ReadFile(group + "/cgroup.procs")
	if gone(err) || errors.Is(err, unix.EOPNOTSUPP) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for word := range strings.FieldsSeq(text) {
		pid, err := strconv.Atoi(word)
		if err != nil {
			return nil, fmt.Errorf("read %s/cgroup.procs: %w", group, err)
		}
		pids = append(pids, pid)
	}
	return pids, nil
}

// Kill sends a signal to every process of the group and of the groups below it. SIGKILL reaches also those
// that fork meanwhile: by cgroup.kill in one write (v2, since Linux 5.14), else by killing until nobody is
// left; and also those that are frozen. It does not wait for them to end.
func (g *Group) Kill(door *kernel.Door, signal unix.Signal) error {
	if g.None() {
		return errNone
	}
	p := g.book()
	if signal == unix.SIGKILL && p.Version == 2 {
		err := door.Write(p.dir+"/cgroup.kill", "1")
		if err == nil {
			return g.thawKilled(door)
		}
		if !gone(err) && !errors.Is(err, unix.EOPNOTSUPP) { // which a threaded group says
			return err
		}
	}
	sent := map[int]bool{}
	for again := true; again; again = signal == unix.SIGKILL && again {
		pids, err := g.Pids(true)
		if err != nil {
			return err
		}
		again = false
		for _, pid := range pids {
			if sent[pid] {
				continue
			}
			sent[pid], again = true, true
			if err := g.signal(door, pid, signal); err != nil {
				return err
			}
		}
	}
	if signal == unix.SIGKILL {
		return g.thawKilled(door)
	}
	return nil
}

// signal sends one signal, if the process is still one of the group.
func (g *Group) signal(door *kernel.Door, pid int, signal unix.Signal) error {
	if pid == 0 {
		return fmt.Errorf("cgroup %s: %w", g.book().dir, errForeign)
	}
	still := func() bool {
		now, err := g.Pids(true)
		return err == nil && slices.Contains(now, pid)
	}
	err := door.Signal(pid, signal, still)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	return err
}

// thawKilled lets processes end that were killed while frozen by v1. A process that v2 froze ends at once.
func (g *Group) thawKilled(door *kernel.Door) error {
	p := g.part("freezer")
	if p == nil {
		return nil
	}
	frozen, err := p.frozen()
	if err != nil || !frozen {
		return err
	}
	return p.setFrozen(door, false)
}
