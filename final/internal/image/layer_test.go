//go:build linux

package image

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// unpackedAlone unpacks layers each into a directory of its own, as overlayfs takes them; the lowest is the first.
func unpackedAlone(t *testing.T, layers [][]tar.Header) (dirs []string) {
	t.Helper()
	for _, layer := range layers {
		for i, h := range layer {
			if h.Typeflag == tar.TypeXGlobalHeader {
				layer[i].Mode = 0
			}
		}
		content := layerBytes(t, layer)
		dir := t.TempDir()
		if _, err := unpackInto(dir, bytes.NewReader(content), int64(len(content)), digestOf(content)); err != nil {
			t.Fatal(err)
		}
		dirs = append(dirs, dir)
	}
	return dirs
}

// inOverlay lists what overlayfs makes of layers, in a mount namespace of its own.
func inOverlay(t *testing.T, dirs []string) map[string]string {
	t.Helper()
	target := t.TempDir()
	slices.Reverse(dirs)
	dirs = append(dirs, t.TempDir()) // a single one is no overlay
	done := make(chan error)
	var found map[string]string
	go func() {
		done <- func() error {
			lockThread()
			if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err != nil {
				return err
			}
			if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
				return err
			}
			if err := unix.Mount("overlay", target, "overlay", 0, "lowerdir="+strings.Join(dirs, ":")); err != nil {
				return err
			}
			found = listing(t, target)
			return unix.Unmount(target, 0)
		}()
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return found
}

// TestLayersInOverlay: what overlayfs makes of layers that were unpacked alone is what unpacking one over the other
// makes.
func TestLayersInOverlay(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mount needs root: EPERM for others")
	}
	for _, tt := range layerCases {
		t.Run(tt.name, func(t *testing.T) {
			if tt.name == "an absolute link as a parent is the image's" {
				// The layer cannot know the link: builders write the place that it leads to.
				return
			}
			if diff := cmp.Diff(tt.want, inOverlay(t, unpackedAlone(t, tt.layers))); diff != "" {
				t.Errorf("the tree is not as wanted (-want +got):\n%s", diff)
			}
		})
	}
	for _, tt := range []struct {
		name   string
		layers [][]tar.Header
		want   map[string]string
	}{
		{"a directory after its whiteout",
			[][]tar.Header{{file("d/x", "1")}, {file(".wh.d", ""), dir("d"), file("d/y", "2")}},
			map[string]string{"d": "dir", "d/y": "2"}},
		{"a directory before its whiteout",
			[][]tar.Header{{file("d/x", "1")}, {dir("d"), file("d/y", "2"), file(".wh.d", "")}},
			map[string]string{"d": "dir", "d/y": "2"}},
		{"a file in a directory after its whiteout",
			[][]tar.Header{{file("d/e/x", "1")}, {file(".wh.d", ""), file("d/e/y", "2")}},
			map[string]string{"d": "dir", "d/e": "dir", "d/e/y": "2"}},
		{"a file after its whiteout",
			[][]tar.Header{{file("a", "1")}, {file(".wh.a", ""), file("a", "2")}},
			map[string]string{"a": "2"}},
		{"attributes of overlayfs in the archive",
			[][]tar.Header{{file("d/x", "1")}, {{Typeflag: tar.TypeDir, Name: "d/",
				PAXRecords: map[string]string{"SCHILY.xattr.trusted.overlay.opaque": "y"}}}},
			map[string]string{"d": "dir", "d/x": "1"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, inOverlay(t, unpackedAlone(t, tt.layers))); diff != "" {
				t.Errorf("the tree is not as wanted (-want +got):\n%s", diff)
			}
		})
	}
}

func TestBombs(t *testing.T) {
	l := limitFor(1000)
	if err := errors.Join(l.take(&tar.Header{Size: freeSize}), l.spend(freeSize, 0)); err != nil {
		t.Error(err)
	}
	if err := l.spend(1<<20, 0); err == nil || !strings.Contains(err.Error(), "bomb") {
		t.Errorf("more than the limit: %v", err)
	}
	l = limitFor(1000)
	for range holeCost { // in parts that by themselves would count for nothing
		if err := l.spend(0, freeSize-1); err != nil {
			t.Errorf("holes up to the limit: %v", err)
		}
	}
	if err := errors.Join(l.spend(0, freeSize), l.spend(0, 1<<20)); err == nil || !strings.Contains(err.Error(), "bomb") {
		t.Errorf("holes beyond the limit: %v", err)
	}
	if err := l.take(&tar.Header{Size: 2 * holeCost * freeSize}); err == nil || !strings.Contains(err.Error(), "bomb") {
		t.Errorf("beyond the limit even as one hole: %v", err)
	}
	l = limitFor(1000)
	for range mostEntries {
		if err := l.take(&tar.Header{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.take(&tar.Header{}); err == nil || !strings.Contains(err.Error(), "entries") {
		t.Errorf("more entries than the limit: %v", err)
	}
}

// TestZeros unpacks a file of nothing, as Docker writes it: in full, and compressed. Here it takes no room.
func TestZeros(t *testing.T) {
	s := openStore(t)
	const size = 64 << 20
	r, w := io.Pipe()
	go func() {
		squeezed := gzip.NewWriter(w)
		archive := tar.NewWriter(squeezed)
		err := archive.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "empty.db", Mode: 0o644, Size: size})
		for left := int64(size); left > 0 && err == nil; left -= 1 << 20 {
			_, err = archive.Write(make([]byte, 1<<20))
		}
		_ = w.CloseWithError(errors.Join(err, archive.Close(), squeezed.Close())) // it returns nil always
	}()
	img, err := s.Import(r, ImportOptions{Name: "empty"})
	if err != nil {
		t.Fatal(err)
	}
	dirs, err := s.Layers(img)
	if err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	if err := unix.Stat(dirs[0]+"/empty.db", &st); err != nil || st.Size != size || st.Blocks*512 > 1<<20 {
		t.Errorf("size %d in %d bytes, %v; want %d in few", st.Size, st.Blocks*512, err, int64(size))
	}
}

// TestSparse unpacks files with holes that tar(1) has written: one that is honest, and one that would fill any disk.
func TestSparse(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("an unpacked file has its owner, which needs root: EPERM for others")
	}
	if version, err := exec.Command("tar", "--version").Output(); !strings.Contains(string(version), "GNU") {
		t.Skipf("the archives are GNU tar's: %s %v", version, err)
	}
	for _, format := range []string{"gnu", "posix"} {
		for _, tt := range []struct {
			size   int64
			refuse bool
		}{{100 << 20, false}, {3 << 40, true}} {
			from := t.TempDir()
			f, err := os.Create(from + "/hole")
			if err != nil {
				t.Fatal(err)
			}
			_, err = f.WriteAt([]byte("in the middle"), 50<<20)
			if err := errors.Join(err, f.Truncate(tt.size), f.Close()); err != nil {
				t.Fatal(err)
			}
			archive, err := exec.Command("tar", "--sparse", "--format="+format, "-C", from, "-c", "hole").Output()
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			_, err = unpackInto(dir, bytes.NewReader(archive), int64(len(archive)), digestOf(archive))
			if tt.refuse {
				if err == nil || !strings.Contains(err.Error(), `"hole"`) {
					t.Errorf("%s: a hole of 3 TiB: %v, want it refused by name", format, err)
				}
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			var st unix.Stat_t
			if err := unix.Stat(dir+"/hole", &st); err != nil || st.Size != tt.size || st.Blocks*512 > 1<<20 {
				t.Errorf("%s: size %d in %d bytes, %v; want %d in few", format, st.Size, st.Blocks*512, err, tt.size)
			}
			part := make([]byte, 13)
			if f, err := os.Open(dir + "/hole"); err == nil {
				_, _ = f.ReadAt(part, 50<<20) // looked at below
				f.Close()
			}
			if string(part) != "in the middle" {
				t.Errorf("%s: the part that is no hole is %q", format, part)
			}
		}
	}
}

// TestLayersAfterPowerCut: a layer that is not what it was is unpacked again, one that is stays as it is.
func TestLayersAfterPowerCut(t *testing.T) {
	s := openStore(t)
	host := registryWith(t, nil)
	push(t, host+"/x", imageFor(t, runtime.GOARCH, layerOf(t, file("a", "content"), file("b", "2"))))
	img, err := s.Pull(t.Context(), host+"/x", PullOptions{})
	if err != nil {
		t.Fatal(err)
	}
	diffID := img.Config.RootFS.DiffIDs[0]
	boot := func(id string) {
		m, err := s.readMark(diffID)
		if err != nil {
			t.Fatal(err)
		}
		m.Boot = id
		content, err := json.Marshal(m)
		if err := errors.Join(err, os.WriteFile(s.markFile(diffID), content, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	inodeOf := func() uint64 {
		layers, err := s.Layers(img)
		if err != nil {
			t.Fatal(err)
		}
		var st unix.Stat_t
		if err := unix.Stat(layers[0], &st); err != nil {
			t.Fatal(err)
		}
		return st.Ino
	}
	before := inodeOf()
	boot("another")
	if after := inodeOf(); after != before {
		t.Error("a layer that is whole was unpacked again")
	}
	if m, err := s.readMark(diffID); err != nil || m.Boot != bootID() {
		t.Errorf("the mark is %+v, %v; want this boot in it", m, err)
	}
	for name, damage := range map[string]func(layer string) error{
		"a short file":   func(layer string) error { return os.Truncate(layer+"/a", 0) },
		"a missing file": func(layer string) error { return os.Remove(layer + "/b") },
		"no mark":        func(string) error { return os.Remove(s.markFile(diffID)) },
		"half a mark":    func(string) error { return os.Truncate(s.markFile(diffID), 5) },
	} {
		if name != "no mark" {
			boot("another")
		}
		if err := damage(s.layer(diffID)); err != nil {
			t.Fatal(err)
		}
		wantFile(t, s, img, "a", "content")
		wantFile(t, s, img, "b", "2")
		if left, _ := filepath.Glob(s.layers + "/partial/*"); len(left) > 0 {
			t.Errorf("%s: left behind: %q", name, left)
		}
	}
	tidy(t, s)
}
