//go:build linux

package rootfs

import (
	"errors"
	"os"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

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
			{Path: "/dev/ptmx", Type: "c", Major: 5, Minor: 2},
			{Path: "/srv/x/zero", Type: "c", Major: 1, Minor: 5},
		}
		c := l.must(t)
		node(t, c.root+"/dev/net/tun", unix.S_IFCHR|0o666, unix.Mkdev(10, 200), 0)
		node(t, c.root+"/dev/disk", unix.S_IFBLK|0o640, unix.Mkdev(8, 3), 44)
		node(t, c.root+"/dev/pipe", unix.S_IFIFO|0o640, 0, 0)
		node(t, c.root+"/dev/null", unix.S_IFCHR|0o640, unix.Mkdev(1, 3), 0)
		node(t, c.root+"/srv/x/zero", unix.S_IFCHR|0o666, unix.Mkdev(1, 5), 0)
		if target, err := os.Readlink(c.root + "/dev/ptmx"); target != "pts/ptmx" {
			t.Errorf("/dev/ptmx leads to %q, %v", target, err)
		}

		l.must(t) // /srv/x/zero is there now, and the same
		l.spec.Linux.Devices = l.spec.Linux.Devices[5:]
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
