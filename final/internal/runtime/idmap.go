//go:build linux

package runtime

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/simple-container/simple-container/final/internal/kernel"
	"github.com/simple-container/simple-container/final/internal/plan"
)

// mapIDs gives the user namespace of a process its ids (user_namespaces(7)).
func (r *Runtime) mapIDs(pid int, l *specs.Linux) error {
	for _, m := range idMaps(l) {
		write := r.writeMap
		if rootless() {
			write = r.mapForUser
		}
		if err := write(pid, m); err != nil {
			return fmt.Errorf("linux.%s: %w", m.field, err)
		}
	}
	return nil
}

// An idMap is a file of /proc/PID, and what goes there.
type idMap struct {
	file, field string
	mappings    []specs.LinuxIDMapping
	own         int // the caller's id
}

func idMaps(l *specs.Linux) []idMap {
	return []idMap{
		{"uid_map", "uidMappings", l.UIDMappings, os.Geteuid()},
		{"gid_map", "gidMappings", l.GIDMappings, os.Getegid()},
	}
}

// text is what the kernel takes: the first id inside, the first outside, how many.
//
//	0 1000 1
//	1 100000 65536
func (m idMap) text() string {
	var text strings.Builder
	for _, id := range m.mappings {
		fmt.Fprintf(&text, "%d %d %d\n", id.ContainerID, id.HostID, id.Size)
	}
	return text.String()
}

// itself tells whether the map has nothing but one id, the caller's own: all that a user can map alone.
func (m idMap) itself() bool {
	return len(m.mappings) == 1 && m.mappings[0].Size == 1 && m.mappings[0].HostID == uint32(m.own)
}

func (r *Runtime) writeMap(pid int, m idMap) error {
	return r.Door.Write(fmt.Sprintf("/proc/%d/%s", pid, m.file), m.text())
}

// mapForUser has the ids mapped for a user who is not root: his own by himself, others by newuidmap(1) or newgidmap(1),
// which know what root has given him (subid.go), and see to setgroups(2).
func (r *Runtime) mapForUser(pid int, m idMap) error {
	if !m.itself() {
		_, err := r.Door.Run(m.tool(), slices.Concat([]string{strconv.Itoa(pid)}, strings.Fields(m.text()))...)
		if err != nil {
			return m.refused(err)
		}
		return nil
	}
	if m.file == "gid_map" {
		if err := r.Door.Write(fmt.Sprintf("/proc/%d/setgroups", pid), "deny"); err != nil {
			return err
		}
	}
	return r.writeMap(pid, m)
}

// tool is the program that maps what others have been given: newuidmap or newgidmap.
func (m idMap) tool() string { return "new" + strings.ReplaceAll(m.file, "_", "") }

// deniesSetgroups tells whether there will be no setgroups(2) in a new container: with a group that he drops, a user
// could come to files that the group is kept from. What our own user namespace denies, those below it deny too.
func deniesSetgroups(s *specs.Spec) bool {
	alone := rootless() && plan.NewUser(s) && idMaps(s.Linux)[1].itself()
	return alone || kernel.InUserNamespace() && setgroupsDenied(os.Getpid())
}

// setgroupsDenied tells whether there is none for a process.
func setgroupsDenied(pid int) bool {
	text, _ := kernel.ReadFile(fmt.Sprintf("/proc/%d/setgroups", pid)) // one that has ended needs none
	return text == "deny"
}
