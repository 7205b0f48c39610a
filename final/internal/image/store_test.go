//go:build linux

package image

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

func openStore(t testing.TB) *Store {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("layers keep owners, which needs root: EPERM for others")
	}
	s, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// tidy fails if a store holds anything that is on its way, or that no image has.
func tidy(t *testing.T, s *Store) {
	t.Helper()
	for _, dir := range []string{s.images + "/partial", s.layers + "/partial"} {
		left, err := filepath.Glob(dir + "/*")
		if err != nil || len(left) > 0 {
			t.Errorf("left behind: %q, %v", left, err)
		}
	}
	index, err := s.readIndex()
	if err != nil {
		t.Fatal(err)
	}
	kept, _ := s.reachable(index)
	for _, pattern := range []string{s.images + "/blobs/sha256/*", s.layers + "/sha256/*", s.layers + "/marks/*"} {
		files, _ := filepath.Glob(pattern) // a bad pattern is the only error
		for _, file := range files {
			if !kept[filepath.Base(file)] {
				t.Errorf("no image has %s", file)
			}
		}
	}
}

func TestStorePull(t *testing.T) {
	s := openStore(t)
	host := registryWith(t, nil)
	lower := layerOf(t, dir("d"), file("d/x", "1"), file("a", "1"), file("b", "1"))
	push(t, host+"/two:latest", imageFor(t, runtime.GOARCH, lower,
		layerOf(t, file("b", "2"), file(".wh.a", ""), dir("d"), file("d/.wh..wh..opq", ""))))
	push(t, host+"/one:1", imageFor(t, runtime.GOARCH, lower))
	img, err := s.Pull(t.Context(), host+"/two", PullOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(img.Names) != 1 || img.Names[0] != host+"/two:latest" || len(img.Digests) != 1 {
		t.Errorf("names %q, digests %q", img.Names, img.Digests)
	}
	layers, err := s.Layers(img)
	if err != nil || len(layers) != 2 {
		t.Fatalf("layers %q, %v; want two", layers, err)
	}
	var st unix.Stat_t
	if err := unix.Lstat(layers[1]+"/a", &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFCHR || st.Rdev != 0 {
		t.Errorf("the whiteout: mode %o device %d, %v", st.Mode, st.Rdev, err)
	}
	value := make([]byte, 8)
	if n, err := unix.Lgetxattr(layers[1]+"/d", opaqueAttribute, value); err != nil || string(value[:n]) != "y" {
		t.Errorf("the opaque directory: %q, %v", value[:max(n, 0)], err)
	}
	one, err := s.Pull(t.Context(), host+"/one:1", PullOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if shared, err := s.Layers(one); err != nil || len(shared) != 1 || shared[0] != layers[0] {
		t.Errorf("layers %q, %v; want the lower one of %q", shared, err, layers)
	}
	tidy(t, s)
	if _, err := s.Remove(host+"/two", false); err != nil {
		t.Fatal(err)
	}
	tidy(t, s)
	if _, err := os.Stat(layers[0]); err != nil {
		t.Errorf("the layer of the other image: %v", err)
	}
	if _, err := os.Stat(layers[1]); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the removed image's layer: %v, want it gone", err)
	}
}

func TestLab(t *testing.T) {
	s := openStore(t)
	first, err := s.Lab()
	if err != nil {
		t.Fatal(err)
	}
	second, err := s.Lab()
	if err != nil || first.ID != second.ID {
		t.Errorf("the lab again: %v, %v; want %s", second, err, first.ID)
	}
	layers, err := s.Layers(first)
	if err != nil || len(layers) != 1 {
		t.Fatalf("layers %q, %v", layers, err)
	}
	if target, err := os.Readlink(layers[0] + "/bin/sh"); err != nil || target != "lab" {
		t.Errorf("sh is a link to %q, %v", target, err)
	}
	if found, err := s.Find("lab"); err != nil || found.ID != first.ID {
		t.Errorf("lab: %v, %v", found, err)
	}
	tidy(t, s)
}
