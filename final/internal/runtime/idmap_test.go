//go:build linux

package runtime

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// withIDs is a change of the mappings of both kinds: each is an id inside, one outside, and how many.
func withIDs(rows ...[3]uint32) func(*specs.Spec) {
	return func(s *specs.Spec) {
		var list []specs.LinuxIDMapping
		for _, row := range rows {
			list = append(list, specs.LinuxIDMapping{ContainerID: row[0], HostID: row[1], Size: row[2]})
		}
		s.Linux.UIDMappings, s.Linux.GIDMappings = list, list
	}
}

// account tells the world who the user is, and which ids are his.
func (l *learning) account(subids string) {
	l.Helper()
	for name, text := range map[string]string{
		"passwd": "root:x:0:0::/root:/bin/sh\nlearner:x:4711:4711::/:/bin/sh\n",
		"group":  "root:x:0:\nlearner:x:4711:\n", "subuid": subids, "subgid": subids,
	} {
		file := filepath.Join(l.dir, name)
		l.must(os.WriteFile(file, []byte(text), 0o644))
		l.must(unix.Mount(file, "/etc/"+name, "", unix.MS_BIND, ""))
		l.Cleanup(func() { l.check(unix.Unmount("/etc/"+name, unix.MNT_DETACH)) })
	}
	l.before = l.belongings()
}

// TestRootlessMaps: a user has more ids than one where root has given them.
func TestRootlessMaps(t *testing.T) {
	byLearner(t, func(l *learning) {
		l.needs("newuidmap")
		l.account("learner:100000:65536\n")
		mount, log := l.logged()
		l.bundle("a", withIDs([3]uint32{0, learner, 1}, [3]uint32{1, 100000, 1000}), mount, func(s *specs.Spec) {
			s.Process.User = specs.User{UID: 7, GID: 8, AdditionalGids: []uint32{9, 10}}
			s.Hooks = hooks(`echo "NAME $(id -u) $(cat /proc/self/setgroups)" >> LOG`)
			s.Mounts[2].Options = append(s.Mounts[2].Options, "gid=5")
		})
		l.script("id -u; id -g; grep Groups: /proc/self/status; cat /proc/self/uid_map; stat -c %u /proc/1; stat -c %g /dev/pts/ptmx")
		l.does("create", "a")
		pid := l.pid("a")
		if uid, groups := l.field(pid, "Uid"), l.field(pid, "Groups"); uid != "100006 100006 100006 100006" || groups != "100008 100009" {
			l.Errorf("on the host the user is %s, with groups %s", uid, groups)
		}
		l.does("start", "a")
		want := "7\n8\nGroups:\t9 10 \n         0       4711          1\n         1     100000       1000\n7\n0\n"
		if got := l.does("look", "a"); got != want {
			l.Errorf("exec says %q, want %q", got, want)
		}
		l.does("delete", "a")
		if lines := log(); len(lines) != 6 || lines[3] != "startContainer 7 allow" || lines[5] != "poststop 4711 allow" {
			l.Errorf("the hooks: %q", lines)
		}
	})
}

// TestRootlessMapsRefused: ids that are not the user's, each refused by name, with what to do.
func TestRootlessMapsRefused(t *testing.T) {
	byLearner(t, func(l *learning) {
		l.needs("newuidmap")
		l.account("learner:100000:65536\n")
		user := func(user specs.User) func(*specs.Spec) { return func(s *specs.Spec) { s.Process.User = user } }
		pty := func(s *specs.Spec) { s.Mounts[2].Options = append(s.Mounts[2].Options, "gid=5") }
		own := [3]uint32{0, learner, 1}
		for _, test := range []struct {
			change []func(*specs.Spec)
			words  string
		}{
			{[]func(*specs.Spec){withIDs(own, [3]uint32{1, 300000, 65536})}, "linux.uidMappings: host ids 300000-365535: /etc/subuid " +
				"gives learner 100000-165535: map other ids, or: sudo usermod --add-subuids 300000-365535 learner: execve newuidmap "},
			{[]func(*specs.Spec){withIDs([3]uint32{0, 0, 1})}, "host ids 0: /etc/subuid gives learner 100000-165535: map other ids (these are for users of the machine)"},
			{[]func(*specs.Spec){withIDs([3]uint32{1, learner, 1})}, "linux.uidMappings: want container id 0 among them"},
			{[]func(*specs.Spec){user(specs.User{UID: 3})}, "process.user.uid: 3: linux.uidMappings has no such container id"},
			{[]func(*specs.Spec){user(specs.User{GID: 3})}, "process.user.gid: 3: linux.gidMappings has no such container id"},
			{[]func(*specs.Spec){user(specs.User{AdditionalGids: []uint32{3}})}, "process.user.additionalGids[0]: 3: linux.gidMappings has no such container id"},
			{[]func(*specs.Spec){user(specs.User{AdditionalGids: []uint32{0}})}, "process.user.additionalGids: [0]: a user namespace with one group"},
			{[]func(*specs.Spec){pty}, "mounts[2].options: gid=5: linux.gidMappings has no such container id"},
		} {
			l.bundle("a", test.change...)
			l.cannot("create", "a", test.words)
		}
		l.bundle("a", withIDs(own, [3]uint32{1, 100000, 10}))
		l.must(os.WriteFile(filepath.Join(l.dir, "subgid"), nil, 0o644))
		l.cannot("create", "a", "linux.gidMappings: host ids 100000-100009: /etc/subgid gives learner none: map other ids, or: sudo usermod --add-subgids")
		path := os.Getenv("PATH")
		t := l.T
		t.Setenv("PATH", "/bin/nowhere")
		l.cannot("create", "a", "newuidmap", "executable file not found in $PATH: to map more than one's own id takes this program: apt-get install uidmap")
		t.Setenv("PATH", path)
	})
}
