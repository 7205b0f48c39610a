//go:build linux

package runtime

import (
	"path"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/simple-container/simple-container/final/internal/cgroup"
	"github.com/simple-container/simple-container/final/internal/plan"
)

// delegate gives the container's cgroup to its user, who can then make groups below: a systemd does.
func (r *Runtime) delegate(s *specs.Spec, group *cgroup.Group) error {
	if uid, given := cgroupOwner(s); given {
		return group.Owned(r.Door, uid)
	}
	return nil
}

// cgroupOwner is whose the cgroup is to be on the host. The specification wants it given away if and only if the
// container has a new cgroup namespace, and may write to /sys/fs/cgroup (config-linux.md, "Cgroup ownership").
func cgroupOwner(s *specs.Spec) (uid int, given bool) {
	writable := slices.ContainsFunc(s.Mounts, func(m specs.Mount) bool {
		return m.Source == "cgroup" && path.Clean("/"+m.Destination) == "/sys/fs/cgroup" && !slices.Contains(m.Options, "ro")
	})
	user := s.Process.User.UID
	switch {
	case !writable || !plan.NewCgroup(s):
		return 0, false
	case !plan.Has(s, specs.UserNamespace):
		return int(user), user != 0 // root's it is
	case !plan.NewUser(s):
		return 0, false // whom the ids mean there is not in this config.json
	}
	host, mapped := plan.HostID(s.Linux.UIDMappings, user)
	return int(host), mapped // a user that is not mapped owns nothing
}
