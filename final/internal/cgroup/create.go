//go:build linux

package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/simple-container/simple-container/final/internal/kernel"
	"golang.org/x/sys/unix"
)

// Create makes the group in every tree and sets its limits, all of them before any process is in it. A group
// that is there already is taken over if it is empty and not frozen. An error leaves nothing behind.
//
// With systemd, which wants a process first, it only checks; the group is made by Add.
func (g *Group) Create(door *kernel.Door, resources *specs.LinuxResources) (err error) {
	changes, err := g.changes(resources, untouched)
	if err != nil {
		return err // before anything has been made
	}
	if _, _, err := parseRules(devicesOf(resources)); err != nil {
		return err
	}
	if g.unit != nil {
		g.unit.resources = resources
		return nil
	}
	return g.make(door, resources, changes)
}

// make makes what Create has found to be right.
func (g *Group) make(door *kernel.Door, resources *specs.LinuxResources, changes []change) (err error) {
	var made []string
	var without []string // the trees in which there can be none
	fresh := true        // the group is there in no tree yet
	defer func() {
		if err == nil {
			return
		}
		for _, dir := range slices.Backward(made) {
			if e := door.Rmdir(dir); !errors.Is(e, unix.EBUSY) { // another container's group is there by now
				err = errors.Join(err, e)
			}
		}
	}()
	for _, p := range g.parts {
		new, err := []string(nil), p.reachable()
		if err == nil || g.unit != nil {
			new, err = p.mkdir(door, p.dir, resources, g.unit != nil)
		}
		made = append(made, new...)
		if err != nil {
			if err := p.spare(changes, err); err != nil {
				return err
			}
			without = append(without, p.dir)
			g.shared = append(g.shared, &part{Hierarchy: p.Hierarchy, dir: filepath.Join(p.Dir, p.own), own: p.own})
		}
		fresh = fresh && slices.Contains(new, p.dir)
	}
	g.parts = slices.DeleteFunc(g.parts, func(p *part) bool { return slices.Contains(without, p.dir) })
	if g.None() {
		if len(devicesOf(resources)) > 0 {
			door.Skip("linux.resources.devices", "no cgroup is delegated to this user, who cannot make device nodes either")
		}
		return nil
	}
	for _, dir := range without {
		door.Skip("cgroup "+dir, "not delegated to this user")
	}
	if !fresh {
		if changes, err = g.changes(resources, readFile); err != nil {
			return err
		}
	}
	if err := g.apply(door, changes, g.handDown(door, changes)); err != nil {
		return err
	}
	return g.allow(door, devicesOf(resources), fresh)
}

// mkdir makes the group's directory in one tree, and those above it. It returns what it made. Taken says that
// it may have processes: that systemd made it, with the container's first.
func (p *part) mkdir(door *kernel.Door, dir string, r *specs.LinuxResources, taken bool) (made []string, err error) {
	err = door.Mkdir(dir)
	if errors.Is(err, fs.ErrNotExist) && dir != p.Dir && len(dir) > len(p.Dir) {
		if made, err = p.mkdir(door, filepath.Dir(dir), nil, false); err != nil {
			return made, err
		}
		err = door.Mkdir(dir)
	}
	leaf := dir == p.dir
	if errors.Is(err, fs.ErrExist) {
		err = nil // of those above, another container may have made one meanwhile
		if leaf && !taken {
			err = p.vacant()
		}
	} else if err == nil {
		made = append(made, dir)
	}
	if err == nil && p.Version == 1 && slices.Contains(p.Controllers, "cpuset") {
		err = inheritCpuset(door, p.Dir, dir, r)
	}
	return made, err
}

// vacant refuses a group that is not for a new container: its processes would share its limits, its freezing
// and its end; and in a frozen one nothing would ever start.
func (p *part) vacant() error {
	groups, err := tree(p.dir)
	if err != nil {
		return err
	}
	pids := 0
	for _, group := range groups {
		text, _ := kernel.ReadFile(group + "/cgroup.procs") // one that is gone is empty
		pids += len(strings.Fields(text))
	}
	if pids > 0 {
		return fmt.Errorf("linux.cgroupsPath: %s: container's cgroup is not empty: %d process(es) found", p.dir, pids)
	}
	if frozen, _ := p.frozen(); frozen {
		return fmt.Errorf("linux.cgroupsPath: %s: container's cgroup unexpectedly frozen", p.dir)
	}
	return nil
}

// handDown lets the groups from the root down to the container's hand their controllers on (cgroup2,
// cgroup.subtree_control). It returns why not, by controller: that matters only if there is a limit to set.
//
// On a unified machine all are handed down, since a controller also measures. On a hybrid one, v2 has what v1
// left over, and only what a limit needs is taken.
func (g *Group) handDown(door *kernel.Door, changes []change) (refused map[string]error) {
	p := g.v2()
	if p == nil {
		return nil
	}
	hybrid := slices.ContainsFunc(g.parts, func(p *part) bool { return p.Version == 1 && len(p.Controllers) > 0 })
	want := slices.DeleteFunc(slices.Clone(p.Controllers), func(name string) bool {
		needed := slices.ContainsFunc(changes, func(c change) bool { return c.part == p && c.controller == name })
		return hybrid && !needed
	})
	refused = map[string]error{}
	for _, dir := range p.above() {
		text, err := kernel.ReadFile(dir + "/cgroup.subtree_control")
		if err != nil {
			continue // its parent hands nothing down, so what is tried here has been refused above
		}
		have := strings.Fields(text)
		missing := slices.DeleteFunc(slices.Clone(want), func(name string) bool {
			return slices.Contains(have, name) || refused[name] != nil
		})
		if len(missing) == 0 {
			continue
		}
		err = occupied(dir)
		if err == nil && switchOn(door, dir, missing...) == nil {
			continue
		}
		for _, name := range missing { // all or nothing was nothing: one by one
			if err == nil {
				refused[name] = switchOn(door, dir, name)
			} else {
				refused[name] = err
			}
		}
	}
	return refused
}

func switchOn(door *kernel.Door, dir string, controllers ...string) error {
	return door.Write(dir+"/cgroup.subtree_control", "+"+strings.Join(controllers, " +"))
}

// occupied refuses a group that has processes: it may hand nothing down to groups below it that are to have
// processes too (cgroups(7), "no internal processes"). The kernel refuses memory and io itself; but cpu and
// pids it would hand down to threads, and the groups below could hold no process any more. The root, which
// has no cgroup.type, is free of the rule.
func occupied(dir string) error {
	if readFile(dir+"/cgroup.procs") == "" || unix.Access(dir+"/cgroup.type", unix.F_OK) != nil {
		return nil
	}
	return fmt.Errorf("cgroup %s: %w: it has processes of its own, and so may hand nothing down: "+
		"have them in a group below it", dir, unix.EBUSY)
}

// above returns the directories above the group's, from the root of the tree down.
func (p *part) above() (dirs []string) {
	for dir := p.dir; len(dir) > len(p.Dir); {
		dir = filepath.Dir(dir)
		dirs = append(dirs, dir)
	}
	slices.Reverse(dirs)
	return dirs
}
