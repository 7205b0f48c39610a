//go:build linux && !engine

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/simple-container/simple-container/final/internal/cgroup"
)

// limited are the controllers that step 03 sets limits with.
var limited = []string{"memory", "cpu", "pids"}

func (d *doctor) layout() (cgroup.Layout, error) {
	mounts, err := d.door.Mounts()
	if err != nil {
		return nil, err
	}
	return cgroup.Find(mounts)
}

func (d *doctor) cgroupMode() result {
	layout, err := d.layout()
	if err != nil {
		return result{note, err.Error(), ""}
	}
	return judgeMode(layout)
}

// judgeMode tells where the controllers are. v1 is a note: step 03 sets the same limits there.
func judgeMode(layout cgroup.Layout) result {
	mode := layout.Mode()
	var where []string
	for _, name := range limited {
		if h, ok := layout.Controller(name); ok {
			where = append(where, fmt.Sprintf("%s on v%d", name, h.Version))
		}
	}
	detail := strings.TrimSuffix(fmt.Sprintf("%s: %s", mode, strings.Join(where, ", ")), ": ")
	switch mode {
	case cgroup.Unified:
		return good("%s", detail)
	case cgroup.Absent:
		return result{fail, "no cgroup file system is mounted", "sudo mount -t cgroup2 cgroup2 /sys/fs/cgroup"}
	}
	return result{note, detail + " (step 03 sets the limits there)",
		`sudo sed -i 's/^GRUB_CMDLINE_LINUX="/&systemd.unified_cgroup_hierarchy=1 cgroup_no_v1=all /' /etc/default/grub && sudo update-grub && sudo reboot`}
}

// controllers looks whether a container's group will get the controllers it is limited by.
func (d *doctor) controllers() result {
	layout, err := d.layout()
	if err != nil {
		return result{note, err.Error(), ""}
	}
	var said []string
	for _, name := range limited {
		h, found := layout.Controller(name)
		switch {
		case !found:
			return result{fail, name + " is neither on v2 nor on v1", enableAtBoot(name)}
		case h.ReadOnly:
			return result{fail, fmt.Sprintf("%s: %s is mounted read-only", name, h.Dir), inContainer}
		case h.Version == 2:
			r := judgeDelegation(h.Dir, name)
			if r.Status != ok {
				return r
			}
			said = append(said, r.Detail)
		default:
			said = append(said, name+" in "+h.Dir)
		}
	}
	return good("%s", strings.Join(said, ", "))
}

// judgeDelegation looks whether the root of a v2 tree hands a controller down, or can be told to. In the
// real root it always can; in a group that only looks like it, from the inside of a container, only when
// no process is in it (cgroups(7), "no internal processes").
func judgeDelegation(root, controller string) result {
	read := func(name string) []string {
		text, _ := os.ReadFile(filepath.Join(root, name)) // a missing file and an empty one mean the same here
		return strings.Fields(string(text))
	}
	if slices.Contains(read("cgroup.subtree_control"), controller) {
		return good("%s handed down in %s", controller, root)
	}
	_, err := os.Stat(filepath.Join(root, "cgroup.type")) // the real root has no such file
	if realRoot := err != nil; realRoot || len(read("cgroup.procs")) == 0 {
		return good("%s can be handed down in %s", controller, root)
	}
	return result{fail, fmt.Sprintf("%s: %s has processes, so enabling %s there is EBUSY: they must move to a leaf",
		controller, root, controller), moveToLeaf(root)}
}

// moveToLeaf is the command that moves the processes of a group into a leaf below it, and then enables the
// controllers.
func moveToLeaf(root string) string {
	return fmt.Sprintf(`sudo sh -c 'cd %s && mkdir -p leaf && for pid in $(cat cgroup.procs); do `+
		`echo $pid > leaf/cgroup.procs; done; echo "+memory +cpu +pids" > cgroup.subtree_control'`, root)
}

// enableAtBoot is the command for a controller that the kernel was told to leave out, as the memory
// controller on a Raspberry Pi.
func enableAtBoot(controller string) string {
	const raspberry = "/boot/firmware/cmdline.txt"
	if _, err := os.Stat(raspberry); err == nil {
		return fmt.Sprintf("sudo sed -i '1s/$/ cgroup_enable=%s/' %s && sudo reboot", controller, raspberry)
	}
	return fmt.Sprintf(`sudo sed -i 's/^GRUB_CMDLINE_LINUX="/&cgroup_enable=%s /' /etc/default/grub && sudo update-grub && sudo reboot`,
		controller)
}

func (d *doctor) swap() result {
	text, err := os.ReadFile("/proc/swaps")
	if err != nil {
		return good("none") // a kernel without swap
	}
	layout, err := d.layout()
	if err != nil {
		return result{note, err.Error(), ""}
	}
	memory, _ := layout.Controller("memory")
	_, err = os.Stat(filepath.Join(memory.Dir, "memory.memsw.limit_in_bytes"))
	return judgeSwap(string(text), memory.Version == 2 || err == nil)
}

// judgeSwap reads /proc/swaps: a heading, then a line for each area. Swap that is not counted is a way
// around a memory limit: the container becomes slow where it should be ended.
func judgeSwap(swaps string, counted bool) result {
	switch areas := strings.Count(strings.TrimSpace(swaps), "\n"); {
	case areas == 0:
		return good("none")
	case !counted:
		return result{note, "in use and not counted (boot option swapaccount=1): a container over its limit swaps and lives",
			"sudo swapoff -a"}
	}
	return good("in use, and counted")
}
