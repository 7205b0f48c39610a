//go:build linux

package rootfs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// This file mounts attacks: an image, or somebody who shares a volume with the container, wants a mount of
// the runtime to land where it was not meant to.

// link puts a symbolic link in the place of whatever is there.
func link(t *testing.T, target, path string) {
	t.Helper()
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
}

// TestLinkForMountPoint: /proc, /sys and /dev are links in the image, or become links once the parent has
// looked (CVE-2019-19921, CVE-2023-27561, CVE-2023-28642, CVE-2026-41579).
func TestLinkForMountPoint(t *testing.T) {
	for _, name := range []string{"proc", "sys", "dev"} {
		for _, late := range []bool{false, true} {
			for _, reexec := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s late=%v reexec=%v", name, late, reexec), func(t *testing.T) {
					l := launch{spec: docker(), o: Options{Root: image(t)}, reexec: reexec}
					attack := func() { link(t, "/etc", filepath.Join(l.o.Root, name)) }
					if late {
						l.swap = attack
					} else {
						attack()
					}
					_, err := l.start(t)
					refused := errors.Is(err, unix.ELOOP) || errors.Is(err, unix.ENOTDIR)
					if !refused || !strings.Contains(err.Error(), "destination /"+name) {
						t.Errorf("%v, want openat2 of %q to refuse the link", err, name)
					}
				})
			}
		}
	}
}

// TestDevWithoutMount: there is no mount on /dev, and the image's /dev leads elsewhere.
func TestDevWithoutMount(t *testing.T) {
	variants(t, func(t *testing.T, l launch) {
		victim := t.TempDir()
		l.spec, l.o.Root = docker(), image(t)
		l.spec.Mounts = l.spec.Mounts[:1]
		link(t, victim, l.o.Root+"/dev")
		if _, err := l.start(t); !errors.Is(err, unix.ELOOP) && !errors.Is(err, unix.ENOTDIR) {
			t.Errorf("%v, want a refusal", err)
		}
		empty(t, victim)
	})
}

func empty(t *testing.T, dir string) {
	t.Helper()
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("%s has %v, %v; want nothing", dir, entries, err)
	}
}

// TestLinkOutOfTheRoot: links of all kinds on the way to a mount point lead to places below the root, and
// what is missing there is made there (CVE-2021-30465, CVE-2024-45310).
func TestLinkOutOfTheRoot(t *testing.T) {
	variants(t, func(t *testing.T, l launch) {
		victim, source := t.TempDir(), t.TempDir()
		for _, test := range []struct{ path, target, destination, lands string }{
			{"data", victim, "/data/x", victim + "/x"},
			{"data", victim, "/data", victim},
			{"data", "../../../../../../../.." + victim, "/data/x/y", victim + "/x/y"},
			{"var/run", "/run/missing", "/var/run/docker.sock", "/run/missing/docker.sock"},
			{"var/run", "../run", "/var/run/secrets/k8s", "/run/secrets/k8s"},
			{"etc/a", "b", "/etc/a/../a/c", "/etc/b/c"},
		} {
			for _, file := range []bool{false, true} {
				l.spec, l.o.Root = docker(), image(t)
				from := source
				if file {
					from = source + "/file"
					write(t, from, "x")
				}
				l.spec.Mounts = append(l.spec.Mounts, mount(test.destination, "bind", from, "rbind,rprivate"))
				if err := os.MkdirAll(filepath.Dir(filepath.Join(l.o.Root, test.path)), 0o755); err != nil {
					t.Fatal(err)
				}
				link(t, test.target, filepath.Join(l.o.Root, test.path))
				c, err := l.start(t)
				if err != nil {
					t.Errorf("%s -> %s, mount on %s: %v", test.path, test.target, test.destination, err)
					continue
				}
				if mounts := c.mounts(t); mounts[test.lands] == nil {
					t.Errorf("%s -> %s, mount on %s: not at %s:\n%s",
						test.path, test.target, test.destination, test.lands, table(mounts))
				}
			}
		}
		empty(t, victim)
	})
}

// TestMagicLink: a link of /proc leads past the root, if it is followed (CVE-2024-21626's way).
func TestMagicLink(t *testing.T) {
	variants(t, func(t *testing.T, l launch) {
		l.spec, l.o.Root = docker(), image(t)
		link(t, "/proc/self/root/tmp", l.o.Root+"/data")
		l.spec.Mounts = append(l.spec.Mounts, mount("/data/x", "tmpfs", "tmpfs", "nosuid"))
		if _, err := l.start(t); err == nil {
			t.Error("a mount through /proc/self/root worked")
		}
	})
}

// TestSwap: while containers start, somebody exchanges a directory of a shared volume with a link to the
// host's (CVE-2021-30465, CVE-2019-18837 of crun). Each start may fail; nothing may be made on the host.
func TestSwap(t *testing.T) {
	needRoot(t)
	victim, volume := t.TempDir(), t.TempDir()
	link(t, victim, volume+"/link")
	if err := os.Mkdir(volume+"/dir", 0o755); err != nil {
		t.Fatal(err)
	}
	var stop atomic.Bool
	swapped := make(chan int)
	go func() {
		n := 0
		for ; !stop.Load(); n++ {
			_ = unix.Renameat2(unix.AT_FDCWD, volume+"/link", unix.AT_FDCWD, volume+"/dir", unix.RENAME_EXCHANGE)
		}
		swapped <- n
	}()
	const rounds = 40
	made := 0
	for i := range rounds {
		l := launch{spec: docker(), o: Options{Root: image(t)}, reexec: i%2 == 1}
		l.spec.Mounts = append(l.spec.Mounts, mount("/data", "bind", volume, "rbind"),
			mount("/data/dir/a/b", "tmpfs", "tmpfs", "nosuid"))
		if _, err := l.start(t); err == nil {
			made++
		}
	}
	stop.Store(true)
	t.Logf("%d of %d containers started, %d swaps", made, rounds, <-swapped)
	empty(t, victim)
}

// TestFakeNull: the image has something else for /dev/null, in the hope that it is bound over what is to be
// masked (CVE-2025-31133).
func TestFakeNull(t *testing.T) {
	variants(t, func(t *testing.T, l launch) {
		l.spec, l.o.Root = docker(), image(t)
		l.spec.Mounts = l.spec.Mounts[:1]
		link(t, "/proc/sys/kernel/core_pattern", l.o.Root+"/dev/null")
		if _, err := l.start(t); !errors.Is(err, unix.EAGAIN) || !strings.Contains(err.Error(), "mode") {
			t.Errorf("%v, want EAGAIN, since a link is no device", err)
		}

		l.o.Root = image(t) // and if the fake comes by a mount, masks are still the host's device
		write(t, l.o.Root+"/../fake", "fake")
		l.spec.Mounts = append(l.spec.Mounts, mount("/dev/null", "bind", "fake", "bind"))
		c := l.must(t)
		if text := read(t, c.root+"/dev/null"); text != "fake" {
			t.Errorf("/dev/null has %q, want the spec's mount to win", text)
		}
		var stat unix.Stat_t
		if err := unix.Stat(c.root+"/proc/interrupts", &stat); err != nil || stat.Rdev != unix.Mkdev(1, 3) {
			t.Errorf("mask of /proc/interrupts: device %#x, %v, want the host's /dev/null", stat.Rdev, err)
		}
	})
}

// TestMaskThroughLink: a masked path that the image makes a link is followed within the root.
func TestMaskThroughLink(t *testing.T) {
	variants(t, func(t *testing.T, l launch) {
		l.spec, l.o.Root = docker(), image(t)
		link(t, "/etc/hosts", l.o.Root+"/secret")
		link(t, "/proc/self/root", l.o.Root+"/magic")
		l.spec.Linux.MaskedPaths = []string{"/secret", "/etc/none/x", "/etc/hosts/x"}
		c := l.must(t)
		if m := c.mounts(t)["/etc/hosts"]; m == nil || read(t, c.root+"/etc/hosts") != "" {
			t.Error("/etc/hosts of the container is not masked")
		}
		l.spec.Linux.MaskedPaths = []string{"/magic/etc"}
		if _, err := l.start(t); !errors.Is(err, unix.ELOOP) {
			t.Errorf("mask through a link of /proc: %v, want %v", err, unix.ELOOP)
		}
	})
}

// TestFakeProc: mounts that would fake what programs read and write in /proc (CVE-2019-16884), also through
// a link in the image.
func TestFakeProc(t *testing.T) {
	source := t.TempDir()
	write(t, source+"/file", "1\n")
	for _, test := range []struct {
		m      specs.Mount
		works  bool
		linked bool
	}{
		{mount("/proc", "tmpfs", "tmpfs", "nosuid"), false, false},
		{mount("/proc", "bind", source, "bind"), false, false},
		{mount("/proc", "bind", "/proc", "rbind"), true, false},
		{mount("/proc/self/attr", "tmpfs", "tmpfs", "nosuid"), false, false},
		{mount("/tmp/../proc/sys", "bind", source, "bind"), false, false},
		{mount("/link/sys", "bind", source, "bind"), false, true},
		{mount("/proc/meminfo", "bind", source+"/file", "bind"), true, false},
		{mount("/", "tmpfs", "tmpfs", "nosuid"), false, false},
	} {
		l := launch{spec: docker(), o: Options{Root: image(t)}}
		if test.linked {
			link(t, "/proc", l.o.Root+"/link")
		}
		l.spec.Mounts = append(l.spec.Mounts, test.m)
		if _, err := l.start(t); (err == nil) != test.works {
			t.Errorf("mount %s on %s: %v, want it to work: %v", test.m.Source, test.m.Destination, err, test.works)
		}
	}
}
