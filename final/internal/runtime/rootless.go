//go:build linux

package runtime

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/simple-container/simple-container/final/internal/cgroup"
	"github.com/simple-container/simple-container/final/internal/kernel"
	"github.com/simple-container/simple-container/final/internal/plan"
)

// This file is for users who are not root. Of their own user namespaces they are: the kernel gives the first process of
// a new one all capabilities in it, and what belongs to it can be mounted, named and limited by nobody else
// (user_namespaces(7)). The rest is root's: other ids than their own, cgroups that nobody has delegated to them.

// rootless tells whether we are not root.
func rootless() bool { return os.Geteuid() != 0 }

// checkRootless refuses what takes root.
func checkRootless(s *specs.Spec) error {
	switch {
	case !rootless():
		return nil
	case s.Hooks != nil && len(s.Hooks.StartContainer) > 0:
		return fmt.Errorf("hooks.startContainer: user %d is not root, and may not join a container that waits for start",
			os.Geteuid())
	case plan.NewUser(s):
		return nil
	}
	return fmt.Errorf("linux.namespaces: no new user namespace, and user %d is not root: "+
		"add one (final spec --rootless has it), or sudo final", os.Geteuid())
}

// checkEnd refuses a container whose processes nobody could find again. They end with the first one, or they are in
// the container's cgroup.
func checkEnd(s *specs.Spec, group *cgroup.Group) error {
	if !group.None() || plan.NewPID(s) {
		return nil
	}
	return fmt.Errorf("linux.namespaces: no new PID namespace, and no cgroup is delegated to user %d: "+
		"with neither, its processes would stay behind", os.Geteuid())
}

// mapsItself tells whether a map has nothing but one id, the user's own: all that he can map alone.
func mapsItself(mappings []specs.LinuxIDMapping, own int) bool {
	return len(mappings) == 1 && mappings[0].Size == 1 && mappings[0].HostID == uint32(own)
}

// deniesSetgroups tells whether there will be no setgroups(2) in a new container: with a group that he drops, a user
// could come to files that the group is kept from.
func deniesSetgroups(s *specs.Spec) bool {
	return rootless() && plan.NewUser(s) && mapsItself(s.Linux.GIDMappings, os.Getegid())
}

// setgroupsDenied tells whether there is none for a process.
func setgroupsDenied(pid int) bool {
	text, _ := kernel.ReadFile(fmt.Sprintf("/proc/%d/setgroups", pid)) // one that has ended needs none
	return text == "deny"
}

// mapForUser has the ids mapped for a user who is not root: his own by himself, others by newuidmap(1) or newgidmap(1),
// which know what root has given him (subuid(5)).
func (r *Runtime) mapForUser(pid int, m idMap) error {
	if m.file == "gid_map" && mapsItself(m.mappings, os.Getegid()) {
		if err := r.Door.Write(fmt.Sprintf("/proc/%d/setgroups", pid), "deny"); err != nil {
			return err
		}
	}
	if own := map[string]int{"uid_map": os.Geteuid(), "gid_map": os.Getegid()}[m.file]; mapsItself(m.mappings, own) {
		return r.Door.Write(fmt.Sprintf("/proc/%d/%s", pid, m.file), m.text())
	}
	tool := "new" + strings.ReplaceAll(m.file, "_", "")
	_, err := r.Door.Run(tool, slices.Concat([]string{strconv.Itoa(pid)}, strings.Fields(m.text()))...)
	if errors.Is(err, exec.ErrNotFound) {
		return fmt.Errorf("%w: more than one id takes it: apt-get install uidmap", err)
	}
	return err
}
