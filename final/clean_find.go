//go:build linux && !engine

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/moby/sys/mountinfo"
	"github.com/simple-container/simple-container/final/internal/cgroup"
	"github.com/simple-container/simple-container/final/internal/kernel"
	"github.com/simple-container/simple-container/final/internal/network"
	"golang.org/x/sys/unix"
)

// A remnant is one thing on the host that bears a container's id.
type remnant struct {
	kind   string // the word for it
	name   string
	id     string
	remove func(*kernel.Door) error
}

// findRemnants returns everything that bears a container's id, in the order in which it can be removed:
// who uses comes before what is used.
func findRemnants(door *kernel.Door) (all []remnant, err error) {
	var errs []error
	mounts, err := door.Mounts()
	errs = append(errs, err)
	for _, find := range []func(*kernel.Door, []*mountinfo.Info) ([]remnant, error){
		findProcesses, findCgroups, findRules, findLinks, findMounts, findDirectories,
	} {
		found, err := find(door, mounts)
		all, errs = append(all, found...), append(errs, err)
	}
	return all, errors.Join(errs...)
}

// findProcesses finds those whose root is a container's overlay. They are in the container's cgroup as a
// rule, and end with that; a container of step 02 has none.
func findProcesses(*kernel.Door, []*mountinfo.Info) (found []remnant, err error) {
	processes, err := filepath.Glob("/proc/[0-9]*")
	for _, dir := range processes {
		pid, _ := strconv.Atoi(filepath.Base(dir))
		id, ok := containerOf(pid)
		if !ok {
			continue
		}
		same := func() bool { now, ok := containerOf(pid); return ok && now == id }
		found = append(found, remnant{"process", strconv.Itoa(pid), id, func(door *kernel.Door) error {
			return endProcess(door, pid, same)
		}})
	}
	return found, err
}

// endProcess kills a process and waits until it has left its container.
func endProcess(door *kernel.Door, pid int, same func() bool) error {
	if err := door.Kill(pid, same); err != nil {
		return err
	}
	for deadline := time.Now().Add(patience); same(); time.Sleep(interval) {
		if time.Now().After(deadline) {
			return fmt.Errorf("kill %d: still there after %v", pid, patience)
		}
	}
	return nil
}

// containerOf returns the id of the container that a process has its root in: the root's mount names the
// directory of the upper layer. A process that ends meanwhile has none.
func containerOf(pid int) (id string, ok bool) {
	file, err := os.Open(fmt.Sprintf("/proc/%d/mountinfo", pid))
	if err != nil {
		return "", false
	}
	defer file.Close()
	// 93 61 0:52 / / rw,nodev - overlay overlay rw,lowerdir=/srv/rootfs,upperdir=/run/simple-container/ID/upper,...
	root, err := mountinfo.GetMountsFromReader(file, mountinfo.SingleEntryFilter("/"))
	if err != nil || len(root) == 0 || root[0].FSType != "overlay" {
		return "", false
	}
	_, path, _ := strings.Cut(root[0].VFSOptions, "upperdir="+kernel.StateDir+"/")
	id, _, _ = strings.Cut(path, "/")
	return id, kernel.IsID(id)
}

func findCgroups(_ *kernel.Door, mounts []*mountinfo.Info) (found []remnant, err error) {
	layout, err := cgroup.Find(mounts)
	if err != nil {
		return nil, err
	}
	groups, err := layout.Groups(func(name string) bool { _, ok := kernel.ID(name); return ok })
	for _, dir := range groups {
		id, _ := kernel.ID(filepath.Base(dir))
		found = append(found, remnant{"cgroup", dir, id, func(door *kernel.Door) error {
			return cgroup.Remove(door, dir)
		}})
	}
	return found, err
}

func findRules(door *kernel.Door, _ []*mountinfo.Info) (found []remnant, err error) {
	rules, err := network.Rules(door)
	for _, rule := range rules {
		found = append(found, remnant{"rule", rule.String(), rule.ID, rule.Delete})
	}
	return found, err
}

func findLinks(door *kernel.Door, _ []*mountinfo.Info) (found []remnant, err error) {
	links, err := door.Links()
	for _, link := range links {
		if id, ok := network.LinkID(link); ok {
			found = append(found, remnant{"link", link.Attrs().Name, id, func(door *kernel.Door) error {
				return door.DeleteLink(link)
			}})
		}
	}
	return found, err
}

func findMounts(_ *kernel.Door, mounts []*mountinfo.Info) (found []remnant, err error) {
	for _, point := range kernel.MountsBelow(mounts, kernel.StateDir) {
		below, _ := strings.CutPrefix(point, kernel.StateDir+"/")
		if id, _, _ := strings.Cut(below, "/"); kernel.IsID(id) {
			found = append(found, remnant{"mount", point, id, func(door *kernel.Door) error {
				err := door.Unmount(point)
				if errors.Is(err, unix.EINVAL) { // not a mount point: it went with another it was tied to
					return fs.ErrNotExist
				}
				return err
			}})
		}
	}
	return found, nil
}

// findDirectories finds the containers' directories, and in each the mount points it may have.
func findDirectories(*kernel.Door, []*mountinfo.Info) (found []remnant, err error) {
	entries, err := os.ReadDir(kernel.StateDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, entry := range entries {
		if id := entry.Name(); kernel.IsID(id) {
			dir := filepath.Join(kernel.StateDir, id)
			found = append(found, remnant{"directory", dir, id, func(door *kernel.Door) error {
				return removeDirectory(door, dir)
			}})
		}
	}
	return found, nil
}

// removeDirectory removes a container's directory and the empty directories in it, with nothing but rmdir:
// what has anything in it was not made by us, or is a mount that would not go.
func removeDirectory(door *kernel.Door, dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if err := door.Rmdir(filepath.Join(dir, entry.Name())); err != nil {
			return err
		}
	}
	return door.Rmdir(dir)
}

func idsOf(found []remnant) []string {
	var ids []string
	for _, r := range found {
		ids = append(ids, r.id)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}
