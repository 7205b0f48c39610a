//go:build linux

package rootfs

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/kernel"
)

// TestIDMap gives a volume other owners: files of the host's 1000 belong to the container's 0.
func TestIDMap(t *testing.T) {
	l := launch{spec: docker(), o: Options{Root: image(t)}}
	volume := t.TempDir()
	write(t, volume+"/file", "x")
	if err := os.Chown(volume+"/file", 1000, 1001); err != nil {
		t.Fatal(err)
	}
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
