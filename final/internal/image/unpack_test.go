//go:build linux

package image

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"
)

// archive builds a tar archive; an entry's content is in its Linkname if it is a regular file.
func archive(t testing.TB, entries ...tar.Header) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, h := range entries {
		content := ""
		if h.Typeflag == tar.TypeReg {
			content, h.Linkname = h.Linkname, ""
			h.Size = int64(len(content))
		}
		if h.Mode == 0 {
			h.Mode = 0o755
		}
		h.Uid, h.Gid = os.Geteuid(), os.Getegid()
		h.Format = tar.FormatPAX
		if err := w.WriteHeader(&h); err != nil {
			t.Fatalf("header %q: %v", h.Name, err)
		}
		if _, err := io.WriteString(w, content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func file(name, content string) tar.Header {
	return tar.Header{Typeflag: tar.TypeReg, Name: name, Linkname: content}
}
func dir(name string) tar.Header { return tar.Header{Typeflag: tar.TypeDir, Name: name + "/"} }
func symlink(name, target string) tar.Header {
	return tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: target}
}
func hardlink(name, target string) tar.Header {
	return tar.Header{Typeflag: tar.TypeLink, Name: name, Linkname: target}
}

// listing maps every path below dir to what it is: content, "dir", or "-> target".
func listing(t *testing.T, root string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		name, _ := filepath.Rel(root, path)
		switch {
		case d.IsDir():
			found[name] = "dir"
		case d.Type()&os.ModeSymlink != 0:
			target, err := os.Readlink(path)
			found[name] = "-> " + target
			return err
		default:
			content, err := os.ReadFile(path)
			found[name] = string(content)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// layerCases are layers, one on the other, and what they make.
var layerCases = []struct {
	name   string
	layers [][]tar.Header
	want   map[string]string
}{
	{"a file replaces a file",
		[][]tar.Header{{file("a", "1")}, {file("a", "2")}},
		map[string]string{"a": "2"}},
	{"a parent that no entry names",
		[][]tar.Header{{file("a/b/c", "1")}},
		map[string]string{"a": "dir", "a/b": "dir", "a/b/c": "1"}},
	{"a directory keeps its content",
		[][]tar.Header{{dir("d"), file("d/x", "1")}, {dir("d"), file("d/y", "2")}},
		map[string]string{"d": "dir", "d/x": "1", "d/y": "2"}},
	{"a file replaces a directory",
		[][]tar.Header{{dir("d"), file("d/x", "1")}, {file("d", "2")}},
		map[string]string{"d": "2"}},
	{"a directory replaces a link",
		[][]tar.Header{{dir("real"), symlink("d", "real")}, {dir("d"), file("d/x", "1")}},
		map[string]string{"real": "dir", "d": "dir", "d/x": "1"}},
	{"a whiteout",
		[][]tar.Header{{file("a", "1"), file("b", "1")}, {file(".wh.a", "")}},
		map[string]string{"b": "1"}},
	{"a whiteout of a directory",
		[][]tar.Header{{file("d/e/f", "1"), file("b", "1")}, {file(".wh.d", "")}},
		map[string]string{"b": "1"}},
	{"a whiteout of nothing",
		[][]tar.Header{{file("b", "1")}, {file(".wh.a", "")}},
		map[string]string{"b": "1"}},
	{"a whiteout spares its own layer",
		[][]tar.Header{{file("a", "1")}, {file("a", "2"), file(".wh.a", "")}},
		map[string]string{"a": "2"}},
	{"a whiteout of a link spares the target",
		[][]tar.Header{{file("d/x", "1"), symlink("l", "d")}, {file(".wh.l", "")}},
		map[string]string{"d": "dir", "d/x": "1"}},
	{"an opaque directory marked first",
		[][]tar.Header{{file("d/x", "1"), file("d/s/o", "1")}, {dir("d"), file("d/.wh..wh..opq", ""), file("d/y", "2")}},
		map[string]string{"d": "dir", "d/y": "2"}},
	{"an opaque directory marked last",
		[][]tar.Header{{file("d/x", "1"), file("d/s/o", "1")}, {dir("d"), dir("d/s"), file("d/s/n", "2"), file("d/.wh..wh..opq", "")}},
		map[string]string{"d": "dir", "d/s": "dir", "d/s/n": "2"}},
	{"marks of aufs",
		[][]tar.Header{{file("a", "1"), dir(".wh..wh.plnk"), file(".wh..wh.aufs", "")}},
		map[string]string{"a": "1"}},
	{"an absolute link as a parent is the image's",
		[][]tar.Header{{dir("run"), symlink("var", "/run")}, {file("var/x", "1")}},
		map[string]string{"run": "dir", "run/x": "1", "var": "-> /run"}},
	{"hard links",
		[][]tar.Header{{file("a", "1"), hardlink("d/b", "a"), hardlink("c", "/a")}},
		map[string]string{"a": "1", "d": "dir", "d/b": "1", "c": "1"}},
	{"a hard link to a link is a link",
		[][]tar.Header{{symlink("a", "nowhere"), hardlink("b", "a")}},
		map[string]string{"a": "-> nowhere", "b": "-> nowhere"}},
	{"a name with a dot in front",
		[][]tar.Header{{dir("."), file("./a", "1")}},
		map[string]string{"a": "1"}},
	{"a global header",
		[][]tar.Header{{{Typeflag: tar.TypeXGlobalHeader, Name: "pax", PAXRecords: map[string]string{"comment": "x"}}, file("a", "1")}},
		map[string]string{"a": "1"}},
}

func TestUnpackLayers(t *testing.T) {
	for _, tt := range layerCases {
		t.Run(tt.name, func(t *testing.T) {
			root := t.TempDir()
			for _, layer := range tt.layers {
				for i, h := range layer {
					if h.Typeflag == tar.TypeXGlobalHeader {
						layer[i].Mode = 0
					}
				}
				if err := Unpack(root, bytes.NewReader(layerBytes(t, layer))); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(tt.want, listing(t, root)); diff != "" {
				t.Errorf("the tree is not as wanted (-want +got):\n%s", diff)
			}
		})
	}
}

// layerBytes is archive, for headers that may have no mode or owner.
func layerBytes(t testing.TB, layer []tar.Header) []byte {
	if len(layer) > 0 && layer[0].Typeflag == tar.TypeXGlobalHeader {
		var out bytes.Buffer
		w := tar.NewWriter(&out)
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeXGlobalHeader, PAXRecords: layer[0].PAXRecords}); err != nil {
			t.Fatal(err)
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		return append(out.Bytes(), archive(t, layer[1:]...)...)
	}
	return archive(t, layer...)
}

// hostile archives: each must leave everything outside of the root alone. refused names those that no honest
// builder makes; the others are made harmless by resolving them inside the root.
var hostile = []struct {
	name    string
	refused string
	layers  [][]tar.Header
}{
	{"dot dot", `"../outside/x"`, [][]tar.Header{{file("../outside/x", "bad")}}},
	{"dot dot in the middle", `"a/../../outside/x"`, [][]tar.Header{{file("a/../../outside/x", "bad")}}},
	{"absolute", `"/OUTSIDE/x"`, [][]tar.Header{{file("/OUTSIDE/x", "bad")}}},
	{"a link out, then a file through it", "", [][]tar.Header{{symlink("l", "../outside"), file("l/x", "bad")}}},
	{"an absolute link out, then a file through it", "", [][]tar.Header{{symlink("l", "OUTSIDE"), file("l/x", "bad")}}},
	{"a link out in a lower layer", "", [][]tar.Header{{symlink("l", "OUTSIDE")}, {file("l/x", "bad")}}},
	{"a link to a file, then the file", "", [][]tar.Header{{symlink("l", "OUTSIDE/secret"), file("l", "bad")}}},
	{"a hard link with dot dot", `"h"`, [][]tar.Header{{hardlink("h", "../outside/secret"), file("h", "bad")}}},
	{"a hard link to an absolute name", `"h"`, [][]tar.Header{{hardlink("h", "OUTSIDE/secret")}}},
	{"a hard link through a link", `"h"`, [][]tar.Header{{symlink("l", "OUTSIDE"), hardlink("h", "l/secret")}}},
	{"a whiteout with dot dot", `"../outside/.wh.secret"`, [][]tar.Header{{file("../outside/.wh.secret", "")}}},
	{"a whiteout through a link", "", [][]tar.Header{{symlink("l", "OUTSIDE"), file("l/.wh.secret", "")}}},
	{"a whiteout of dot dot", `".wh..."`, [][]tar.Header{{dir("d"), file(".wh...", "")}}},
	{"a whiteout of dot", `".wh.."`, [][]tar.Header{{file("a", ""), file(".wh..", "")}}},
	{"an opaque mark through a link", "", [][]tar.Header{{symlink("l", "OUTSIDE"), file("l/.wh..wh..opq", "")}}},
	{"the root as a link", `"./"`, [][]tar.Header{{symlink("./", "OUTSIDE"), file("x", "bad")}}},
	{"a directory's mode through a link", "", [][]tar.Header{{symlink("l", "OUTSIDE"), {Typeflag: tar.TypeDir, Name: "l/", Mode: 0o777}}}},
	{"links in a circle", `"a/x"`, [][]tar.Header{{symlink("a", "b"), symlink("b", "a"), file("a/x", "bad")}}},
	{"an unknown type", `"odd"`, [][]tar.Header{{{Typeflag: '9', Name: "odd"}}}},
}

func TestUnpackHostile(t *testing.T) {
	unpackHostile(t, func(root string, archive []byte) error { return Unpack(root, bytes.NewReader(archive)) })
}

// TestUnpackHostileLayer is the same for the form that overlayfs takes, where each layer is alone.
func TestUnpackHostileLayer(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mknod needs root: EPERM for others")
	}
	unpackHostile(t, func(root string, archive []byte) error {
		_, err := unpackInto(root, bytes.NewReader(archive), int64(len(archive)), digestOf(archive))
		return err
	})
}

func unpackHostile(t *testing.T, unpack func(root string, archive []byte) error) {
	for _, tt := range hostile {
		t.Run(tt.name, func(t *testing.T) {
			world := t.TempDir()
			root, outside := filepath.Join(world, "root"), filepath.Join(world, "outside")
			for _, d := range []string{root, outside} {
				if err := os.Mkdir(d, 0o750); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.WriteFile(filepath.Join(outside, "secret"), []byte("good"), 0o600); err != nil {
				t.Fatal(err)
			}
			replace := func(s string) string { return strings.ReplaceAll(s, "OUTSIDE", outside) }
			var err error
			for _, layer := range tt.layers {
				layer = slices.Clone(layer)
				for i := range layer {
					layer[i].Name, layer[i].Linkname = replace(layer[i].Name), replace(layer[i].Linkname)
				}
				if err = unpack(root, archive(t, layer...)); err != nil {
					break
				}
			}
			switch {
			case tt.refused != "" && err == nil:
				t.Error("was unpacked, want it refused")
			case tt.refused != "" && !strings.Contains(err.Error(), "entry "+replace(tt.refused)):
				t.Errorf("error %q does not name the entry %s", err, replace(tt.refused))
			}
			got := listing(t, outside)
			if len(got) != 1 || got["secret"] != "good" {
				t.Errorf("outside of the root: %v, want the secret alone, as it was", got)
			}
			info, err := os.Stat(outside)
			if err != nil || info.Mode().Perm() != 0o750 {
				t.Errorf("the directory outside: mode %v, %v; want 0750", info.Mode(), err)
			}
			if links, err := os.Lstat(filepath.Join(outside, "secret")); err != nil || links.Mode().Perm() != 0o600 {
				t.Errorf("the file outside: mode %v, %v; want 0600", links.Mode(), err)
			}
		})
	}
}

func TestUnpackAttributes(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("chown and mknod need root: EPERM for others")
	}
	root := t.TempDir()
	long := time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	capability := "\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
	for _, h := range []tar.Header{
		{Typeflag: tar.TypeDir, Name: "d/", Mode: 0o1777, Uid: 3, Gid: 4, ModTime: long},
		{Typeflag: tar.TypeReg, Name: "d/suid", Mode: 0o4755, Uid: 1234, Gid: 5678, ModTime: long},
		{Typeflag: tar.TypeReg, Name: "cap", Mode: 0o755, PAXRecords: map[string]string{"SCHILY.xattr.security.capability": capability}},
		{Typeflag: tar.TypeSymlink, Name: "l", Linkname: "cap", Uid: 7, Gid: 8, ModTime: long},
		{Typeflag: tar.TypeChar, Name: "null", Mode: 0o666, Devmajor: 1, Devminor: 3},
		{Typeflag: tar.TypeFifo, Name: "pipe", Mode: 0o600},
	} {
		h.Format = tar.FormatPAX
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	old := unix.Umask(0o077)
	err := Unpack(root, &out)
	unix.Umask(old)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name     string
		mode     uint32
		uid, gid uint32
		time     bool
	}{
		{"d", unix.S_IFDIR | 0o1777, 3, 4, true},
		{"d/suid", unix.S_IFREG | 0o4755, 1234, 5678, true},
		{"cap", unix.S_IFREG | 0o755, 0, 0, false},
		{"l", unix.S_IFLNK | 0o777, 7, 8, true},
		{"null", unix.S_IFCHR | 0o666, 0, 0, false},
		{"pipe", unix.S_IFIFO | 0o600, 0, 0, false},
	} {
		var st unix.Stat_t
		if err := unix.Lstat(filepath.Join(root, tt.name), &st); err != nil {
			t.Error(err)
			continue
		}
		if st.Mode != tt.mode || st.Uid != tt.uid || st.Gid != tt.gid {
			t.Errorf("%s: mode %o owner %d:%d, want %o %d:%d", tt.name, st.Mode, st.Uid, st.Gid, tt.mode, tt.uid, tt.gid)
		}
		if sec, _ := st.Mtim.Unix(); tt.time && sec != long.Unix() {
			t.Errorf("%s: modified at %d, want %d", tt.name, sec, long.Unix())
		}
	}
	value := make([]byte, 100)
	n, err := unix.Lgetxattr(filepath.Join(root, "cap"), "security.capability", value)
	if err != nil || string(value[:n]) != capability {
		t.Errorf("security.capability is %x, %v; want %x", value[:max(n, 0)], err, capability)
	}
}

func TestUnpackCompressed(t *testing.T) {
	plain := archive(t, file("a", strings.Repeat("text ", 1000)))
	var zipped, zstded bytes.Buffer
	g := gzip.NewWriter(&zipped)
	z, err := zstd.NewWriter(&zstded)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range []io.WriteCloser{g, z} {
		_, writeErr := w.Write(plain)
		if err := errors.Join(writeErr, w.Close()); err != nil {
			t.Fatal(err)
		}
	}
	for name, layer := range map[string][]byte{"plain": plain, "gzip": zipped.Bytes(), "zstd": zstded.Bytes()} {
		root := t.TempDir()
		if err := Unpack(root, bytes.NewReader(layer)); err != nil {
			t.Errorf("%s: %v", name, err)
		} else if len(listing(t, root)["a"]) != 5000 {
			t.Errorf("%s: the file is not whole", name)
		}
		// Cut short: an error, never half a file taken for a whole one.
		if err := Unpack(t.TempDir(), bytes.NewReader(layer[:len(layer)/2])); err == nil {
			t.Errorf("%s: half a layer was taken for a whole one", name)
		}
	}
}

func TestCopy(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("a copy keeps owners, which needs root: EPERM for others")
	}
	from, to := t.TempDir(), t.TempDir()
	if err := Unpack(from, bytes.NewReader(archive(t, file("a", "1"), hardlink("b", "a"), symlink("l", "/etc"), dir("d"), file("d/x", "2")))); err != nil {
		t.Fatal(err)
	}
	if err := Copy(from, to); err != nil {
		t.Fatal(err)
	}
	got := listing(t, to)
	for name, want := range listing(t, from) {
		if got[name] != want {
			t.Errorf("%s is %q, want %q", name, got[name], want)
		}
	}
	a, aErr := os.Stat(filepath.Join(to, "a"))
	b, bErr := os.Stat(filepath.Join(to, "b"))
	if aErr != nil || bErr != nil || !os.SameFile(a, b) {
		t.Error("the hard link became a copy")
	}
}

// FuzzUnpack feeds archives that were bent by the fuzzer. Nothing may appear beside the root.
func FuzzUnpack(f *testing.F) {
	for _, tt := range hostile {
		for _, layer := range tt.layers {
			f.Add(archive(f, layer...))
		}
	}
	f.Add(archive(f, dir("d"), file("d/x", "1"), symlink("l", "d"), hardlink("h", "d/x"), file("d/.wh..wh..opq", "")))
	f.Fuzz(func(t *testing.T, layer []byte) {
		world := t.TempDir()
		root := filepath.Join(world, "root")
		if err := os.Mkdir(root, 0o755); err != nil {
			t.Fatal(err)
		}
		// Most are broken; what counts is what they did.
		_ = Unpack(root, bytes.NewReader(layer))
		if err := os.Mkdir(root+"/alone", 0o755); err == nil {
			_, _ = unpackInto(root+"/alone", bytes.NewReader(layer), int64(len(layer)), digestOf(layer))
		}
		entries, err := os.ReadDir(world)
		if err != nil || len(entries) != 1 {
			t.Fatalf("beside the root: %v, %v", entries, err)
		}
	})
}
