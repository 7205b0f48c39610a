//go:build linux

package plan

import (
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// TestMapped: ids that the user namespace has not are refused by name; those of others' file systems are their business.
func TestMapped(t *testing.T) {
	for _, test := range []struct {
		change func(s *specs.Spec)
		want   string
	}{
		{func(*specs.Spec) {}, ""},
		{func(s *specs.Spec) { s.Linux.UIDMappings[0].ContainerID = 1 }, "linux.uidMappings: want container id 0 among them"},
		{func(s *specs.Spec) { s.Linux.GIDMappings[0].ContainerID = 1 }, "linux.gidMappings: want container id 0 among them"},
		{func(s *specs.Spec) { s.Process.User.UID = 10 }, "process.user.uid: 10: linux.uidMappings has no such container id"},
		{func(s *specs.Spec) { s.Process.User.GID = 20 }, "process.user.gid: 20: linux.gidMappings has no such container id"},
		{func(s *specs.Spec) { s.Process.User.AdditionalGids = []uint32{19, 20} },
			"process.user.additionalGids[1]: 20: linux.gidMappings has no such container id"},
		{func(s *specs.Spec) { s.Mounts[0].Options = []string{"mode=755", "uid=10"} },
			"mounts[0].options: uid=10: linux.uidMappings has no such container id"},
		{func(s *specs.Spec) { s.Mounts[0].Options = []string{"gid=20"} }, "mounts[0].options: gid=20: linux.gidMappings"},
		{func(s *specs.Spec) { s.Mounts[0].Options = []string{"gid=19", "uid=x", "size=20"} }, ""},
		{func(s *specs.Spec) { s.Mounts[0].Type, s.Mounts[0].Options = "fuse", []string{"gid=20"} }, ""},
		{func(s *specs.Spec) { s.Linux.Namespaces[0].Path, s.Process.User.UID = "/proc/1/ns/user", 10 }, ""}, // not ours to know
	} {
		s := &specs.Spec{
			Process: &specs.Process{}, Mounts: []specs.Mount{{Destination: "/t", Type: "tmpfs"}},
			Linux: &specs.Linux{
				Namespaces:  []specs.LinuxNamespace{{Type: specs.UserNamespace}},
				UIDMappings: []specs.LinuxIDMapping{{HostID: 1000, Size: 10}},
				GIDMappings: []specs.LinuxIDMapping{{HostID: 1000, Size: 10}, {ContainerID: 10, HostID: 5000, Size: 10}},
			},
		}
		test.change(s)
		err := checkMapped(s)
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("got %v, want %q", err, test.want)
		}
	}
}
