//go:build linux

package cgroup

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/simple-container/simple-container/final/internal/kernel"
	"golang.org/x/sys/unix"
)

func TestPlace(t *testing.T) {
	layout := Layout{
		{Dir: "/cg/memory", Version: 1, Controllers: []string{"memory"}},
		{Dir: "/cg/systemd", Version: 1, Name: "systemd"},
		{Dir: "/cg/old", Version: 1, Controllers: []string{"cpu"}, ReadOnly: true},
		{Dir: "/cg/unified", Version: 2},
	}
	own := Membership{"memory": "/job/1", "name=systemd": "/user.slice/session-1.scope", "": "/user.slice/session-1.scope", "cpu": "/"}
	for _, test := range []struct {
		path string
		want map[string]string
		err  string
	}{
		{"/docker/cafe", map[string]string{
			"memory": "/cg/memory/docker/cafe", "name=systemd": "/cg/systemd/docker/cafe", "": "/cg/unified/docker/cafe",
		}, ""},
		{"cafe", map[string]string{
			"memory": "/cg/memory/job/1/cafe", "name=systemd": "/cg/systemd/user.slice/session-1.scope/cafe", "": "/cg/unified/user.slice/cafe",
		}, ""},
		{"", map[string]string{
			"memory":       "/cg/memory/job/1/simple-container-id",
			"name=systemd": "/cg/systemd/user.slice/session-1.scope/simple-container-id",
			"":             "/cg/unified/user.slice/simple-container-id",
		}, ""},
		{"//docker//cafe/", map[string]string{
			"memory": "/cg/memory/docker/cafe", "name=systemd": "/cg/systemd/docker/cafe", "": "/cg/unified/docker/cafe",
		}, ""},
		{"/docker/../../etc", nil, `linux.cgroupsPath: "/docker/../../etc": must not go up with ..`},
		{"..", nil, `linux.cgroupsPath: "..": must not go up with ..`},
		{"/", nil, `linux.cgroupsPath: "/": is the root of the hierarchy`},
		{".", nil, `linux.cgroupsPath: ".": is the root of the hierarchy`},
	} {
		g, err := New(layout, test.path, "id", false, own)
		if test.err != "" {
			if err == nil || err.Error() != test.err {
				t.Errorf("%q: got %v, want %s", test.path, err, test.err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%q: %v", test.path, err)
			continue
		}
		if diff := cmp.Diff(test.want, g.Paths()); diff != "" {
			t.Errorf("%q (-want +got):\n%s", test.path, diff)
		}
		if diff := cmp.Diff(test.want, Load(g.Paths(), "").Paths()); diff != "" {
			t.Errorf("%q, loaded (-want +got):\n%s", test.path, diff)
		}
	}
	if _, err := New(layout[2:3], "/a", "id", false, own); err == nil || !strings.Contains(err.Error(), "no cgroup tree is mounted for writing") {
		t.Errorf("read-only: got %v", err)
	}
	// From inside a cgroup namespace, what is further up cannot be reached.
	h := Hierarchy{Dir: "/cg", Version: 1, Controllers: []string{"memory"}}
	if got, err := h.place("cafe", "id", Membership{"memory": "/../.."}); got != "/cafe" || err != nil {
		t.Errorf("in a namespace: got %s, %v", got, err)
	}
}

func TestMounts(t *testing.T) {
	parts := []*part{
		{dir: "/sys/fs/cgroup/cpu,cpuacct/a", Hierarchy: Hierarchy{Dir: "/sys/fs/cgroup/cpu,cpuacct", Version: 1,
			Controllers: []string{"cpu", "cpuacct"}, Options: "rw,cpu,cpuacct"}},
		{dir: "/sys/fs/cgroup/systemd/a", Hierarchy: Hierarchy{Dir: "/sys/fs/cgroup/systemd", Version: 1, Name: "systemd",
			Options: "rw,xattr,release_agent=/lib/agent,name=systemd"}},
		{dir: "/sys/fs/cgroup/unified/a", Hierarchy: Hierarchy{Dir: "/sys/fs/cgroup/unified", Version: 2, Options: "rw,nsdelegate"}},
	}
	want := []Mount{
		{Version: 1, Name: "cpu,cpuacct", Links: []string{"cpu", "cpuacct"}, Options: "cpu,cpuacct", Dir: "/sys/fs/cgroup/cpu,cpuacct/a"},
		{Version: 1, Name: "systemd", Options: "xattr,none,name=systemd", Dir: "/sys/fs/cgroup/systemd/a"},
		{Version: 2, Name: "unified", Dir: "/sys/fs/cgroup/unified/a"},
	}
	if diff := cmp.Diff(want, (&Group{parts: parts}).Mounts()); diff != "" {
		t.Errorf("hybrid (-want +got):\n%s", diff)
	}
	want = []Mount{{Version: 2, Dir: "/sys/fs/cgroup/unified"}} // all of it
	if diff := cmp.Diff(want, (&Group{parts: parts[2:]}).Mounts()); diff != "" {
		t.Errorf("unified (-want +got):\n%s", diff)
	}
}

// TestBelow: a path below is one in every tree, or in those of the controllers before it, and never one elsewhere.
func TestBelow(t *testing.T) {
	g := &Group{parts: []*part{
		{dir: "/cpu/a", Hierarchy: Hierarchy{Version: 1, Controllers: []string{"cpu", "cpuacct"}}},
		{dir: "/systemd/a", Hierarchy: Hierarchy{Version: 1, Name: "systemd"}},
		{dir: "/unified/a", Hierarchy: Hierarchy{Version: 2, Controllers: []string{"pids"}}},
	}}
	for _, test := range []struct {
		paths []string
		want  []string
		err   string
	}{
		{nil, []string{"/cpu/a", "/systemd/a", "/unified/a"}, ""},
		{[]string{"/"}, []string{"/cpu/a", "/systemd/a", "/unified/a"}, ""},
		{[]string{"b/c"}, []string{"/cpu/a/b/c", "/systemd/a/b/c", "/unified/a/b/c"}, ""},
		{[]string{"cpu,cpuacct:b", "name=systemd:/c"}, []string{"/cpu/a/b", "/systemd/a/c", "/unified/a"}, ""},
		{[]string{"pids:b"}, []string{"/cpu/a", "/systemd/a", "/unified/a/b"}, ""},
		{[]string{".."}, nil, `cgroup "..": bad sub cgroup path`},
		{[]string{"cpu:../a-sibling"}, nil, `cgroup "cpu:../a-sibling": bad sub cgroup path`},
		{[]string{":/"}, nil, `cgroup ":/": unknown controller ""`},
		{[]string{"whaaat:/"}, nil, `cgroup "whaaat:/": unknown controller whaaat`},
	} {
		below, err := g.Below(test.paths...)
		if err != nil || test.err != "" {
			if err == nil || test.err == "" || !strings.HasPrefix(err.Error(), test.err) {
				t.Errorf("%q: %v, want %s", test.paths, err, test.err)
			}
			continue
		}
		var got []string
		for _, p := range below.parts {
			got = append(got, p.dir)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", test.paths, diff)
		}
	}
}

// A group with processes cannot hand controllers down (v2). That is no error until there is a limit to set,
// and then the error says so.
func TestNoInternalProcesses(t *testing.T) {
	above := newGroup(t)
	if above.part("memory").Version == 1 {
		t.Skip("the controllers are on v1, which has no such rule")
	}
	if err := above.Create(&kernel.Door{}, nil); err != nil {
		t.Fatal(err)
	}
	spawn(t, above, "sleep", "60")
	g, err := above.Below("inner")
	if err != nil {
		t.Fatal(err)
	}
	err = g.Create(&kernel.Door{}, tight())
	for _, want := range []string{
		"linux.resources.memory.", "no such file or directory", "device or resource busy: it has processes of its own",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want it to say %q", err, want)
		}
	}
	if g.Exists() {
		t.Error("the group is there after the error")
	}
	if err := g.Create(&kernel.Door{}, nil); err != nil {
		t.Errorf("without limits: %v", err)
	}
	if got := readFile(above.v2().dir + "/cgroup.type"); got != "domain" {
		t.Errorf("the group above became %q, and could hold no container any more", got)
	}
	if err := spawn(t, g, "true").Wait(); err != nil {
		t.Error(err)
	}
}

// 0 tasks is a limit: nobody can be born in the group, but a process can be moved there, and cannot fork.
func TestNoPids(t *testing.T) {
	g := newGroup(t)
	if err := g.Create(&kernel.Door{}, &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr[int64](0)}}); err != nil {
		t.Fatal(err)
	}
	if p := g.part("pids"); p.Version == 2 {
		if dir, err := g.Dir(); dir != nil || err != nil {
			t.Errorf("got %v, %v: nobody can be born there", dir, err)
		}
	}
	if err := spawn(t, g, "sh", "-c", "true & wait $!").Wait(); err == nil {
		t.Error("it forked")
	}
	if err := spawn(t, g, "true").Wait(); err != nil {
		t.Errorf("without a fork: %v", err)
	}
}

func TestOwned(t *testing.T) {
	g := newGroup(t)
	if err := g.Create(&kernel.Door{}, nil); err != nil {
		t.Fatal(err)
	}
	const uid = 100000
	if err := g.Owned(&kernel.Door{}, uid); err != nil {
		t.Fatal(err)
	}
	for _, p := range g.parts {
		for name, v2 := range map[string]uint32{".": uid, "cgroup.procs": uid, "cgroup.freeze": 0, "notify_on_release": 0} {
			var stat unix.Stat_t
			if err := unix.Stat(filepath.Join(p.dir, name), &stat); err != nil {
				continue // the other version's
			}
			want := v2
			if p.Version == 1 {
				want = 0
			}
			if stat.Uid != want {
				t.Errorf("%s/%s is of user %d, want %d", p.dir, name, stat.Uid, want)
			}
		}
	}
}

// A frozen group is not for a new container, and an empty one is taken over.
func TestVacant(t *testing.T) {
	g := newGroup(t)
	door := &kernel.Door{}
	if err := g.Create(door, &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr[int64](7)}}); err != nil {
		t.Fatal(err)
	}
	if err := g.Freeze(door); err != nil {
		t.Fatal(err)
	}
	if err := g.Create(door, nil); err == nil || !strings.Contains(err.Error(), "container's cgroup unexpectedly frozen") {
		t.Errorf("frozen: got %v", err)
	}
	if !g.Exists() {
		t.Fatal("the refusal removed a group that was there before")
	}
	if err := g.Thaw(door); err != nil {
		t.Fatal(err)
	}
	if err := g.Create(door, typical()); err != nil {
		t.Errorf("empty: %v", err)
	}
	if err := os.WriteFile(filepath.Join(g.part("pids").dir, "pids.max"), []byte("max"), 0); err != nil {
		t.Fatal(err)
	}
}

// A user who may not make groups in some tree does without, unless a limit needs it.
func TestCreateWithoutPermission(t *testing.T) {
	dirs := []string{t.TempDir(), t.TempDir()}
	g := &Group{parts: []*part{
		{dir: dirs[0] + "/a", Hierarchy: Hierarchy{Dir: dirs[0], Version: 1, Controllers: []string{"memory"}}},
		{dir: dirs[1] + "/a", Hierarchy: Hierarchy{Dir: dirs[1], Version: 1, Controllers: []string{"pids"}}},
	}}
	door := &kernel.Door{Trap: func(_ int, call kernel.Call) error {
		if call.Object == dirs[0]+"/a" {
			return unix.EACCES
		}
		return nil
	}}
	limits := &specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: ptr[int64](4096)}}
	if err := g.Create(door, limits); !errors.Is(err, unix.EACCES) {
		t.Errorf("got %v, want %v", err, unix.EACCES)
	}
	changes, err := g.changes(nil, untouched)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := g.parts[0].spare(changes, unix.EACCES) == nil, confined(); got != want {
		t.Errorf("spared: got %v, want %v", got, want)
	}
}
