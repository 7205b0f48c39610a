//go:build linux

package rootfs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/kernel"
	"github.com/simple-container/simple-container/final/internal/op"
)

// TestBind: what options make of a bind mount, and of the mounts below it.
func TestBind(t *testing.T) {
	onHost(t, func(t *testing.T, l launch) error {
		l.o.Root = image(t)
		volume, err := sharedVolume(t)
		below := volume + "/below"
		err = errors.Join(err, unix.Mount("", volume, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_NOSUID|unix.MS_RELATIME, ""),
			os.Mkdir(below, 0o755), unix.Mount("below", below, "tmpfs", unix.MS_NODEV, ""))
		if err != nil {
			return err
		}
		for _, test := range []struct{ options, top, below string }{
			{"bind", "rw,nosuid,relatime", ""},
			{"rbind", "rw,nosuid,relatime", "rw,nodev,relatime"},
			{"rbind,ro", "ro,nosuid,relatime", "rw,nodev,relatime"},
			{"rbind,suid,noexec", "rw,noexec,relatime", "rw,nodev,relatime"},
			{"rbind,noatime,nodiratime", "rw,nosuid,noatime,nodiratime", "rw,nodev,relatime"},
			{"rbind,strictatime", "rw,nosuid", "rw,nodev,relatime"},
			{"rbind,ro,rw", "rw,nosuid,relatime", "rw,nodev,relatime"},
			{"rbind,rro", "ro,nosuid,relatime", "ro,nodev,relatime"},
			{"rbind,rro,rnoexec,rdev", "ro,nosuid,noexec,relatime", "ro,noexec,relatime"},
			{"rbind,rnoatime", "rw,nosuid,noatime", "rw,nodev,noatime"},
		} {
			l.spec = docker()
			l.spec.Mounts = append(l.spec.Mounts, mount("/data", "bind", volume, test.options))
			c, err := l.start(t)
			if o := parseOptions(l.spec.Mounts[6].Options); l.old && o.rset|o.rclear != 0 {
				if err == nil || !strings.Contains(err.Error(), "mounts[6]: options: ") || !strings.Contains(err.Error(), "5.12") {
					t.Errorf("%s: %v, want a refusal that names the field and the kernel", test.options, err)
				}
				continue
			}
			if err != nil {
				return fmt.Errorf("%s: %w", test.options, err)
			}
			top, below := c.mounts(t)["/data"].Options, ""
			if m := c.mounts(t)["/data/below"]; m != nil {
				below = m.Options
			}
			if top != test.top || below != test.below {
				t.Errorf("%s: %q, below %q; want %q, %q", test.options, top, below, test.top, test.below)
			}
		}
		return nil
	})
}

// TestPropagation: bind mounts of a shared tree of the host, as a volume is.
func TestPropagation(t *testing.T) {
	onHost(t, func(t *testing.T, l launch) error {
		volume, err := sharedVolume(t)
		if err != nil {
			return err
		}
		for _, test := range []struct{ root, options, want string }{
			{"", "rbind", "master"}, // mounts of the host arrive
			{"", "rbind,rprivate", ""},
			{"", "rbind,rslave", "master"},
			{"", "rbind,private,shared", "shared"},
			{"", "rbind,unbindable", "unbindable"},
			{"rshared", "rbind,rshared", "peer"},
			{"shared", "rbind,rprivate", ""},
		} {
			l.spec, l.o.Root = docker(), image(t)
			l.spec.Linux.RootfsPropagation = test.root
			l.spec.Mounts = append(l.spec.Mounts, mount("/data", "bind", volume, test.options))
			c, err := l.start(t)
			if err != nil {
				return fmt.Errorf("%s: %w", test.options, err)
			}
			got := c.mounts(t)["/data"].Optional
			host := group(volume)
			switch {
			case test.want == "peer" && (host == "" || !strings.Contains(got, "shared:"+host)):
				t.Errorf("%s %s: %q, want a peer of the host's shared:%s", test.root, test.options, got, host)
			case test.want != "peer" && (test.want == "") != (got == ""),
				test.want != "peer" && !strings.HasPrefix(got, test.want):
				t.Errorf("%s %s: %q, want %q", test.root, test.options, got, test.want)
			}
			root := c.mounts(t)["/"].Optional
			if want := strings.TrimPrefix(test.root, "r"); !strings.HasPrefix(root, want) || strings.Contains(root, "master") {
				t.Errorf("rootfsPropagation %q: %q", test.root, root)
			}
		}
		return nil
	})
}

// onHost runs a test on a thread of its own, which may mount what it wants for its host.
func onHost(t *testing.T, test func(*testing.T, launch) error) {
	variants(t, func(t *testing.T, l launch) {
		needRoot(t)
		if err := kernel.OnThread(func() error { return test(t, l) }); err != nil {
			t.Fatal(err)
		}
	})
}

// sharedVolume makes a host for this thread, whose mounts are shared as systemd's are, with a volume mounted.
func sharedVolume(t *testing.T) (string, error) {
	volume := t.TempDir()
	return volume, errors.Join(
		unix.Unshare(unix.CLONE_NEWNS),
		unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""),
		unix.Mount("", "/", "", unix.MS_REC|unix.MS_SHARED, ""),
		unix.Mount("volume", volume, "tmpfs", 0, ""),
	)
}

// group is the peer group of the mount at a path of this thread.
func group(path string) string {
	mounts, _ := (&kernel.Door{}).Mounts() // of this thread
	for _, m := range slices.Backward(mounts) {
		if _, after, ok := strings.Cut(m.Optional, "shared:"); ok && m.Mountpoint == path {
			number, _, _ := strings.Cut(after, " ")
			return number
		}
	}
	return ""
}

// TestTmpfs: a tmpfs takes the permissions of what it covers, may be read-only with mounts in it, and may
// begin with a copy.
func TestTmpfs(t *testing.T) {
	variants(t, func(t *testing.T, l launch) {
		l.spec, l.o.Root = docker(), image(t)
		if err := os.Chmod(l.o.Root+"/run", 0o2711|os.ModeSetgid); err != nil {
			t.Fatal(err)
		}
		write(t, l.o.Root+"/data/a/b", "text")
		link(t, "/etc/shadow", l.o.Root+"/data/link")
		err := errors.Join(
			unix.Mknod(l.o.Root+"/data/null", unix.S_IFCHR|0o640, int(unix.Mkdev(1, 3))),
			os.Chown(l.o.Root+"/data/a/b", 12, 34), os.Chmod(l.o.Root+"/data/a/b", 0o750|os.ModeSetuid),
			os.Chmod(l.o.Root+"/data", 0o700), os.Chown(l.o.Root+"/data", 5, 6))
		if err != nil {
			t.Fatal(err)
		}
		l.spec.Mounts = append(l.spec.Mounts,
			mount("/run", "tmpfs", "tmpfs", "nosuid,ro"), mount("/run/lock", "tmpfs", "", "mode=1777"),
			mount("/data", "tmpfs", "copy", "tmpcopyup,nodev,ro,size=1m"), mount("/new/dir", "tmpfs", "tmpfs", "size=64k"))
		c := l.must(t)
		mounts := c.mounts(t)
		if got := mounts["/run"].Options + " " + mounts["/run/lock"].Options + " " + mounts["/data"].Options; got !=
			"ro,nosuid,relatime rw,relatime ro,nodev,relatime" {
			t.Errorf("options %s", got)
		}
		if got := mounts["/data"].Source; got != "copy" {
			t.Errorf("the source of /data is %q", got)
		}
		for path, want := range map[string]unix.Stat_t{
			"/run": {Mode: unix.S_IFDIR | 0o2711}, "/run/lock": {Mode: unix.S_IFDIR | 0o1777},
			"/data":     {Mode: unix.S_IFDIR | 0o700, Uid: 5, Gid: 6},
			"/data/a":   {Mode: unix.S_IFDIR | 0o755},
			"/data/a/b": {Mode: unix.S_IFREG | 0o4750, Uid: 12, Gid: 34}, "/data/link": {Mode: unix.S_IFLNK | 0o777},
			"/data/null": {Mode: unix.S_IFCHR | 0o640, Rdev: unix.Mkdev(1, 3)}, "/new/dir": {Mode: unix.S_IFDIR | 0o1777},
		} {
			var got unix.Stat_t
			if err := unix.Lstat(c.root+path, &got); err != nil {
				t.Error(err)
			}
			if got.Mode != want.Mode || got.Uid != want.Uid || got.Gid != want.Gid || got.Rdev != want.Rdev {
				t.Errorf("%s: mode %#o, owner %d:%d, device %#x", path, got.Mode, got.Uid, got.Gid, got.Rdev)
			}
		}
		if text := read(t, c.root+"/data/a/b"); text != "text" {
			t.Errorf("copied %q, want %q", text, "text")
		}
		if target, _ := os.Readlink(c.root + "/data/link"); target != "/etc/shadow" {
			t.Errorf("copied link leads to %q", target)
		}
	})
}

// TestRemount changes a mount that an earlier one has made.
func TestRemount(t *testing.T) {
	variants(t, func(t *testing.T, l launch) {
		l.spec, l.o.Root = docker(), image(t)
		l.spec.Mounts = append(l.spec.Mounts, mount("/dev/shm", "bind", "/dev/shm", "remount,bind,ro,nosuid"),
			mount("/dev", "", "", "remount,bind,ro,nosuid"), mount("/proc", "bind", "", "remount,ro"),
			mount("/dev/pts", "devpts", "devpts", "remount,nosuid,gid=6,mode=600"))
		c := l.must(t)
		mounts := c.mounts(t)
		if got := mounts["/dev/shm"].Options; !strings.HasPrefix(got, "ro,nosuid") {
			t.Errorf("/dev/shm: %s, want ro,nosuid", got)
		}
		for _, point := range []string{"/dev", "/proc"} {
			if got := mounts[point].Options; !strings.HasPrefix(got, "ro,") {
				t.Errorf("%s: %s, want ro", point, got)
			}
		}
		if got := mounts["/dev/pts"].VFSOptions; !strings.Contains(got, "gid=6,mode=600") {
			t.Errorf("/dev/pts: %s, want gid=6,mode=600", got)
		}
	})
}

// TestOverlay: options that only the file system understands are passed on.
func TestOverlay(t *testing.T) {
	onHost(t, func(t *testing.T, l launch) error {
		volume, err := sharedVolume(t) // not on another overlay
		if err != nil {
			return err
		}
		for _, dir := range []string{"a", "b", "upper", "scratch"} {
			write(t, filepath.Join(volume, dir, dir), dir)
		}
		if err := os.Remove(volume + "/scratch/scratch"); err != nil {
			return err
		}
		l.spec, l.o.Root = docker(), image(t)
		layers := fmt.Sprintf("lowerdir=%[1]s/a:%[1]s/b,upperdir=%[1]s/upper,workdir=%[1]s/scratch,nodev", volume)
		l.spec.Mounts = append(l.spec.Mounts, mount("/merged", "overlay", "overlay", layers))
		c, err := l.start(t)
		if err != nil {
			return err
		}
		for _, name := range []string{"a", "b", "upper"} {
			if text := read(t, c.root+"/merged/"+name); text != name {
				t.Errorf("layer %s has %q", name, text)
			}
		}
		return nil
	})
}

// TestSourceInside: the source of a bind mount may be what an earlier mount has brought into the container's tree.
func TestSourceInside(t *testing.T) {
	variants(t, func(t *testing.T, l launch) {
		volume := t.TempDir()
		if err := errors.Join(os.Mkdir(volume+"/x", 0o755), os.WriteFile(volume+"/x/file", []byte("brought"), 0o644)); err != nil {
			t.Fatal(err)
		}
		l.spec, l.o.Root = docker(), image(t)
		bind := []string{"rbind", "rprivate"}
		l.spec.Mounts = append(l.spec.Mounts,
			specs.Mount{Destination: "/mnt", Source: volume, Options: bind},
			specs.Mount{Destination: "/again", Source: l.o.Root + "/mnt/x", Options: bind},
			specs.Mount{Destination: "/alone", Source: l.o.Root + "/mnt/x/file", Options: bind})
		c := l.must(t)
		for _, path := range []string{"/again/file", "/alone"} {
			if text := read(t, c.root+path); text != "brought" {
				t.Errorf("%s has %q", path, text)
			}
		}
	})
}

// TestSourceLink: where the source of a bind mount is a symbolic link, what is mounted below it is in what the link
// leads to, and nowhere else in the container.
func TestSourceLink(t *testing.T) {
	variants(t, func(t *testing.T, l launch) {
		volume := t.TempDir()
		if err := errors.Join(os.MkdirAll(volume+"/x/y", 0o755), os.WriteFile(volume+"/file", []byte("found"), 0o644),
			os.Symlink("x", volume+"/link")); err != nil {
			t.Fatal(err)
		}
		l.spec, l.o.Root = docker(), image(t)
		bind := []string{"bind", "rprivate"}
		l.spec.Mounts = append(l.spec.Mounts,
			specs.Mount{Destination: "/mnt", Source: volume + "/link", Options: bind},
			specs.Mount{Destination: "/mnt/y", Source: volume, Options: bind})
		c := l.must(t)
		if text := read(t, c.root+"/mnt/y/file"); text != "found" {
			t.Errorf("/mnt/y/file has %q", text)
		}
	})
}

// TestMaskedTwice: what engines and users both want masked is mounted over once.
func TestMaskedTwice(t *testing.T) {
	variants(t, func(t *testing.T, l launch) {
		l.spec, l.o.Root = docker(), image(t)
		l.spec.Linux.MaskedPaths = []string{"/etc", "/etc/hosts", "/etc", "/etc"}
		count := 0
		mounts, err := os.ReadFile(fmt.Sprintf("/proc/%d/mountinfo", l.must(t).pid))
		for line := range strings.Lines(string(mounts)) {
			if fields := strings.Fields(line); fields[4] == "/etc" {
				count++
			}
		}
		if count != 1 || err != nil {
			t.Errorf("%d mounts, %v, want one:\n%s", count, err, mounts)
		}
	})
}

// TestNothingBare: where the root is moved, no procfs and no sysfs of the host stays mounted, wherever it is: a user
// namespace in the container could mount one without masks as long as there is one.
func TestNothingBare(t *testing.T) {
	at := t.TempDir()
	if err := unix.Mount("proc", at, "proc", 0, ""); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(at, unix.MNT_DETACH)
	o, s := Options{Root: image(t), NoPivot: true}, docker()
	if err := Survey(s, &o); err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(o.Bare, at) || !slices.Contains(o.Bare, "/proc") || slices.Index(o.Bare, at) > slices.Index(o.Bare, "/proc") {
		t.Errorf("to be unmounted: %q; want %s, and /proc after it", o.Bare, at)
	}
	l := &op.List{}
	if err := Enter(l, s, o, op.NewVar("root")); err != nil {
		t.Fatal(err)
	}
	taken := ""
	for _, o := range l.Ops {
		taken += o.String() + "\n"
	}
	for _, path := range o.Bare {
		if !strings.Contains(taken, `umount2("`+path+`", MNT_DETACH)`) {
			t.Errorf("%s stays:\n%s", path, taken)
		}
	}
}

// TestNoPivot moves the root, where it cannot be pivoted.
func TestNoPivot(t *testing.T) {
	variants(t, func(t *testing.T, l launch) {
		l.spec, l.o.Root, l.o.NoPivot = docker(), image(t), true
		c := l.must(t)
		if text := read(t, c.root+"/etc/hosts"); text != "image\n" {
			t.Errorf("/etc/hosts has %q", text)
		}
		if m := c.mounts(t)["/proc"]; m == nil || !strings.Contains(m.Options, "nodev") {
			t.Errorf("/proc: %v", m)
		}
	})
}
