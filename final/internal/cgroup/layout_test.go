//go:build linux

package cgroup

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/sys/mountinfo"
)

// parse reads a mount table in which all mounts can be seen. ROOT stands for root, where a cgroup2 mount has
// the controllers given.
func parse(t *testing.T, text, controllers string) (layout Layout, root string) {
	t.Helper()
	root = t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "cgroup.controllers"), []byte(controllers+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	mounts, err := mountinfo.GetMountsFromReader(strings.NewReader(strings.ReplaceAll(text, "ROOT", root)), nil)
	if err != nil {
		t.Fatal(err)
	}
	before := visible
	visible = func(m *mountinfo.Info) bool { return m.Mountpoint != "/hidden" }
	defer func() { visible = before }()
	layout, err = Find(mounts)
	if err != nil {
		t.Fatal(err)
	}
	return layout, root
}

func TestFind(t *testing.T) {
	for _, test := range []struct {
		name, mounts, controllers string
		mode                      Mode
		where                     map[string]string // controller to directory
	}{{
		"unified", `
35 24 0:30 / ROOT rw,nosuid,nodev,noexec,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot
`, "cpuset cpu io memory hugetlb pids rdma misc", Unified,
		map[string]string{"memory": "ROOT", "cpu": "ROOT", "pids": "ROOT"},
	}, {
		"hybrid", `
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd
41 31 0:38 / ROOT rw,relatime - cgroup2 cgroup2 rw
`, "hugetlb pids", Hybrid,
		map[string]string{"memory": "/sys/fs/cgroup/memory", "cpu": "/sys/fs/cgroup/cpu,cpuacct", "pids": "ROOT"},
	}, {
		"v2 beside systemd's own tree, as some distributions had it", `
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd
41 31 0:38 / ROOT rw,relatime - cgroup2 cgroup2 rw
`, "cpu memory pids", Unified,
		map[string]string{"memory": "ROOT", "cpu": "ROOT", "pids": "ROOT"},
	}, {
		"legacy", `
32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu
`, "", Legacy,
		map[string]string{"memory": "", "cpu": "/sys/fs/cgroup/cpu", "pids": ""},
	}, {
		"bind of a part, a covered mount and a second mount do not count", `
41 31 0:38 /docker/cafe /part rw,relatime - cgroup2 cgroup2 rw
41 31 0:39 / /hidden rw,relatime - cgroup cgroup rw,pids
42 31 0:38 / ROOT rw,relatime - cgroup2 cgroup2 rw
43 31 0:38 / /again rw,relatime - cgroup2 cgroup2 rw
`, "memory", Unified,
		map[string]string{"memory": "ROOT", "pids": ""},
	}, {
		"nothing", `
22 27 0:21 / /proc rw,relatime - proc proc rw
`, "", Absent, map[string]string{"memory": ""},
	}} {
		t.Run(test.name, func(t *testing.T) {
			layout, root := parse(t, strings.TrimPrefix(test.mounts, "\n"), test.controllers)
			if got := layout.Mode(); got != test.mode {
				t.Errorf("mode: got %s, want %s", got, test.mode)
			}
			for controller, want := range test.where {
				h, ok := layout.Controller(controller)
				if want = strings.ReplaceAll(want, "ROOT", root); h.Dir != want || ok != (want != "") {
					t.Errorf("%s: got %q, want %q", controller, h.Dir, want)
				}
			}
		})
	}
}

func TestFindReadOnly(t *testing.T) {
	layout, _ := parse(t, "41 31 0:38 / ROOT ro,nosuid - cgroup2 cgroup2 rw\n", "")
	if h, ok := layout.V2(); !ok || !h.ReadOnly {
		t.Errorf("got %+v: a container without --privileged has it read-only", h)
	}
}

func TestGroups(t *testing.T) {
	layout, root := parse(t, "41 31 0:38 / ROOT rw - cgroup2 cgroup2 rw\n", "")
	for _, name := range []string{"simple-container-0123456789ab", "system.slice", "user.slice"} {
		if err := os.Mkdir(filepath.Join(root, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	got, err := layout.Groups(func(name string) bool { return strings.HasPrefix(name, "simple") })
	if want := []string{root + "/simple-container-0123456789ab"}; !slices.Equal(got, want) || err != nil {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
}

func TestParseMembership(t *testing.T) {
	got := ParseMembership(`9:name=systemd:/
4:memory:/process_api/321cb25c
2:cpu,cpuacct:/a:b
0::/user.slice/session-1.scope
`)
	want := Membership{
		"name=systemd": "/", "memory": "/process_api/321cb25c", "cpu": "/a:b", "cpuacct": "/a:b",
		"": "/user.slice/session-1.scope",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
