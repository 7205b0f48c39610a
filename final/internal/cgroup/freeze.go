//go:build linux

package cgroup

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/simple-container/simple-container/final/internal/kernel"
	"golang.org/x/sys/unix"
)

// freezer is where the group can be frozen: by the controller of v1 where that is mounted, as everyone who
// looks at a hybrid machine expects, else by cgroup2, which needs no controller for it (since Linux 5.2).
func (g *Group) freezer() (*part, error) {
	if g.None() {
		return nil, errNone
	}
	if p := g.part("freezer"); p != nil {
		return p, nil
	}
	if p := g.v2(); p != nil {
		return p, nil
	}
	return nil, errors.New("freeze cgroup: no freezer controller is mounted, and no cgroup2 tree")
}

// Freeze stops every process in the group at its next return from the kernel, and comes back when they have.
func (g *Group) Freeze(door *kernel.Door) error {
	p, err := g.freezer()
	if err != nil {
		return err
	}
	err = p.setFrozen(door, true)
	if err != nil {
		err = errors.Join(err, p.setFrozen(door, false)) // half frozen is neither
	}
	return err
}

// Thaw lets them go on. A group that is gone has none that could not.
func (g *Group) Thaw(door *kernel.Door) error {
	p, err := g.freezer()
	if err != nil {
		return err
	}
	return p.setFrozen(door, false)
}

// Frozen tells whether the group is frozen, or about to be. A group that is gone is not.
func (g *Group) Frozen() (bool, error) {
	if g.None() {
		return false, nil
	}
	p, err := g.freezer()
	if err != nil {
		return false, err
	}
	return p.frozen()
}

func (p *part) frozen() (bool, error) {
	file := "/cgroup.freeze" // 0 or 1: what was asked for; cgroup.events says when it is so
	if p.Version == 1 {
		if !slices.Contains(p.Controllers, "freezer") {
			return false, nil
		}
		file = "/freezer.state" // THAWED, FREEZING, FROZEN
	}
	text, err := kernel.ReadFile(p.dir + file)
	if gone(err) {
		return false, nil
	}
	return text != "0" && text != "THAWED", err
}

// setFrozen writes the state and waits for it.
//
// v1 can stay FREEZING for ever when a process forks at the wrong moment; then asking again helps, after a
// thaw.
func (p *part) setFrozen(door *kernel.Door, on bool) error {
	file, value := p.dir+"/freezer.state", map[bool]string{true: "FROZEN", false: "THAWED"}[on]
	reached := func() bool { return readFile(file) == value }
	if p.Version == 2 {
		file, value = p.dir+"/cgroup.freeze", flag(on)
		reached = func() bool {
			return slices.Contains(strings.Split(readFile(p.dir+"/cgroup.events"), "\n"), "frozen "+value)
		}
	}
	removed := func() bool { return !on && errors.Is(unix.Access(p.dir, unix.F_OK), unix.ENOENT) }
	deadline := time.Now().Add(patience)
	for try := 0; ; try++ {
		if try%50 == 0 {
			if try > 0 && on && p.Version == 1 {
				if err := door.Write(file, "THAWED"); err != nil {
					return err
				}
			}
			err := door.Write(file, value)
			if going := !on && errors.Is(err, unix.ENODEV); err != nil && !going && !removed() {
				return err
			}
		}
		if reached() || removed() {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("write %s %q: not so after %v", file, value, patience)
		}
		time.Sleep(time.Duration(min(try+1, 10)) * interval / 10)
	}
}
