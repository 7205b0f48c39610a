//go:build linux

package engine

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/kernel"
	"github.com/simple-container/simple-container/final/internal/ocispec"
)

func volumeMount(name, target string) ocispec.Mount {
	return ocispec.Mount{Type: ocispec.Volume, Name: name, Target: target}
}

// TestReadOnlyVolume: who copies into a container that does not run writes to no more than its processes may.
func TestReadOnlyVolume(t *testing.T) {
	if err := kernel.MountSetattr(); err != nil {
		t.Skip(err)
	}
	w := newWorld(t)
	shared := w.TempDir()
	c := w.create(func(o *CreateOptions) {
		o.Mounts = []ocispec.Mount{
			{Type: ocispec.Bind, Source: shared, Target: "/shared", ReadOnly: true}, volumeMount("data", "/data"),
		}
	}, "true")
	file := filepath.Join(w.TempDir(), "file")
	w.must(os.WriteFile(file, []byte("text"), 0o600))
	if err := c.CopyIn(&file, nil, "/shared/", CopyOptions{}); !errors.Is(err, unix.EROFS) {
		t.Errorf("into what is mounted read-only: %v", err)
	}
	w.check(c.CopyIn(&file, nil, "/data/", CopyOptions{}))
	if entries, err := os.ReadDir(shared); err != nil || len(entries) > 0 {
		t.Errorf("%v, %v are in it", entries, err)
	}
	if _, err := os.Stat(filepath.Join(w.volumeData("data"), "file")); err != nil {
		t.Error(err)
	}
	w.must(c.Remove(RemoveOptions{}))
	w.must(os.RemoveAll(filepath.Join(w.volumes(), "data")))
}

// TestVolumeBehindDanglingLink: a volume whose place cannot be made now is in nobody's way.
func TestVolumeBehindDanglingLink(t *testing.T) {
	w := newWorld(t)
	root := w.TempDir()
	w.must(os.Symlink("/nowhere", filepath.Join(root, "link")))
	c := w.create(func(o *CreateOptions) {
		o.Image, o.Rootfs, o.Mounts = "", root, []ocispec.Mount{volumeMount("", "/link/data")}
	}, "true")
	file := filepath.Join(w.TempDir(), "file")
	w.must(os.WriteFile(file, []byte("text"), 0o600))
	w.check(c.CopyIn(&file, nil, "/", CopyOptions{}))
	if _, err := os.Stat("/nowhere"); err == nil {
		t.Error("the link led to the host")
	}
	w.must(c.Remove(RemoveOptions{Volumes: true}))
}

// TestPasswdIsNoDevice: a device in the place of /etc/passwd is not opened, wherever links lead to it from.
func TestPasswdIsNoDevice(t *testing.T) {
	root := t.TempDir()
	if err := os.Mkdir(root+"/etc", 0o755); err != nil {
		t.Fatal(err)
	}
	// Nothing answers for this number: to open it is ENXIO.
	if err := unix.Mknod(root+"/etc/passwd", unix.S_IFCHR|0o600, int(unix.Mkdev(240, 77))); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/passwd", root+"/etc/group"); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/etc/passwd", "/etc/group", "/../etc/passwd"} {
		if _, err := openRegularIn(root, path); err == nil || !strings.Contains(err.Error(), "not a regular file") {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// TestSharedVolume: a volume without a name stays as long as another container names it.
func TestSharedVolume(t *testing.T) {
	w := newWorld(t)
	first := w.create(func(o *CreateOptions) { o.Mounts = []ocispec.Mount{volumeMount("", "/data")} }, "true")
	name := first.Mounts[0].Name
	second := w.create(func(o *CreateOptions) { o.Mounts = []ocispec.Mount{volumeMount(name, "/data")} }, "true")
	w.must(first.Remove(RemoveOptions{Volumes: true}))
	if _, err := os.Stat(w.volumeData(name)); err != nil {
		t.Error(err)
	}
	w.must(second.Remove(RemoveOptions{Volumes: true}))
	if _, err := os.Stat(w.volumeData(name)); err == nil {
		t.Error("it is there still")
	}
}

// TestMountedVolume: what somebody has mounted on a volume is theirs, and is neither removed nor half of the volume.
func TestMountedVolume(t *testing.T) {
	w := newWorld(t)
	theirs := t.TempDir()
	w.must(os.WriteFile(theirs+"/precious", nil, 0o600))
	name, err := w.CreateVolume("data", nil)
	w.must(err)
	w.must(unix.Mount(theirs, w.volumeData(name), "", unix.MS_BIND, ""))
	if err := w.RemoveVolume(name); err == nil || !strings.Contains(err.Error(), "mounted at "+w.volumeData(name)) {
		t.Errorf("a volume with a mount on it was removed, or: %v", err)
	}
	_, err = w.Volume(name)
	w.must(err)
	w.must(unix.Unmount(w.volumeData(name), unix.MNT_DETACH))
	w.must(w.RemoveVolume(name))
	_, err = os.Stat(theirs + "/precious")
	w.must(err)
}
