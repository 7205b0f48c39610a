//go:build linux

package runtime

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// givenAway is a container whose user may write to its cgroups.
func givenAway(s *specs.Spec) {
	s.Process.User = specs.User{UID: 7, GID: 7}
	i := slices.IndexFunc(s.Mounts, func(m specs.Mount) bool { return m.Type == "cgroup" })
	s.Mounts[i].Options = []string{"nosuid", "noexec", "nodev"}
}

// TestCgroupOwner goes through the sentences of config-linux.md, "Cgroup ownership".
func TestCgroupOwner(t *testing.T) {
	namespace := func(s *specs.Spec, kind specs.LinuxNamespaceType, path string) {
		s.Linux.Namespaces = slices.DeleteFunc(s.Linux.Namespaces, func(n specs.LinuxNamespace) bool { return n.Type == kind })
		s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: kind, Path: path})
	}
	for name, test := range map[string]struct {
		change func(s *specs.Spec)
		uid    int
		given  bool
	}{
		"a user":      {func(*specs.Spec) {}, 7, true},
		"root":        {func(s *specs.Spec) { s.Process.User.UID = 0 }, 0, false},
		"the host's":  {func(s *specs.Spec) { namespace(s, specs.CgroupNamespace, "/proc/1/ns/cgroup") }, 0, false},
		"read-only":   {func(s *specs.Spec) { s.Mounts[6].Options = []string{"ro"} }, 0, false},
		"elsewhere":   {func(s *specs.Spec) { s.Mounts[6].Destination = "/cgroups" }, 0, false},
		"another one": {func(s *specs.Spec) { s.Mounts[6].Source = "/srv/files" }, 0, false},
		"mapped": {func(s *specs.Spec) {
			namespace(s, specs.UserNamespace, "")
			s.Linux.UIDMappings = []specs.LinuxIDMapping{{ContainerID: 0, HostID: 1000, Size: 1}, {ContainerID: 1, HostID: 2000, Size: 9}}
		}, 2006, true},
		"not mapped": {func(s *specs.Spec) {
			namespace(s, specs.UserNamespace, "")
			s.Linux.UIDMappings = []specs.LinuxIDMapping{{ContainerID: 0, HostID: 1000, Size: 7}}
		}, 0, false},
		"joined": {func(s *specs.Spec) { namespace(s, specs.UserNamespace, "/proc/1/ns/user") }, 0, false},
	} {
		s := ExampleSpec(false)
		givenAway(s)
		test.change(s)
		if uid, given := cgroupOwner(s); uid != test.uid || given != test.given {
			t.Errorf("%s: %d, %v; want %d, %v", name, uid, given, test.uid, test.given)
		}
	}
}

// TestCgroupIsGivenAway: with what the kernel lists, and without the limits; those of v1 are not.
func TestCgroupIsGivenAway(t *testing.T) {
	both(t, func(w *world) {
		c := w.create("a", givenAway)
		for name, given := range map[string]bool{"": true, "cgroup.procs": true, "cgroup.subtree_control": true, "cgroup.freeze": false} {
			for controller, dir := range c.Cgroups {
				want := uint32(0)
				if given && controller == "" {
					want = 7
				}
				var stat unix.Stat_t
				if err := unix.Stat(filepath.Join(dir, name), &stat); err == nil && stat.Uid != want {
					w.Errorf("%s belongs to %d, want %d", filepath.Join(dir, name), stat.Uid, want)
				} else if err != nil && !os.IsNotExist(err) {
					w.Error(err)
				}
			}
		}
	})
}
