//go:build linux

package overlay

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/kernel"
)

// ways are those in which a stack is mounted: as this kernel can, and as the oldest can.
func ways(t *testing.T, test func(t *testing.T)) {
	t.Run("newest", test)
	if appendsLayers() != nil {
		return
	}
	t.Run("mount", func(t *testing.T) {
		saved := appendsLayers
		appendsLayers = func() error { return errors.ErrUnsupported }
		t.Cleanup(func() { appendsLayers = saved })
		test(t)
	})
}

func mounted(t *testing.T, s Stack, target string) {
	t.Helper()
	d := &kernel.Door{}
	must(t, Mount(d, s, target))
	t.Cleanup(func() {
		if err := d.Unmount(target); err != nil {
			t.Error(err)
		}
	})
}

// TestMount: the highest layer wins, and what is written is in the upper one alone.
func TestMount(t *testing.T) {
	ways(t, func(t *testing.T) {
		s, root := stack(t, 3)
		for i, dir := range s.Lowers {
			write(t, dir+"/top", fmt.Sprint(i))
			write(t, fmt.Sprintf("%s/only-%d", dir, i), "x")
		}
		mounted(t, s, root)
		wantFile(t, root+"/top", "2")
		wantFile(t, root+"/only-0", "x")
		write(t, root+"/top", "new")
		must(t, os.Remove(root+"/only-1"))
		wantFile(t, s.Upper+"/top", "new")
		wantFile(t, s.Lowers[2]+"/top", "2")
		wantFile(t, s.Lowers[1]+"/only-1", "x")
	})
}

// TestMountMany: as many layers as the kernel takes, with names of any length, and with characters that mean
// something in options.
func TestMountMany(t *testing.T) {
	ways(t, func(t *testing.T) {
		for _, name := range []string{"layer", strings.Repeat("long", 60), `o,d\d:n"a me`} {
			s, root := stack(t, 0)
			place := filepath.Join(filepath.Dir(root), name)
			must(t, os.Mkdir(place, 0o755))
			for i := range Most {
				dir := fmt.Sprintf("%s/%s-%d", place, name[:min(len(name), 9)], i)
				write(t, fmt.Sprintf("%s/file-%d", dir, i), "x")
				write(t, dir+"/top", fmt.Sprint(i))
				s.Lowers = append(s.Lowers, dir)
			}
			for _, dir := range []*string{&s.Upper, &s.Work} {
				*dir = filepath.Join(place, filepath.Base(*dir))
				must(t, os.Mkdir(*dir, 0o755))
			}
			mounted(t, s, root)
			wantFile(t, root+"/top", fmt.Sprint(Most-1))
			wantFile(t, root+"/file-0", "x")
			wantFile(t, fmt.Sprintf("%s/file-%d", root, Most-1), "x")
			write(t, root+"/new", "x")
			wantFile(t, s.Upper+"/new", "x")
		}
	})
	s, root := stack(t, 1)
	s.Lowers = slices.Repeat(s.Lowers, Most+1)
	if err := Mount(&kernel.Door{}, s, root); err == nil || !strings.Contains(err.Error(), "501 layers: the kernel takes 500") {
		t.Errorf("501 layers: %v", err)
	}
}

// TestMountWithoutLayers: an image from nothing has none.
func TestMountWithoutLayers(t *testing.T) {
	s, root := stack(t, 0)
	mounted(t, s, root)
	write(t, root+"/file", "x")
	wantFile(t, s.Upper+"/file", "x")
}

// TestMountOptions: nothing of the upper layer's meaning is elsewhere, whatever the machine's settings are.
func TestMountOptions(t *testing.T) {
	ways(t, func(t *testing.T) {
		s, root := stack(t, 2)
		s.Volatile = true
		write(t, s.Lowers[0]+"/dir/file", "x")
		mounted(t, s, root)
		if err := os.Rename(root+"/dir", root+"/moved"); !errors.Is(err, unix.EXDEV) {
			t.Errorf("rename of a lower layer's directory: %v, want EXDEV: mv(1) copies then", err)
		}
		must(t, os.Chmod(root+"/dir/file", 0o600))
		wantFile(t, s.Upper+"/dir/file", "x")
		mounts, err := (&kernel.Door{}).Mounts()
		must(t, err)
		for _, m := range mounts {
			if m.Mountpoint == root && !strings.Contains(m.VFSOptions, "volatile") {
				t.Errorf("options %s: want volatile", m.VFSOptions)
			}
		}
	})
}

// TestReuse: a volatile stack is mounted a second time only by whoever says that the machine has not crashed.
func TestReuse(t *testing.T) {
	s, root := stack(t, 1)
	s.Volatile = true
	door := &kernel.Door{}
	must(t, Mount(door, s, root))
	must(t, door.Unmount(root))
	if err := Mount(door, s, root); !errors.Is(err, unix.EINVAL) {
		t.Errorf("mounted once more: %v, want EINVAL", err)
		must(t, door.Unmount(root))
	}
	must(t, Reuse(s.Work))
	mounted(t, s, root)
}

// TestMountMapped: in the mount, files have the owners that the user namespace maps theirs to; in the layers, those
// that they have in there.
func TestMountMapped(t *testing.T) {
	d := &kernel.Door{}
	ways(t, func(t *testing.T) {
		for _, layers := range []int{0, 1, 3} {
			s, root := stack(t, layers)
			s.IDs = IDs{100000, 65536}
			for _, dir := range append(s.Lowers, s.Upper) {
				write(t, dir+"/file", "x")
				must(t, os.Chown(dir+"/file", 7, 8))
			}
			if layers > 0 {
				write(t, s.Lowers[0]+"/below", "x")
				must(t, os.Chown(s.Lowers[0]+"/below", 9, 10))
			}
			err := Mount(d, s, root)
			if errors.Is(err, unix.EINVAL) || kernel.MountSetattr() != nil {
				t.Skipf("this kernel maps no layers on a tmpfs: %v", err)
			}
			must(t, err)
			wantOwner(t, root+"/file", 100007, 100008)
			must(t, os.Chown(root+"/file", 100001, 100002))
			wantOwner(t, s.Upper+"/file", 1, 2)
			if layers > 0 {
				must(t, os.Chmod(root+"/below", 0o600))
				wantOwner(t, root+"/below", 100009, 100010)
				wantOwner(t, s.Upper+"/below", 9, 10)
			}
			must(t, d.Unmount(root))
			wantOwner(t, s.Upper+"/file", 1, 2)
		}
	})
}

func wantOwner(t *testing.T, path string, uid, gid uint32) {
	t.Helper()
	var st unix.Stat_t
	must(t, unix.Lstat(path, &st))
	if st.Uid != uid || st.Gid != gid {
		t.Errorf("%s: owner %d:%d, want %d:%d", path, st.Uid, st.Gid, uid, gid)
	}
}

// TestMountErrors: what was wrong is said, and nothing is left.
func TestMountErrors(t *testing.T) {
	ways(t, func(t *testing.T) {
		s, root := stack(t, 2)
		broken := s
		broken.Lowers = []string{s.Lowers[0], filepath.Join(t.TempDir(), "gone")}
		onOverlay := s
		mounted(t, s, root)
		onOverlay.Upper, onOverlay.Work = root, root
		place := t.TempDir()
		for want, s := range map[string]Stack{"gone": broken, "on an overlay itself": onOverlay} {
			if err := Mount(&kernel.Door{}, s, place); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want %q", err, want)
			}
		}
	})
}

// TestMountSteps fails each call of a mount: nothing is mounted, and no descriptor is left open.
func TestMountSteps(t *testing.T) {
	for _, ids := range []IDs{{}, {100000, 65536}} {
		for fail := 1; ; fail++ {
			s, root := stack(t, 2)
			s.IDs = ids
			before := descriptors(t)
			d := &kernel.Door{Trap: func(n int, _ kernel.Call) error {
				if n == fail {
					return errors.New("trapped")
				}
				return nil
			}}
			err := Mount(d, s, root)
			if d.Calls() < fail { // all have been
				if err == nil {
					must(t, (&kernel.Door{}).Unmount(root))
				}
				break
			}
			if err == nil {
				t.Errorf("call %d: no error", fail)
			}
			mounts, err := d.Mounts()
			must(t, err)
			if left := kernel.MountsBelow(mounts, filepath.Dir(root)); len(left) > 0 {
				t.Errorf("call %d: left %v", fail, left)
			}
			if after := descriptors(t); after != before {
				t.Errorf("call %d: %d descriptors, %d before", fail, after, before)
			}
		}
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	return len(entries)
}
