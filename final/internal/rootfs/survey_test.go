//go:build linux

package rootfs

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestSurvey: where the mounts of a spec will land in an image, each with those before it in place.
func TestSurvey(t *testing.T) {
	root, volume := t.TempDir(), t.TempDir()
	for path, target := range map[string]string{
		"a/abs": "/b/c", "a/rel": "../b/./c", "a/up": "../../../../b", "a/missing": "/none/x",
		"loop": "loop", "a/chain": "abs/d",
	} {
		dir := filepath.Dir(filepath.Join(root, path))
		if err := errors.Join(os.MkdirAll(dir, 0o755), os.Symlink(target, filepath.Join(root, path))); err != nil {
			t.Fatal(err)
		}
	}
	write(t, root+"/b/c/d/file", "")
	write(t, volume+"/dir/file", "")
	link(t, "/b/c", volume+"/link")
	for _, test := range []struct {
		destination string
		want        Site
	}{
		{"/a", Site{Target: "a", Exists: 1, Mode: 0o755}},
		{"/a/abs", Site{Target: "b/c", Exists: 2, Mode: 0o755}},
		{"/a/abs/new/x", Site{Target: "b/c/new/x", Exists: 2}},
		{"a/rel/d", Site{Target: "b/c/d", Exists: 3, Mode: 0o755}},
		{"/a/up/c/d/file", Site{Target: "b/c/d/file", Exists: 4}},
		{"/a/missing/y", Site{Target: "none/x/y"}},
		{"/a/chain/file", Site{Target: "b/c/d/file", Exists: 4}},
		{"//a/./abs/../x", Site{Target: "a/x", Exists: 1}},
		{"/a/b/c/d", Site{Target: "a/b/c/d", Exists: 1}},
		{"/volume/dir/x", Site{Target: "volume/dir/x", Exists: 2}}, // of the mounts below
		{"/volume/link/x", Site{Target: "b/c/x", Exists: 2}},
		{"/tmpfs/x", Site{Target: "tmpfs/x", Exists: 1}},
		{"/proc/meminfo", Site{Target: "proc/meminfo", Exists: 2}},
	} {
		s := docker()
		s.Mounts = append(s.Mounts[:1], mount("/volume", "bind", volume, "bind"), mount("/tmpfs", "tmpfs", "tmpfs", "ro"),
			mount(test.destination, "tmpfs", "tmpfs", "ro"))
		o := Options{Root: root}
		if err := Survey(s, &o); err != nil {
			t.Error(err)
			continue
		}
		if got := o.Sites[3]; got != test.want {
			t.Errorf("%s: %+v, want %+v", test.destination, got, test.want)
		}
	}
	s := docker()
	s.Mounts = append(s.Mounts[:0], mount("/loop/x", "tmpfs", "tmpfs", "ro"))
	if err := Survey(s, &Options{Root: root}); !errors.Is(err, unix.ELOOP) {
		t.Errorf("a loop of links: %v, want %v", err, unix.ELOOP)
	}
	s.Mounts[0] = mount("/x", "bind", "/no/such", "bind")
	if err := Survey(s, &Options{Root: root}); !errors.Is(err, unix.ENOENT) {
		t.Errorf("no source: %v, want %v", err, unix.ENOENT)
	}
}
