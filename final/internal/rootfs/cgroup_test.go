//go:build linux

package rootfs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestCgroup mounts what the host has: on a hybrid one a directory for each hierarchy.
func TestCgroup(t *testing.T) {
	variants(t, func(t *testing.T, l launch) {
		for _, namespace := range []bool{true, false} {
			l.spec, l.o.Root = docker(), image(t)
			l.o.Cgroup = hostCgroup(t)
			l.o.Cgroup.Namespace = namespace
			l.spec.Mounts = append(l.spec.Mounts, mount("/sys/fs/cgroup", "cgroup", "cgroup", "nosuid,noexec,nodev,ro"))
			mounts := l.must(t).mounts(t)
			top := mounts["/sys/fs/cgroup"]
			if top == nil || !strings.HasPrefix(top.Options, "ro,nosuid,nodev,noexec") {
				t.Errorf("/sys/fs/cgroup: %v in\n%s", top, table(mounts))
			}
			for _, h := range l.o.Cgroup.Hierarchies {
				m := mounts["/sys/fs/cgroup/"+h.Name]
				if m == nil || m.FSType != h.Type || !strings.HasPrefix(m.Options, "ro,") || namespace && m.Root != ownGroup(t, h) {
					t.Errorf("%s: %v, want a read-only %s", h.Name, m, h.Type)
				}
			}
		}
	})
}

func hostCgroup(t *testing.T) (c Cgroup) {
	t.Helper()
	c.Tree = "/sys/fs/cgroup"
	names, err := filepath.Glob("/sys/fs/cgroup/*/tasks")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		dir := filepath.Dir(name)
		h := Hierarchy{Name: filepath.Base(dir), Type: "cgroup", Options: filepath.Base(dir), Group: dir}
		if h.Name == "systemd" {
			h.Options = "none,name=systemd"
		}
		if info, err := os.Lstat(dir); err == nil && info.Mode()&os.ModeSymlink == 0 {
			c.Hierarchies = append(c.Hierarchies, h)
		}
	}
	if len(c.Hierarchies) > 0 {
		c.Hierarchies[0].Links = []string{"other-name"}
	}
	return c
}

// ownGroup is the group of this process in a hierarchy, which is where its cgroup namespace begins.
func ownGroup(t *testing.T, h Hierarchy) string {
	for line := range strings.Lines(read(t, "/proc/self/cgroup")) { // 4:cpu,cpuacct:/user.slice
		if fields := strings.SplitN(strings.TrimSpace(line), ":", 3); strings.HasSuffix(h.Options, fields[1]) {
			return fields[2]
		}
	}
	return ""
}
