//go:build linux

package overlay

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

// changed mounts a stack of two layers and has something of everything done to it.
func changed(t *testing.T) Stack {
	t.Helper()
	s, root := stack(t, 2)
	low, high := s.Lowers[0], s.Lowers[1]
	for _, file := range []string{
		"etc/passwd", "etc/group", "etc/same", "etc/moved-from", "usr/bin/tool", "usr/bin/gone", "usr/lib/deep/er/file",
		"var/cache/a", "var/cache/b", "opt/dir/file", "opt/only-touched/file", "srv/becomes-dir", "srv/becomes-file/x", "mode",
	} {
		write(t, low+"/"+file, "old "+file)
	}
	write(t, high+"/etc/group", "high")
	must(t, unix.Mknod(high+"/opt", unix.S_IFCHR, 0)) // gone since the second layer
	must(t, os.MkdirAll(high+"/home/user", 0o755))
	mounted(t, s, root)

	write(t, root+"/etc/passwd", "new")                        // changed
	write(t, root+"/etc/new", "new")                           // added
	must(t, os.Rename(root+"/etc/moved-from", root+"/etc/to")) // deleted, added
	must(t, os.Remove(root+"/usr/bin/gone"))                   // deleted
	file, err := os.OpenFile(root+"/etc/same", os.O_RDWR, 0)   // copied up, and the same
	must(t, err)
	must(t, file.Close())
	write(t, root+"/usr/lib/deep/er/new", "x") // the directories above have changed with it
	must(t, os.RemoveAll(root+"/var/cache"))
	write(t, root+"/var/cache/b", "new b") // opaque: a is gone, b changed
	must(t, os.Remove(root+"/srv/becomes-dir"))
	write(t, root+"/srv/becomes-dir/file", "x")
	must(t, os.RemoveAll(root+"/srv/becomes-file"))
	write(t, root+"/srv/becomes-file", "x")
	write(t, root+"/opt/dir/file", "again") // of what the second layer has taken away
	must(t, unix.Chmod(root+"/mode", 0o4711))
	must(t, os.Link(root+"/etc/new", root+"/etc/link"))
	must(t, os.Symlink("/etc/shadow", root+"/etc/symlink"))
	must(t, unix.Mkfifo(root+"/etc/pipe", 0o600))
	socket(t, root+"/etc/socket")
	must(t, unix.Lsetxattr(root+"/etc/new", "trusted.mine", []byte("v"), 0))
	return s
}

// socket leaves one behind.
func socket(t *testing.T, path string) {
	t.Helper()
	must(t, unix.Mknod(path, unix.S_IFSOCK|0o600, 0))
}

func TestChanges(t *testing.T) {
	s := changed(t)
	list, err := Changes(s.Upper, s.Lowers)
	must(t, err)
	var got []string
	for _, c := range list {
		got = append(got, fmt.Sprintf("%c %s", c.Kind, c.Path))
	}
	want := []string{
		"C /etc", "A /etc/link", "D /etc/moved-from", "A /etc/new", "C /etc/passwd", "A /etc/pipe", "A /etc/socket",
		"A /etc/symlink", "A /etc/to", "C /mode", "A /opt", "A /opt/dir", "A /opt/dir/file", "C /srv", "C /srv/becomes-dir",
		"A /srv/becomes-dir/file", "C /srv/becomes-file", "C /usr", "C /usr/bin", "D /usr/bin/gone", "C /usr/lib",
		"C /usr/lib/deep", "C /usr/lib/deep/er", "A /usr/lib/deep/er/new", "C /var", "C /var/cache", "D /var/cache/a",
		"C /var/cache/b",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// TestChangesOfNothing: a container that has only looked has changed nothing.
func TestChangesOfNothing(t *testing.T) {
	s, root := stack(t, 1)
	write(t, s.Lowers[0]+"/dir/file", "x")
	mounted(t, s, root)
	_, err := os.ReadFile(root + "/dir/file")
	must(t, err)
	write(t, root+"/dir/tmp", "x")
	must(t, os.Remove(root+"/dir/tmp"))
	if list, err := Changes(s.Upper, s.Lowers); err != nil || len(list) > 0 {
		t.Errorf("got %v, %v", list, err)
	}
}

// TestTar: the archive of a layer has whiteouts as files, hard links as such, attributes, no socket; and is the same
// each time.
func TestTar(t *testing.T) {
	s := changed(t)
	must(t, unix.Lsetxattr(s.Upper+"/etc/passwd", "security.capability", capability, 0))
	var first, second bytes.Buffer
	must(t, Tar(&first, s.Upper))
	must(t, Tar(&second, s.Upper))
	if !bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Error("the second archive is another")
	}
	entries, text := entriesOf(t, &first)
	for name, want := range map[string]byte{
		"etc/": tar.TypeDir, "etc/.wh.moved-from": tar.TypeReg, "etc/link": tar.TypeReg, "etc/new": tar.TypeLink,
		"etc/pipe": tar.TypeFifo, "etc/symlink": tar.TypeSymlink, "usr/bin/.wh.gone": tar.TypeReg,
		"var/cache/": tar.TypeDir, "var/cache/.wh..wh..opq": tar.TypeReg, "var/cache/b": tar.TypeReg,
	} {
		if h := entries[name]; h == nil || h.Typeflag != want {
			t.Errorf("%s: %+v, want type %c", name, h, want)
		}
	}
	for _, name := range []string{"./", ".", "/", "etc/socket", "var/cache/.wh.a", "etc/moved-from"} {
		if entries[name] != nil {
			t.Errorf("%s: is in the archive", name)
		}
	}
	if h := entries["etc/new"]; h == nil || h.Linkname != "etc/link" {
		t.Errorf("etc/new: %+v, want a link to etc/link", h)
	}
	if entries["mode"].Mode != 0o4711 || text["etc/passwd"] != "new" || text["mode"] != "old mode" {
		t.Errorf("modes or content: %v", text)
	}
	wantRecord(t, entries["etc/passwd"], "security.capability", string(capability))
	wantRecord(t, entries["etc/link"], "trusted.mine", "v")
	for name, h := range entries {
		for record := range h.PAXRecords {
			if strings.Contains(record, "overlay") || strings.Contains(record, "atime") || strings.Contains(record, "ctime") {
				t.Errorf("%s: record %s", name, record)
			}
		}
	}
}

// capability is cap_net_raw=ep as the kernel stores it (struct vfs_cap_data).
var capability = []byte{1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}

func wantRecord(t *testing.T, h *tar.Header, name, value string) {
	t.Helper()
	if h == nil || h.PAXRecords["SCHILY.xattr."+name] != value {
		t.Errorf("%+v: want attribute %s %q", h, name, value)
	}
}

func entriesOf(t *testing.T, r io.Reader) (entries map[string]*tar.Header, text map[string]string) {
	t.Helper()
	entries, text = map[string]*tar.Header{}, map[string]string{}
	for archive := tar.NewReader(r); ; {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return entries, text
		}
		must(t, err)
		content, err := io.ReadAll(archive)
		must(t, err)
		entries[h.Name], text[h.Name] = h, string(content)
	}
}

func TestSize(t *testing.T) {
	s, _ := stack(t, 0)
	write(t, s.Upper+"/a/b", strings.Repeat("x", 1000))
	must(t, os.Link(s.Upper+"/a/b", s.Upper+"/c"))
	write(t, s.Upper+"/d", "x")
	if size, err := Size(s.Upper); err != nil || size != 1001 {
		t.Errorf("got %d, %v; want 1001", size, err)
	}
}

// TestWhileItChanges: who writes the layer at the same time can have its archive fail, or lack something, but not have
// it contain a file of the host.
func TestWhileItChanges(t *testing.T) {
	s, _ := stack(t, 0)
	secret := t.TempDir()
	write(t, secret+"/file", "the host's")
	write(t, s.Upper+"/dir/file", "its own")
	must(t, os.Symlink(secret, s.Upper+"/link"))
	done := make(chan struct{})
	swapping := make(chan error)
	go func() {
		for {
			select {
			case <-done:
				close(swapping)
				return
			default:
				err := unix.Renameat2(unix.AT_FDCWD, s.Upper+"/dir", unix.AT_FDCWD, s.Upper+"/link", unix.RENAME_EXCHANGE)
				if err != nil {
					swapping <- err
					return
				}
			}
		}
	}()
	for end := time.Now().Add(300 * time.Millisecond); time.Now().Before(end); {
		var archive bytes.Buffer
		_ = Tar(&archive, s.Upper) // it may fail
		if bytes.Contains(archive.Bytes(), []byte("the host's")) {
			t.Fatal("a file of the host is in the archive")
		}
	}
	close(done)
	if err := <-swapping; err != nil {
		t.Fatal(err)
	}
}
