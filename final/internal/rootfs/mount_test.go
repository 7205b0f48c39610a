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
		if os.Getuid() != 0 {
			t.Skip("needs root: mounts")
		}
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
			mount("/run", "tmpfs", "tmpfs", "nosuid,ro"), mount("/run/lock", "tmpfs", "tmpfs", "mode=1777"),
			mount("/data", "tmpfs", "tmpfs", "tmpcopyup,nodev,ro,size=1m"), mount("/new/dir", "tmpfs", "tmpfs", "size=64k"))
		c := l.must(t)
		mounts := c.mounts(t)
		if got := mounts["/run"].Options + " " + mounts["/run/lock"].Options + " " + mounts["/data"].Options; got !=
			"ro,nosuid,relatime rw,relatime ro,nodev,relatime" {
			t.Errorf("options %s", got)
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
			mount("/dev/pts", "devpts", "devpts", "remount,nosuid,gid=6,mode=600"))
		c := l.must(t)
		mounts := c.mounts(t)
		if got := mounts["/dev/shm"].Options; !strings.HasPrefix(got, "ro,nosuid") {
			t.Errorf("/dev/shm: %s, want ro,nosuid", got)
		}
		if got := mounts["/dev/pts"].VFSOptions; !strings.Contains(got, "gid=6,mode=600") {
			t.Errorf("/dev/pts: %s, want gid=6,mode=600", got)
		}
	})
}

// TestIDMap gives a volume other owners: files of the host's 1000 belong to the container's 0.
func TestIDMap(t *testing.T) {
	volume := t.TempDir()
	write(t, volume+"/file", "x")
	if err := os.Chown(volume+"/file", 1000, 1001); err != nil {
		t.Fatal(err)
	}
	l := launch{spec: docker(), o: Options{Root: image(t)}}
	m := mount("/data", "bind", volume, "rbind,ridmap")
	m.UIDMappings = []specs.LinuxIDMapping{{ContainerID: 1000, HostID: 0, Size: 1}}
	m.GIDMappings = []specs.LinuxIDMapping{{ContainerID: 1001, HostID: 7, Size: 1}}
	l.spec.Mounts = append(l.spec.Mounts, m)
	c, err := l.start(t)
	if err := kernel.MountSetattr(); errors.Is(err, unix.ENOSYS) {
		t.Skipf("the kernel is before 5.12: %v", err)
	}
	if errors.Is(err, unix.EINVAL) && os.Getenv("MICROVM") != "" {
		t.Skipf("the machine is all tmpfs, whose files can have other owners since 6.3: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	var stat unix.Stat_t
	if err := unix.Stat(c.root+"/data/file", &stat); err != nil || stat.Uid != 0 || stat.Gid != 7 {
		t.Errorf("owner %d:%d, %v; want 0:7", stat.Uid, stat.Gid, err)
	}
	for _, test := range []struct {
		change func(*specs.Mount)
		old    bool
		want   string
	}{
		{func(m *specs.Mount) { m.UIDMappings, m.GIDMappings = nil, nil }, false, "neither the mount nor the container"},
		{func(m *specs.Mount) { m.Type, m.Options = "tmpfs", []string{"idmap"} }, false, "only a bind mount"},
		{func(m *specs.Mount) {}, true, "5.12"},
	} {
		bad := m
		test.change(&bad)
		l.spec.Mounts[len(l.spec.Mounts)-1], l.old = bad, test.old
		if _, err := l.start(t); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%v, want an error with %q", err, test.want)
		}
	}
}

// TestDevices makes nodes of the spec, next to what an image has.
func TestDevices(t *testing.T) {
	variants(t, func(t *testing.T, l launch) {
		mode, gid := os.FileMode(0o640), uint32(44)
		l.spec, l.o.Root = docker(), image(t)
		l.spec.Linux.Devices = []specs.LinuxDevice{
			{Path: "/dev/net/tun", Type: "c", Major: 10, Minor: 200},
			{Path: "/dev/disk", Type: "b", Major: 8, Minor: 3, FileMode: &mode, GID: &gid},
			{Path: "/dev/pipe", Type: "p", FileMode: &mode},
			{Path: "/dev/null", Type: "u", Major: 1, Minor: 3, FileMode: &mode},
			{Path: "/srv/x/zero", Type: "c", Major: 1, Minor: 5},
		}
		c := l.must(t)
		node(t, c.root+"/dev/net/tun", unix.S_IFCHR|0o666, unix.Mkdev(10, 200), 0)
		node(t, c.root+"/dev/disk", unix.S_IFBLK|0o640, unix.Mkdev(8, 3), 44)
		node(t, c.root+"/dev/pipe", unix.S_IFIFO|0o640, 0, 0)
		node(t, c.root+"/dev/null", unix.S_IFCHR|0o640, unix.Mkdev(1, 3), 0)
		node(t, c.root+"/srv/x/zero", unix.S_IFCHR|0o666, unix.Mkdev(1, 5), 0)

		l.must(t) // /srv/x/zero is there now, and the same
		l.spec.Linux.Devices = l.spec.Linux.Devices[4:]
		for _, change := range []func(*specs.LinuxDevice){
			func(d *specs.LinuxDevice) { d.Major = 2 }, func(d *specs.LinuxDevice) { d.Minor = 3 },
			func(d *specs.LinuxDevice) { d.Type = "b" },
		} {
			good := l.spec.Linux.Devices[0]
			change(&l.spec.Linux.Devices[0])
			if _, err := l.start(t); !errors.Is(err, unix.EAGAIN) {
				t.Errorf("%+v: %v, want EAGAIN", l.spec.Linux.Devices[0], err)
			}
			l.spec.Linux.Devices[0] = good
		}
	})
}

// TestHostDev: with the host's /dev bound, nothing is made in it.
func TestHostDev(t *testing.T) {
	dev := t.TempDir()
	l := launch{spec: docker(), o: Options{Root: image(t)}}
	l.spec.Mounts = []specs.Mount{l.spec.Mounts[0], mount("/dev", "bind", dev, "rbind")}
	l.must(t)
	empty(t, dev)
}

// TestImageDev: without a mount on /dev the image's own gets nodes and links, which replace what is there.
func TestImageDev(t *testing.T) {
	variants(t, func(t *testing.T, l launch) {
		l.spec, l.o.Root = docker(), image(t)
		l.spec.Mounts = l.spec.Mounts[:1]
		write(t, l.o.Root+"/dev/ptmx", "not a link")
		for range 2 { // the second finds all of it there
			c := l.must(t)
			node(t, c.root+"/dev/tty", unix.S_IFCHR|0o666, unix.Mkdev(5, 0), 0)
			if target, err := os.Readlink(c.root + "/dev/ptmx"); target != "pts/ptmx" {
				t.Errorf("/dev/ptmx leads to %q, %v", target, err)
			}
		}
	})
}

// TestUserNamespace makes Docker's tree without privileges on the host; sources of bind mounts are where the
// container's root cannot go.
func TestUserNamespace(t *testing.T) {
	variants(t, func(t *testing.T, l launch) {
		l.spec, l.o.Root, l.o.UserNamespace = docker(), image(t), true
		l.spec.Root.Readonly = true
		l.spec.Linux.Namespaces = append(l.spec.Linux.Namespaces, specs.LinuxNamespace{Type: specs.UserNamespace})
		l.spec.Linux.UIDMappings = []specs.LinuxIDMapping{{ContainerID: 0, HostID: 100000, Size: 1000}}
		l.spec.Linux.GIDMappings = l.spec.Linux.UIDMappings
		closed := filepath.Join(t.TempDir(), "closed")
		write(t, closed+"/a/file", "x")
		if err := errors.Join(os.Chmod(closed, 0o700), os.Chown(l.o.Root, 100000, 100000)); err != nil {
			t.Fatal(err)
		}
		l.spec.Mounts = append(l.spec.Mounts, mount("/data", "bind", closed+"/a", "bind,rw,noexec"),
			mount("/etc/hosts", "bind", closed+"/a/file", "bind,ro,rprivate"),
			mount("/tmp", "tmpfs", "tmpfs", "mode=1777,nosuid"))
		c := l.must(t)
		mounts := c.mounts(t)
		for point, want := range map[string]string{
			"/dev/null": "devtmpfs", "/proc/sys": "proc", "/sys": "sysfs", "/dev/mqueue": "mqueue", "/dev/pts": "devpts",
		} {
			if m := mounts[point]; m == nil || m.FSType != want {
				t.Errorf("%s is not a %s in\n%s", point, want, table(mounts))
			}
		}
		data, top := mounts["/data"].Options, mounts["/"].Options
		if !strings.HasPrefix(data, "rw") || !strings.Contains(data, "noexec") || !strings.HasPrefix(top, "ro") {
			t.Errorf("options in\n%s", table(mounts))
		}
		if text := read(t, c.root+"/data/file"); text != "x" {
			t.Errorf("/data/file has %q", text)
		}
	})
}

// TestHostSys: who shares the host's network in a user namespace sees its /sys, and can write nowhere in it,
// not even where the host's cgroups are (CVE-2023-25809).
func TestHostSys(t *testing.T) {
	variants(t, func(t *testing.T, l launch) {
		l.spec, l.o.Root, l.o.UserNamespace, l.hostNet = docker(), image(t), true, true
		l.spec.Linux.UIDMappings = []specs.LinuxIDMapping{{ContainerID: 0, HostID: 0, Size: 1000}}
		l.spec.Linux.GIDMappings = l.spec.Linux.UIDMappings
		mounts := l.must(t).mounts(t)
		top, below := mounts["/sys"], mounts["/sys/fs/cgroup"]
		if top == nil || below == nil {
			t.Fatalf("no /sys or no mounts in it:\n%s", table(mounts))
		}
		if !strings.HasPrefix(top.Options, "ro") || !strings.HasPrefix(below.Options, "ro") && !l.old {
			t.Errorf("/sys: %s, /sys/fs/cgroup: %s, want both ro", top.Options, below.Options)
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
		for _, dir := range []string{"a", "b", "upper", "work"} {
			write(t, filepath.Join(volume, dir, dir), dir)
		}
		if err := os.Remove(volume + "/work/work"); err != nil {
			return err
		}
		l.spec, l.o.Root = docker(), image(t)
		layers := fmt.Sprintf("lowerdir=%[1]s/a:%[1]s/b,upperdir=%[1]s/upper,workdir=%[1]s/work,nodev", volume)
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

// TestLocked: in a user namespace what the host has made read-only stays so, whatever the spec asks for.
func TestLocked(t *testing.T) {
	onHost(t, func(t *testing.T, l launch) error {
		volume, err := sharedVolume(t)
		if err != nil {
			return err
		}
		const locked = unix.MS_REMOUNT | unix.MS_BIND | unix.MS_RDONLY | unix.MS_NOSUID | unix.MS_NOATIME
		if err := unix.Mount("", volume, "", locked, ""); err != nil {
			return err
		}
		l.spec, l.o.Root, l.o.UserNamespace = docker(), image(t), true
		l.spec.Linux.UIDMappings = []specs.LinuxIDMapping{{ContainerID: 0, HostID: 0, Size: 1000}}
		l.spec.Linux.GIDMappings = l.spec.Linux.UIDMappings
		l.spec.Mounts = append(l.spec.Mounts, mount("/data", "bind", volume, "bind,rw,nodev,strictatime"))
		l.direct = true // as with an unprivileged parent, which can open nothing for others
		c, err := l.start(t)
		if err != nil {
			return err
		}
		if got := c.mounts(t)["/data"].Options; got != "ro,nosuid,nodev,noatime" {
			t.Errorf("options %s, want ro,nosuid,nodev,noatime", got)
		}
		return nil
	})
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
	c.Group = "/sys/fs/cgroup"
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
