//go:build linux

package runtime

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

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
	case !rootless() || plan.NewUser(s):
		return nil
	case plan.Has(s, specs.UserNamespace):
		return checkJoined(s)
	}
	return fmt.Errorf("linux.namespaces: no user namespace, and user %d is not root: "+
		"add one (final spec --rootless has it), or sudo final", os.Geteuid())
}

// checkJoined refuses what a user may not do, or had better not, in a user namespace that others are in, too: whoever is
// root of it, and sees a process of it, has the process's root directory, unless that hides.
func checkJoined(s *specs.Spec) error {
	if len(s.Linux.TimeOffsets) > 0 { // the file is root's for a process that hides
		return fmt.Errorf("linux.timeOffsets: user %d, who is not root, sets them with a new user namespace alone", os.Geteuid())
	}
	if h := s.Hooks; h != nil && len(h.CreateContainer) > 0 && !plan.NewPID(s) {
		return fmt.Errorf("hooks.createContainer: they have all files of user %d, and the PID and the user namespace are "+
			"others' too, who could reach these by them: have a new one of either kind, or no such hooks", os.Geteuid())
	}
	return nil
}

// barred says, of what the kernel has refused a user, whether this machine keeps user namespaces from users: by a number,
// or by letting them be made, and giving no rights in them.
func barred(err error) error {
	refusals := []error{unix.EPERM, unix.EACCES, unix.ENOSPC}
	if !rootless() || !slices.ContainsFunc(refusals, func(e error) bool { return errors.Is(err, e) }) {
		return err
	}
	if s, off := kernel.UsersBarred(); off {
		return fmt.Errorf("%w: %s is %s, and so users have no containers: sudo sysctl -w %s", err, s.Name, s.Value, s.Remedy)
	}
	return err
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

// checkGroups refuses additional groups where there is no setgroups(2). Root, who may have another's config.json to run,
// is only warned (confine).
func checkGroups(p *specs.Process, denied bool) error {
	if !rootless() || !denied || len(p.User.AdditionalGids) == 0 {
		return nil
	}
	return fmt.Errorf("process.user.additionalGids: %d: a user namespace with one group, the caller's, denies setgroups: "+
		"leave them out, or map them (linux.gidMappings)", p.User.AdditionalGids)
}
