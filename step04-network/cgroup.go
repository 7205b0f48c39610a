//go:build linux

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// controllers are those the container is counted and limited by.
var controllers = []string{"memory", "cpu", "pids"}

// cgroup is the container's: a directory of the cgroup2 file system, and one in each v1 hierarchy that
// holds a controller we need.
type cgroup struct {
	dir    *os.File
	limits limits
	v1     map[string]string // controller to directory
	mount  string            // where we mounted cgroup2 ourselves, if we had to
}

func (g *cgroup) fd() int { return int(g.dir.Fd()) }

// newCgroup makes the container's cgroup and sets its limits. On an error nothing of it is left.
func newCgroup(c container) (_ *cgroup, err error) {
	g := &cgroup{limits: c.Limits, v1: map[string]string{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, g.remove())
		}
	}()
	root, err := g.findOrMount(c.Dir + "/cgroup")
	if err != nil {
		return nil, err
	}
	name := "simple-container-" + c.ID
	if g.dir, err = makeGroup(filepath.Join(root, name)); err != nil {
		return nil, err
	}
	for _, controller := range controllers {
		switch here, err := enable(root, controller); {
		case err != nil:
			return nil, err
		case !here:
			if err := g.makeV1(controller, name); err != nil {
				return nil, err
			}
		}
	}
	return g, g.apply()
}

// findOrMount returns where cgroup2 is mounted; if it is nowhere, it mounts it at dir.
func (g *cgroup) findOrMount(dir string) (root string, err error) {
	if root, err = findMount("cgroup2", ""); root != "" || err != nil {
		return root, err
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", err
	}
	g.mount = dir
	return dir, mount("cgroup2", dir, "cgroup2", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "")
}

// findMount returns the first mount point of a file system type whose options hold option, or "".
func findMount(fstype, option string) (string, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return "", err
	}
	defer f.Close()
	// 36 35 0:30 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory
	for lines := bufio.NewScanner(f); lines.Scan(); {
		before, after, _ := strings.Cut(lines.Text(), " - ")
		place, super := strings.Fields(before), strings.Fields(after)
		if super[0] != fstype {
			continue
		}
		if option == "" || slices.Contains(strings.Split(super[len(super)-1], ","), option) {
			return place[4], nil
		}
	}
	return "", nil
}

// makeGroup makes a cgroup: in a cgroup file system that is what mkdir does.
func makeGroup(dir string) (*os.File, error) {
	say(fmt.Sprintf("mkdir(%q, 0755)", dir), "mkdir "+dir)
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, err
	}
	return os.Open(dir)
}

// enable hands a controller down from the root to its children, and tells whether cgroup2 has it at all.
// Only what is in a group's subtree_control appears in the groups below it.
func enable(root, controller string) (here bool, err error) {
	here, err = listed(filepath.Join(root, "cgroup.controllers"), controller)
	if !here || err != nil {
		return false, err
	}
	file := filepath.Join(root, "cgroup.subtree_control")
	if enabled, err := listed(file, controller); enabled || err != nil {
		return true, err
	}
	err = writeFile(file, "+"+controller)
	if errors.Is(err, unix.EBUSY) { // only in a real root may processes and controllers live side by side
		err = fmt.Errorf("%w: %s is a group with processes of its own; are we in a container? "+
			"go run ./final doctor tells the way out", err, root)
	}
	return true, err
}

// listed tells whether a file such as "cpu io memory pids" holds a word.
func listed(file, word string) (bool, error) {
	text, err := os.ReadFile(file)
	return slices.Contains(strings.Fields(string(text)), word), err
}

// apply writes the limits and reads each one back: the kernel may round, and a group that took nothing
// must not pass for one that limits.
func (g *cgroup) apply() error {
	for _, s := range g.limits.settings() {
		todo, dir := []setting{s}, g.dir.Name()
		if v1, ok := g.v1[s.controller]; ok {
			todo, dir = s.v1(g.limits), v1
		}
		for _, s := range todo {
			file := filepath.Join(dir, s.file)
			err := writeFile(file, s.value)
			if s.optional && errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return err
			}
			if got, err := os.ReadFile(file); err != nil {
				return err
			} else if got := strings.TrimSpace(string(got)); got != s.value {
				return fmt.Errorf("write %s %q: the kernel made it %q", file, s.value, got)
			}
		}
	}
	return nil
}

// writeFile writes a kernel file, in one write call as these files want it.
func writeFile(file, value string) error {
	say(fmt.Sprintf("write(%q, %q)", file, value), fmt.Sprintf("echo %s > %s", value, file))
	f, err := os.OpenFile(file, os.O_WRONLY, 0) // never create: a missing file is a missing feature
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.WriteString(value); err != nil {
		return fmt.Errorf("write %s %q: %w", file, value, errors.Unwrap(err))
	}
	return nil
}

// explain says why the container ended, if it was for the memory it wanted.
func (g *cgroup) explain() error {
	file, dir := "memory.events", g.dir.Name()
	if v1, ok := g.v1["memory"]; ok {
		file, dir = "memory.oom_control", v1
	}
	events, err := keyed(filepath.Join(dir, file))
	kills := events["oom_kill"]
	if err != nil || kills == 0 {
		return nil // without a memory controller there is nothing to tell
	}
	return fmt.Errorf("out of memory: at the limit of %d bytes the kernel killed processes (%s: oom_kill %d)",
		g.limits.Memory, file, kills)
}

// keyed reads a file of lines such as "oom_kill 1".
func keyed(file string) (map[string]uint64, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	values := map[string]uint64{}
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if values[key], err = strconv.ParseUint(value, 10, 64); err != nil {
			return nil, fmt.Errorf("%s: %q: %w", file, line, err)
		}
	}
	return values, nil
}

// remove ends whatever is left in the cgroup and takes it away.
func (g *cgroup) remove() error {
	var errs []error
	if g.dir != nil {
		defer g.dir.Close()
		kill := filepath.Join(g.dir.Name(), "cgroup.kill")
		if err := writeFile(kill, "1"); !errors.Is(err, fs.ErrNotExist) { // since Linux 5.14
			errs = append(errs, err)
		}
		errs = append(errs, removeGroup(g.dir.Name()))
	}
	for _, controller := range slices.Sorted(maps.Keys(g.v1)) {
		errs = append(errs, removeGroup(g.v1[controller]))
	}
	if g.mount != "" {
		say(fmt.Sprintf("umount2(%q, MNT_DETACH)", g.mount), "umount -l "+g.mount)
		errs = append(errs, unix.Unmount(g.mount, unix.MNT_DETACH), os.Remove(g.mount))
	}
	return errors.Join(errs...)
}

// removeGroup removes a cgroup with rmdir, never with RemoveAll: its files are the kernel's. It is busy
// until the last process has left, which for one that was just killed takes a moment.
func removeGroup(dir string) error {
	say(fmt.Sprintf("rmdir(%q)", dir), "rmdir "+dir)
	var err error
	for range 500 {
		if err = unix.Rmdir(dir); !errors.Is(err, unix.EBUSY) {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("rmdir %s: %w", dir, err)
	}
	return nil
}

// mountCgroup shows the container its own limits, read-only. The cgroup namespace makes our cgroup the
// root of what is seen; it must be made in the cgroup, which is why it was not made with the others at
// clone time (cgroup_namespaces(7)).
func mountCgroup() error {
	say("unshare(CLONE_NEWCGROUP)", "unshare --cgroup")
	if err := unix.Unshare(unix.CLONE_NEWCGROUP); err != nil {
		return fmt.Errorf("unshare CLONE_NEWCGROUP: %w", err)
	}
	return mount("cgroup2", "/sys/fs/cgroup", "cgroup2", readOnly, "")
}
