//go:build linux

package cgroup

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/simple-container/simple-container/final/internal/kernel"
	"golang.org/x/sys/unix"
)

// A Group is a container's cgroup in every tree.
type Group struct {
	parts  []*part
	shared []*part // this process's own, in the trees where the container has none, and stays in it
	unit   *unit   // the systemd scope that it is; nil without systemd
}

// A part is the group in one tree.
type part struct {
	Hierarchy
	dir   string // of the group
	own   string // the group of this process, from the root of the tree
	files *Files // of those who read it again and again
}

// New names a container's group; it makes nothing yet. path is linux.cgroupsPath, own the membership of this
// process. With systemd the group is a scope that systemd makes, and path has the form slice:prefix:name.
func New(layout Layout, path, id string, systemd bool, own Membership) (*Group, error) {
	g := &Group{}
	if systemd {
		u, err := newUnit(path, id)
		if err != nil {
			return nil, err
		}
		g.unit, path = u, u.path()
	}
	for _, h := range layout {
		if h.ReadOnly {
			continue
		}
		where, err := h.place(path, id, own)
		if err != nil {
			return nil, err
		}
		g.parts = append(g.parts, &part{Hierarchy: h, dir: filepath.Join(h.Dir, where), own: own.in(h)})
	}
	if len(g.parts) == 0 {
		return nil, fmt.Errorf("linux.cgroupsPath: %q: no cgroup tree is mounted for writing: %w", path, fs.ErrNotExist)
	}
	return g, nil
}

// Load gets a group back from what Paths and Unit said. Nothing is looked up until it is needed.
func Load(paths map[string]string, unit string) *Group {
	g := &Group{unit: loadUnit(unit)}
	for _, name := range slices.Sorted(maps.Keys(paths)) {
		i := slices.IndexFunc(g.parts, func(p *part) bool { return p.dir == paths[name] })
		if i < 0 {
			i = len(g.parts)
			g.parts = append(g.parts, &part{dir: paths[name], Hierarchy: Hierarchy{Version: 1}})
		}
		p := g.parts[i]
		if label, ok := strings.CutPrefix(name, "name="); ok {
			p.Name = label
		} else if name == "" {
			p.Version = 2
		} else {
			p.Controllers = append(p.Controllers, name)
		}
	}
	return g
}

// Paths returns the directories of the group: by controller, by name=systemd, and by "" for v2.
func (g *Group) Paths() map[string]string {
	paths := map[string]string{}
	for _, p := range g.parts {
		switch {
		case p.Version == 2:
			paths[""] = p.dir
		case len(p.Controllers) == 0:
			paths["name="+p.Name] = p.dir
		}
		for _, controller := range p.Controllers {
			if p.Version == 1 {
				paths[controller] = p.dir
			}
		}
	}
	return paths
}

// v2 returns the part in the cgroup2 tree, or nil.
func (g *Group) v2() *part {
	for _, p := range g.parts {
		if p.Version == 2 {
			return p
		}
	}
	return nil
}

// part returns the part that has a controller, or nil. A controller that is bound to a v1 tree is not in v2.
func (g *Group) part(controller string) *part {
	for _, p := range g.parts {
		if p.Version == 1 && slices.Contains(p.Controllers, controller) {
			return p
		}
	}
	p := g.v2()
	if p != nil && p.Controllers == nil { // of a group that was loaded
		text, _ := kernel.ReadFile(p.dir + "/cgroup.controllers") // what cannot be read is not there
		p.Controllers = strings.Fields(text)
	}
	if p == nil || !slices.Contains(p.Controllers, controller) {
		return nil
	}
	return p
}

// Dir opens the group in the cgroup2 tree, for a process to be born in it (CLONE_INTO_CGROUP, clone(2)). It
// is nil where there is none: without cgroup2, with systemd, which wants a process first, and under a
// pids.limit of 0, which forbids births but not Add.
func (g *Group) Dir() (*os.File, error) {
	p := g.v2()
	if p == nil || g.unit != nil && !g.unit.started {
		return nil, nil
	}
	if limit, _ := kernel.ReadFile(p.dir + "/pids.max"); limit == "0" {
		return nil, nil
	}
	fd, err := unix.Open(p.dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("cgroup: adding pid to %s: %w", p.dir, err)
	}
	return os.NewFile(uintptr(fd), p.dir), nil
}

// Add moves a process into the group, in all trees but those where it is already: in cgroup2 if it was born
// there, by Dir, in v1 if it went by itself, by Enter. With systemd the first process makes the group.
func (g *Group) Add(door *kernel.Door, pid int, born, entered bool) error {
	if g.unit != nil && !g.unit.started {
		return g.startUnit(door, pid)
	}
	for _, p := range g.parts {
		if born && p.Version == 2 || entered && p.Version == 1 {
			continue
		}
		if err := p.add(door, pid); err != nil {
			return err
		}
	}
	return nil
}

func (p *part) add(door *kernel.Door, pid int) error {
	err := door.Write(p.dir+"/cgroup.procs", strconv.Itoa(pid))
	if err != nil && errors.Is(err, unix.EBUSY) && p.Version == 2 {
		return fmt.Errorf("%w: the group hands controllers down, and may have no processes of its own", err)
	}
	return err
}

// Below returns the groups at paths below this one. A path is one in every tree, or in those of
// some controllers of v1, as in cpu,cpuacct:PATH; where nothing is said, it is this group.
func (g *Group) Below(paths ...string) (*Group, error) {
	below := &Group{}
	for _, p := range g.parts {
		below.parts = append(below.parts, &part{Hierarchy: p.Hierarchy, dir: p.dir})
	}
	for _, text := range paths {
		if g.None() {
			return nil, fmt.Errorf("cgroup %q: %w", text, errNone)
		}
		path := text
		var controllers []string
		if names, rest, some := strings.Cut(text, ":"); some {
			controllers, path = strings.Split(names, ","), rest
		}
		path = cmp.Or(strings.TrimLeft(path, "/"), ".")
		if !filepath.IsLocal(path) {
			return nil, fmt.Errorf("cgroup %q: bad sub cgroup path: want one below the container's own", text)
		}
		if err := g.choose(below, controllers, path); err != nil {
			return nil, fmt.Errorf("cgroup %q: %w", text, err)
		}
	}
	return below, nil
}

// choose takes the path in the trees of these controllers, in all of them if none is named.
func (g *Group) choose(below *Group, controllers []string, path string) error {
	if controllers == nil {
		for i, p := range g.parts {
			below.parts[i].dir = filepath.Join(p.dir, path)
		}
	}
	for _, name := range controllers {
		i := slices.IndexFunc(g.parts, func(p *part) bool {
			return slices.Contains(p.Controllers, name) || p.Name != "" && name == "name="+p.Name
		})
		if i < 0 {
			return fmt.Errorf("unknown controller %s: the container has no group of it", cmp.Or(name, `""`))
		}
		below.parts[i].dir = filepath.Join(g.parts[i].dir, path)
	}
	return nil
}

// Of returns the group that a process of this group is in by now: an init inside the container may have made
// groups below its own and moved itself. proc is the text of the process's /proc/PID/cgroup.
func (g *Group) Of(proc string) *Group {
	of := &Group{}
	member := ParseMembership(proc)
	for _, p := range g.parts {
		// The group's path in the tree is the end of its directory's, wherever the tree is mounted.
		now, dir := member.in(p.Hierarchy), p.dir
		for at := now; at != "/"; at = filepath.Dir(at) {
			if strings.HasSuffix(p.dir, at) {
				dir += strings.TrimPrefix(now, at)
				break
			}
		}
		of.parts = append(of.parts, &part{Hierarchy: p.Hierarchy, dir: dir})
	}
	return of
}

// Exists tells whether the group is there in any tree.
func (g *Group) Exists() bool {
	return slices.ContainsFunc(g.parts, func(p *part) bool { return unix.Access(p.dir, unix.F_OK) == nil })
}

// Update changes the limits that resources has; the others stay.
func (g *Group) Update(door *kernel.Door, resources *specs.LinuxResources) error {
	if g.None() {
		return errNone
	}
	changes, err := g.changes(resources, readFile) // before systemd writes what they depend on
	if err != nil {
		return err
	}
	if g.unit != nil {
		if err := g.updateUnit(door, resources); err != nil {
			return err
		}
	}
	if err := g.apply(door, changes, nil); err != nil {
		return err
	}
	if resources == nil || resources.Devices == nil {
		return nil
	}
	return g.allow(door, resources.Devices, false)
}
