//go:build linux

package plan

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// checkMapped refuses ids that the new user namespace will not have. The kernel would say "invalid argument".
func checkMapped(s *specs.Spec) error {
	if !NewUser(s) {
		return nil
	}
	if !isMapped(s.Linux.UIDMappings, 0) { // who makes the mounts
		return errors.New("linux.uidMappings: want container id 0 among them")
	}
	if !isMapped(s.Linux.GIDMappings, 0) {
		return errors.New("linux.gidMappings: want container id 0 among them")
	}
	if s.Process != nil {
		if err := CheckUser(s, s.Process.User); err != nil {
			return err
		}
	}
	for i, m := range s.Mounts {
		if m.Type != "tmpfs" && m.Type != "devpts" {
			continue // other file systems have no such options, or others' ids
		}
		for _, option := range m.Options {
			if err := checkOwner(s.Linux, option); err != nil {
				return fmt.Errorf("mounts[%d].options: %s: %w", i, option, err)
			}
		}
	}
	return nil
}

// CheckUser refuses a process's ids that the container's new user namespace has not.
func CheckUser(s *specs.Spec, user specs.User) error {
	if !NewUser(s) {
		return nil
	}
	groups := s.Linux.GIDMappings
	if !isMapped(s.Linux.UIDMappings, user.UID) {
		return fmt.Errorf("process.user.uid: %d: linux.uidMappings has no such container id", user.UID)
	}
	if !isMapped(groups, user.GID) {
		return fmt.Errorf("process.user.gid: %d: linux.gidMappings has no such container id", user.GID)
	}
	for i, gid := range user.AdditionalGids {
		if !isMapped(groups, gid) {
			return fmt.Errorf("process.user.additionalGids[%d]: %d: linux.gidMappings has no such container id", i, gid)
		}
	}
	return nil
}

// checkOwner looks at an option as uid=0 or gid=5.
func checkOwner(l *specs.Linux, option string) error {
	key, value, _ := strings.Cut(option, "=")
	id, err := strconv.ParseUint(value, 10, 32)
	switch {
	case err != nil: // the kernel has words for that
	case key == "uid" && !isMapped(l.UIDMappings, uint32(id)):
		return errors.New("linux.uidMappings has no such container id")
	case key == "gid" && !isMapped(l.GIDMappings, uint32(id)):
		return errors.New("linux.gidMappings has no such container id")
	}
	return nil
}

func isMapped(mappings []specs.LinuxIDMapping, id uint32) bool {
	_, ok := HostID(mappings, id)
	return ok
}

// HostID is what an id of the container is on the host, if it is anything there.
func HostID(mappings []specs.LinuxIDMapping, id uint32) (host uint32, ok bool) {
	for _, m := range mappings {
		if id >= m.ContainerID && id-m.ContainerID < m.Size {
			return m.HostID + id - m.ContainerID, true
		}
	}
	return 0, false
}
