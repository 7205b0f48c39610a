//go:build linux

package tree

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestOpen: a path is resolved in the tree, whatever its links and dots say.
func TestOpen(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	must(t, os.WriteFile(outside+"/secret", nil, 0o600))
	must(t, os.Mkdir(dir+"/dir", 0o755))
	must(t, os.WriteFile(dir+"/dir/file", nil, 0o600))
	for name, link := range map[string]string{
		"absolute": "/dir", "up": "../../dir", "out": outside, "magic": "/proc/self/cwd", "loop": "loop",
	} {
		must(t, os.Symlink(link, dir+"/"+name))
	}
	tree, err := Open(dir)
	must(t, err)
	defer tree.Close()
	for path, want := range map[string]error{
		"/dir/file": nil, "dir/file": nil, "/../../dir/file": nil, "absolute/file": nil, "up/file": nil, "/": nil, "": nil,
		"/out/secret": unix.ENOENT, "magic": unix.ENOENT, "loop": unix.ELOOP, "/dir/file/": unix.ENOTDIR, "none": unix.ENOENT,
	} {
		file, err := tree.Open(path, unix.O_PATH)
		if !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", path, err, want)
		}
		file.Close() // which a nil file refuses
	}
	host, err := Host()
	must(t, err)
	defer host.Close()
	file, err := host.Open(dir+"/out/secret", unix.O_PATH)
	must(t, err)
	must(t, file.Close())
	if _, err := Open(dir + "/none"); !errors.Is(err, unix.ENOENT) {
		t.Errorf("no tree: %v", err)
	}
}

// root is an open directory as an entry.
func root(t *testing.T, dir string) Entry {
	t.Helper()
	file, err := os.Open(dir)
	must(t, err)
	t.Cleanup(func() { file.Close() })
	e, err := At(file, ".", ".")
	must(t, err)
	return e
}

// TestWalk: in the order of names, a directory first, and no link is followed.
func TestWalk(t *testing.T) {
	dir := t.TempDir()
	must(t, os.MkdirAll(dir+"/b/c", 0o755))
	must(t, os.MkdirAll(dir+"/skipped/x", 0o755))
	must(t, os.WriteFile(dir+"/b/c/file", nil, 0o600))
	must(t, os.WriteFile(dir+"/b.txt", nil, 0o600))
	must(t, os.Symlink("b", dir+"/a"))
	var names []string
	must(t, Walk(root(t, dir), func(e Entry) error {
		names = append(names, e.Name)
		if e.Base == "skipped" {
			return SkipDirectory
		}
		return nil
	}))
	if diff := cmp.Diff([]string{".", "a", "b", "b/c", "b/c/file", "b.txt", "skipped"}, names); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	failure := errors.New("enough")
	if err := Walk(root(t, dir), func(Entry) error { return failure }); !errors.Is(err, failure) {
		t.Errorf("got %v", err)
	}
}

// TestRoundTrip: what is archived and extracted is as it was: owners, permissions, times, links, attributes.
func TestRoundTrip(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	must(t, os.Mkdir(from+"/dir", 0o755))
	must(t, os.WriteFile(from+"/dir/file", []byte(strings.Repeat("text ", 1000)), 0o600))
	must(t, os.Chown(from+"/dir/file", 7, 8))
	must(t, unix.Chmod(from+"/dir/file", 0o4750))
	must(t, unix.Setxattr(from+"/dir/file", "trusted.long", bytes.Repeat([]byte("v"), 1000), 0))
	must(t, os.Link(from+"/dir/file", from+"/hard"))
	must(t, os.Symlink("/dir/file", from+"/soft"))
	must(t, os.Lchown(from+"/soft", 9, 10))
	must(t, unix.Mkfifo(from+"/pipe", 0o640))
	must(t, unix.Mknod(from+"/null", unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))))
	old := time.Unix(1000000000, 123456789)
	must(t, os.Chtimes(from+"/dir/file", old, old))
	must(t, os.Chtimes(from+"/dir", old, old))

	first, second := archived(t, from), archived(t, from)
	if !bytes.Equal(first, second) {
		t.Error("the second archive is another")
	}
	dir, err := os.Open(to)
	must(t, err)
	defer dir.Close()
	must(t, ExtractBelow(dir, bytes.NewReader(first), Extraction{Owners: true}))
	if diff := cmp.Diff(describe(t, from), describe(t, to)); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if !bytes.Equal(first, archived(t, to)) {
		t.Error("the archive of what was extracted is another")
	}
}

func archived(t *testing.T, dir string) []byte {
	t.Helper()
	var text bytes.Buffer
	archive := NewArchive(&text)
	must(t, Walk(root(t, dir), func(e Entry) error {
		if e.Name == "." {
			return nil
		}
		return archive.Add(e)
	}))
	must(t, archive.Close())
	return text.Bytes()
}

func describe(t *testing.T, dir string) (lines []string) {
	t.Helper()
	must(t, Walk(root(t, dir), func(e Entry) error {
		if e.Name == "." {
			return nil
		}
		attributes, err := e.Attributes()
		line := fmt.Sprintf("%s %o %d:%d links %d %d", e.Name, e.Stat.Mode, e.Stat.Uid, e.Stat.Gid, e.Stat.Nlink, len(attributes["trusted.long"]))
		if e.Type() == unix.S_IFREG || e.Base == "dir" {
			line += fmt.Sprint(" ", time.Unix(e.Stat.Mtim.Unix()).UnixNano())
		}
		lines = append(lines, line)
		return err
	}))
	return lines
}

// TestExtractBelow: no link that is there already is followed, and no name leads out.
func TestExtractBelow(t *testing.T) {
	outside := t.TempDir()
	for name, want := range map[string]string{
		"link/file": "too many levels", "../file": "leads out", "dir/../../file": "leads out", "link/": "no directory replaces",
		"dir": "no file replaces", "hard": "too many levels",
	} {
		dir := t.TempDir()
		must(t, os.Symlink(outside, dir+"/link"))
		must(t, os.Mkdir(dir+"/dir", 0o755))
		var archive bytes.Buffer
		w := tar.NewWriter(&archive)
		h := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644}
		switch {
		case strings.HasSuffix(name, "/"):
			h.Typeflag = tar.TypeDir
		case name == "hard":
			h.Typeflag, h.Linkname = tar.TypeLink, "link/secret"
		}
		must(t, w.WriteHeader(h))
		must(t, w.Close())
		opened, err := os.Open(dir)
		must(t, err)
		if err := ExtractBelow(opened, io.Reader(&archive), Extraction{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
		must(t, opened.Close())
	}
	if entries, err := os.ReadDir(outside); err != nil || len(entries) > 0 {
		t.Errorf("outside: %v, %v", entries, err)
	}
}
