//go:build linux

package rootfs

import (
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/simple-container/simple-container/final/internal/op"
)

// TestRefused: what cannot be honoured is refused, by the name of its field.
func TestRefused(t *testing.T) {
	ids := []specs.LinuxIDMapping{{Size: 1}}
	device := func(d specs.LinuxDevice) func(*specs.Spec) {
		return func(s *specs.Spec) { s.Linux.Devices = []specs.LinuxDevice{d} }
	}
	add := func(m specs.Mount) func(*specs.Spec) { return func(s *specs.Spec) { s.Mounts = []specs.Mount{m} } }
	for _, test := range []struct {
		change func(*specs.Spec)
		want   string
	}{
		{func(s *specs.Spec) { s.Linux.RootfsPropagation = "public" }, `linux.rootfsPropagation: "public"`},
		{func(s *specs.Spec) { s.Linux.MaskedPaths = []string{"proc"} }, `linux.maskedPaths[0]: "proc"`},
		{func(s *specs.Spec) { s.Linux.ReadonlyPaths = []string{"/a", "/.."} }, `linux.readonlyPaths[1]: "/.."`},
		{add(mount("/", "tmpfs", "tmpfs", "ro")), `mounts[0]: destination: "/"`},
		{add(mount("/a/..", "tmpfs", "tmpfs", "ro")), `mounts[0]: destination: "/"`},
		{add(mount("/a", "", "x", "ro")), "mounts[0]: type: missing"},
		{add(mount("/a", "bind", "/x", "bind,inode64")), `mounts[0]: options: "inode64"`},
		{add(mount("/a", "bind", "/x", "bind,sync")), "mounts[0]: options: sync"},
		{add(mount("/a", "bind", "/x", "bind,idmap")), "mounts[0]: idmap: no mapped mount was prepared"},
		{add(mount("/a", "tmpfs", "tmpfs", "idmap")), "mounts[0]: idmap: only a bind mount"},
		{add(mount("/a", "tmpfs", "tmpfs", "tmpcopyup")), "mounts[0]: options: tmpcopyup: no filled tmpfs"},
		{add(mount("/a", "ramfs", "ramfs", "tmpcopyup")), `mounts[0]: options: tmpcopyup: only for tmpfs, this is "ramfs"`},
		{add(mount("/a", "cgroup", "cgroup", "ro")), "mounts[0]: type: cgroup"},
		{add(specs.Mount{Destination: "/a", Options: []string{"bind"}, UIDMappings: ids}), "mounts[0]: uidMappings, gid"},
		{add(specs.Mount{Destination: "/a", Type: "tmpfs", UIDMappings: ids, GIDMappings: ids}), "mounts[0]: idmap: only"},
		{device(specs.LinuxDevice{Path: "/dev/x", Type: "s"}), `linux.devices[0].type: "s"`},
		{device(specs.LinuxDevice{Path: "/", Type: "p"}), `linux.devices[0].path: "/"`},
		{device(specs.LinuxDevice{Path: "/dev/x", Type: "c", Major: -1}), "linux.devices[0].major, minor: -1:0"},
	} {
		s := docker()
		test.change(s)
		_, err := build(s, Options{Root: "/r", MountSetattr: true})
		if err == nil || !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("%v, want %s", err, test.want)
		}
	}
	if _, err := build(docker(), Options{Root: "r"}); err == nil || !strings.HasPrefix(err.Error(), "root.path: ") {
		t.Errorf("relative root: %v", err)
	}
}

// TestSysctl: only what a namespace of the container has a copy of.
func TestSysctl(t *testing.T) {
	for _, test := range []struct{ name, file, refused string }{
		{"net.ipv4.ip_forward", "net/ipv4/ip_forward", ""},
		{"net/ipv4/ip_forward", "net/ipv4/ip_forward", ""},
		{"net.ipv4.conf.eth0/100.forwarding", "net/ipv4/conf/eth0.100/forwarding", ""},
		{"net/ipv4/conf/eth0.100/forwarding", "net/ipv4/conf/eth0.100/forwarding", ""},
		{"kernel.sem", "kernel/sem", ""},
		{"fs.mqueue.msg_max", "fs/mqueue/msg_max", ""},
		{"kernel.domainname", "kernel/domainname", ""},
		{"kernel.hostname", "", "set hostname instead"},
		{"kernel.core_pattern", "", "whole machine"},
		{"kernel.shm", "", "whole machine"},
		{"vm.swappiness", "", "whole machine"},
		{"network.x", "", "whole machine"},
		{"user.max_user_namespaces", "", "has no user"},
		{"net/../kernel/core_pattern", "", "not the name"},
		{"/net/ipv4/ip_forward", "", "not the name"},
		{"..net", "", "not the name"},
		{"net", "", "whole machine"},
		{"net.", "", "not the name"},
		{"net.a\x00", "", "not the name"},
		{"", "", "not the name"},
	} {
		s := docker()
		s.Linux.Sysctl = map[string]string{test.name: "1"}
		list := &op.List{}
		err := Sysctl(list, s)
		if test.refused != "" {
			if err == nil || !strings.HasPrefix(err.Error(), "linux.sysctl: ") || !strings.Contains(err.Error(), test.refused) {
				t.Errorf("%q: %v, want it refused: %s", test.name, err, test.refused)
			}
			continue
		}
		if err != nil || !strings.Contains(list.Ops[0].String(), `"/proc/sys/`+test.file+`"`) {
			t.Errorf("%q: %v, %v; want %s", test.name, list.Ops, err, test.file)
		}
	}
	s := docker()
	s.Linux.Namespaces, s.Linux.Sysctl = s.Linux.Namespaces[:1], map[string]string{"net.ipv4.ip_forward": "1"}
	if err := Sysctl(&op.List{}, s); err == nil || !strings.Contains(err.Error(), "linux.namespaces has no network") {
		t.Errorf("the host's network: %v", err)
	}
}
