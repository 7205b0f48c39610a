//go:build linux

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
)

// In cgroup v1 every controller has a hierarchy of its own, with other files for the same limits. A
// controller is in one world or the other for the whole machine: where some program bound it to v1 at
// boot, cgroup2 does not have it (a "hybrid" host). So the container gets a group in both.

// makeV1 makes the container's group in the v1 hierarchy of a controller.
func (g *cgroup) makeV1(controller, name string) error {
	root, err := findMount("cgroup", controller)
	if err != nil {
		return err
	}
	if root == "" {
		return fmt.Errorf("cgroup: the %s controller is on neither v2 nor v1: "+
			"go run ./final doctor tells what this kernel has", controller)
	}
	dir := filepath.Join(root, name)
	g.v1[controller] = dir
	f, err := makeGroup(dir)
	if errors.Is(err, fs.ErrExist) {
		return nil // two controllers can share a hierarchy: cpu,cpuacct
	}
	if err != nil {
		return err
	}
	return f.Close()
}

// v1 is the setting in the words of cgroup v1 (the kernel's admin-guide/cgroup-v1/).
func (s setting) v1(l limits) []setting {
	switch s.file {
	case "memory.max":
		return []setting{{file: "memory.limit_in_bytes", value: s.value}}
	case "memory.swap.max": // v2 counts swap alone, v1 memory and swap together
		return []setting{{file: "memory.memsw.limit_in_bytes", value: l.Memory.String(), optional: true}}
	case "cpu.max":
		return []setting{
			{file: "cpu.cfs_period_us", value: strconv.Itoa(period)},
			{file: "cpu.cfs_quota_us", value: strconv.Itoa(l.CPUs.quota())},
		}
	case "pids.max":
		return []setting{s}
	}
	return nil // memory.oom.group: v1 kills one process and has no word for more
}

// enterV1 moves the child into its v1 groups: at clone it can only enter a v2 one. It waits for us, so it
// has no children yet that would be missed.
func (g *cgroup) enterV1(pid int) error {
	for _, controller := range slices.Sorted(maps.Keys(g.v1)) {
		if err := writeFile(filepath.Join(g.v1[controller], "cgroup.procs"), strconv.Itoa(pid)); err != nil {
			return err
		}
	}
	return nil
}
