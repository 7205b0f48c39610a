//go:build linux

package cp

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/tree"
)

// world is a container's root and a directory of the host.
type world struct {
	root, host      string
	inside, machine *tree.Tree
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{root: t.TempDir(), host: t.TempDir()}
	var err error
	w.inside, err = tree.Open(w.root)
	must(t, err)
	t.Cleanup(func() { w.inside.Close() })
	w.machine, err = tree.Host()
	must(t, err)
	t.Cleanup(func() { w.machine.Close() })
	return w
}

// in is a path in the container, out one in the directory of the host.
func (w *world) in(path string) Place  { return Place{w.inside, path} }
func (w *world) out(path string) Place { return Place{w.machine, w.host + "/" + path} }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, os.WriteFile(path, []byte(text), 0o644))
}

// list is what is in a directory: "dir/", "file=text", "link->target".
func list(t *testing.T, dir string) (all []string) {
	t.Helper()
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		name := strings.TrimPrefix(path, dir+"/")
		switch {
		case d.IsDir():
			name += "/"
		case d.Type() == fs.ModeSymlink:
			link, _ := os.Readlink(path)
			name += "->" + link
		case d.Type().IsRegular():
			text, err := os.ReadFile(path)
			must(t, err)
			name += "=" + string(text)
		}
		all = append(all, name)
		return nil
	}))
	sort.Strings(all)
	return all
}

// paths is Docker's table of what a copy does (docker cp --help, its description), with what cp(1) does besides.
var paths = []struct {
	name, from, to string
	o              Options
	want           string // what is new in the destination; or words of an error, behind "!"
}{
	{"file to nothing", "file", "new", Options{}, "new=f"},
	{"file to nothing with slash", "file", "new/", Options{}, "!there is no such directory"},
	{"file to file", "file", "there", Options{}, "there=f"},
	{"file to directory", "file", "dst", Options{}, "dst/file=f"},
	{"file to directory with slash", "file", "dst/", Options{}, "dst/file=f"},
	{"file to directory with dot", "file", "dst/.", Options{}, "dst/file=f"},
	{"file to file with slash", "file", "there/", Options{}, "!not a directory"},
	{"file into nothing", "file", "no/new", Options{}, "!no such file"},
	{"file to link to file", "file", "tothere", Options{}, "there=f"},
	{"file to link to directory", "file", "todst", Options{}, "dst/file=f"},
	{"file to link to nothing", "file", "tonothing", Options{}, "nothing=f"},
	{"file with slash", "file/", "new", Options{}, "!not a directory"},
	{"nothing", "none", "new", Options{}, "!no such file"},
	{"directory to nothing", "dir", "new", Options{}, "new/ new/a=1 new/sub/ new/sub/b=2"},
	{"directory to nothing with slash", "dir", "new/", Options{}, "new/ new/a=1 new/sub/ new/sub/b=2"},
	{"directory to file", "dir", "there", Options{}, "!no directory replaces"},
	{"directory to directory", "dir", "dst", Options{}, "dst/dir/ dst/dir/a=1 dst/dir/sub/ dst/dir/sub/b=2"},
	{"directory with slash to directory", "dir/", "dst", Options{}, "dst/dir/ dst/dir/a=1 dst/dir/sub/ dst/dir/sub/b=2"},
	{"content to directory", "dir/.", "dst", Options{}, "dst/a=1 dst/sub/ dst/sub/b=2"},
	{"content to nothing", "dir/.", "new", Options{}, "new/ new/a=1 new/sub/ new/sub/b=2"},
	{"content to file", "dir/.", "there", Options{}, "!no directory replaces"},
	{"directory into nothing", "dir", "no/new", Options{}, "!no such file"},
	{"link", "link", "new", Options{}, "new->dir"},
	{"link followed", "link", "new", Options{Follow: true}, "new/ new/a=1 new/sub/ new/sub/b=2"},
	{"link with slash", "link/", "new", Options{}, "new/ new/a=1 new/sub/ new/sub/b=2"},
	{"link followed to directory", "link", "dst", Options{Follow: true}, "dst/link/ dst/link/a=1 dst/link/sub/ dst/link/sub/b=2"},
	{"path through a link", "link/a", "new", Options{}, "new=1"},
	{"path with dots", "dir/sub/../a", "new", Options{}, "new=1"},
	{"loop", "loop", "new", Options{Follow: true}, "!too many levels"},
	{"file over directory", "clash", "dst2", Options{}, "!which no file replaces"},
	{"directory over file", "dir", "dst3", Options{}, "!which no directory replaces"},
}

// fill makes the files of both ends.
func fill(t *testing.T, from, to string) {
	t.Helper()
	for path, text := range map[string]string{
		from + "/file": "f", from + "/dir/a": "1", from + "/dir/sub/b": "2", from + "/clash": "c",
		to + "/there": "old", to + "/dst2/clash/x": "x", to + "/dst3/dir": "x",
	} {
		write(t, path, text)
	}
	must(t, os.Mkdir(to+"/dst", 0o755))
	for path, link := range map[string]string{
		from + "/link": "dir", from + "/loop": "loop", to + "/tothere": "there", to + "/todst": "dst", to + "/tonothing": "nothing",
	} {
		must(t, os.Symlink(link, path))
	}
}

// TestPaths runs the table in both directions.
func TestPaths(t *testing.T) {
	for _, direction := range []string{"out", "in"} {
		for _, test := range paths {
			t.Run(direction+"/"+test.name, func(t *testing.T) {
				w := newWorld(t)
				from, to, place := w.in("/"+test.from), w.out(test.to), w.host
				if direction == "in" {
					from, to, place = w.out(test.from), w.in("/"+test.to), w.root
				}
				fill(t, map[string]string{"out": w.root, "in": w.host}[direction], place)
				before := list(t, place)
				err := Copy(from, to, test.o)
				if words, ok := strings.CutPrefix(test.want, "!"); ok {
					if err == nil || !strings.Contains(err.Error(), words) {
						t.Errorf("%v, want %q", err, words)
					}
					return
				}
				must(t, err)
				if diff := cmp.Diff(test.want, strings.Join(added(before, list(t, place)), " ")); diff != "" {
					t.Errorf("-want +got\n%s", diff)
				}
			})
		}
	}
}

// added are the lines of after that before has not.
func added(before, after []string) (lines []string) {
	seen := map[string]bool{}
	for _, line := range before {
		seen[line] = true
	}
	for _, line := range after {
		if !seen[line] {
			lines = append(lines, line)
		}
	}
	return lines
}

// TestHostileLinks: whatever a container's links say, they lead nowhere but in the container (CVE-2018-15664).
func TestHostileLinks(t *testing.T) {
	secret := t.TempDir()
	write(t, secret+"/file", "the host's")
	for name, link := range map[string]string{
		"absolute": secret, "dots": strings.Repeat("../", 20) + secret, "proc": "/proc/self/root" + secret, "chain": "/other",
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			must(t, os.Symlink(link, w.root+"/link"))
			must(t, os.Symlink(secret, w.root+"/other"))
			must(t, os.Symlink(secret+"/file", w.root+"/filelink"))
			write(t, w.host+"/mine", "mine")
			var stream bytes.Buffer
			for _, err := range []error{
				Copy(w.in("/link/file"), w.out("stolen"), Options{}),
				Copy(w.in("/link/"), w.out("stolen"), Options{}),
				Copy(w.in("/link/."), w.out("stolen"), Options{}),
				Copy(w.in("/link"), w.out("stolen"), Options{Follow: true}),
				Copy(w.in("/filelink"), w.out("stolen"), Options{Follow: true}),
				Out(&stream, w.in("/link/file"), Options{}),
				Copy(w.out("mine"), w.in("/link/file"), Options{}),
				Copy(w.out("mine"), w.in("/link/new"), Options{}),
				In(archive(t, "link/file"), w.in("/"), Options{}),
			} {
				if err == nil {
					t.Error("a copy through the link: no error")
				}
			}
			if got := list(t, w.host); len(got) != 1 {
				t.Errorf("on the host: %v", got)
			}
			if got := list(t, secret); len(got) != 1 || got[0] != "file=the host's" {
				t.Errorf("behind the link: %v", got)
			}
			if err := Copy(w.in("/.."), w.out("up"), Options{}); err != nil || len(list(t, w.host+"/up")) == 0 {
				t.Errorf("above the container's root is the root: %v", err)
			}
			// The same paths exist in the container: there the links lead.
			write(t, w.root+secret+"/file", "the container's")
			if name == "proc" {
				return
			}
			must(t, Copy(w.in("/link/file"), w.out("own"), Options{}))
			must(t, Copy(w.out("mine"), w.in("/filelink"), Options{}))
			if text, err := os.ReadFile(w.host + "/own"); err != nil || string(text) != "the container's" {
				t.Errorf("%q, %v", text, err)
			}
			if text, err := os.ReadFile(w.root + secret + "/file"); err != nil || string(text) != "mine" {
				t.Errorf("%q, %v", text, err)
			}
		})
	}
}

// archive is a tar archive of files and, with a slash at the end, directories.
func archive(t *testing.T, names ...string) io.Reader {
	t.Helper()
	var text bytes.Buffer
	w := tar.NewWriter(&text)
	for _, name := range names {
		h := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o4755, Size: 1, Uid: 7, Gid: 8}
		if strings.HasSuffix(name, "/") {
			h.Typeflag, h.Size = tar.TypeDir, 0
		}
		must(t, w.WriteHeader(h))
		_, err := io.WriteString(w, "x"[:h.Size])
		must(t, err)
	}
	must(t, w.Close())
	return &text
}

// TestHostileArchive: an archive that comes out of a container is not to be trusted either.
func TestHostileArchive(t *testing.T) {
	w := newWorld(t)
	must(t, os.Mkdir(w.root+"/d", 0o755))
	for _, names := range [][]string{{"../x"}, {"a/../../x"}, {"a/", "a/../../../x"}} {
		if err := In(archive(t, names...), w.in("/d"), Options{}); err == nil || !strings.Contains(err.Error(), "leads out") {
			t.Errorf("%v: %v", names, err)
		}
	}
	must(t, In(archive(t, "/abs", "a/b/c", "./e"), w.in("/d"), Options{}))
	want := []string{"a/", "a/b/", "a/b/c=x", "abs=x", "e=x"}
	if diff := cmp.Diff(want, list(t, w.root+"/d")); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if err := In(strings.NewReader(strings.Repeat("not an archive", 100)), w.in("/d"), Options{}); err == nil {
		t.Error("not an archive: no error")
	}
	if err := In(archive(t, "x"), w.in("/none"), Options{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("into nothing: %v", err)
	}
}

// TestWhileItChanges: a container that swaps a directory for a link to one of the host's at every moment gets nothing
// from there, and nothing there.
func TestWhileItChanges(t *testing.T) {
	w := newWorld(t)
	secret := t.TempDir()
	write(t, secret+"/file", "the host's")
	write(t, w.root+"/dir/file", "its own")
	write(t, w.host+"/tree/file", "mine")
	must(t, os.Symlink(secret, w.root+"/link"))
	done, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		for {
			select {
			case <-done:
				ended <- nil
				return
			default:
			}
			err := unix.Renameat2(unix.AT_FDCWD, w.root+"/dir", unix.AT_FDCWD, w.root+"/link", unix.RENAME_EXCHANGE)
			if err != nil {
				ended <- err
				return
			}
		}
	}()
	for end := time.Now().Add(500 * time.Millisecond); time.Now().Before(end); {
		var out bytes.Buffer // all of these may fail
		_ = Out(&out, w.in("/dir/file"), Options{})
		_ = Out(&out, w.in("/dir/."), Options{})
		_ = Out(&out, w.in("/"), Options{Follow: true})
		if bytes.Contains(out.Bytes(), []byte("the host's")) {
			t.Fatal("a file of the host came out")
		}
		_ = Copy(w.out("tree/file"), w.in("/dir/file"), Options{})
		_ = Copy(w.out("tree/."), w.in("/dir"), Options{})
		_ = In(archive(t, "dir/file", "link/new"), w.in("/"), Options{})
		if text, err := os.ReadFile(secret + "/file"); err != nil || string(text) != "the host's" {
			t.Fatalf("a file of the host was written: %q, %v", text, err)
		}
	}
	close(done)
	must(t, <-ended)
	if got := list(t, secret); len(got) != 1 {
		t.Errorf("on the host: %v", got)
	}
}

// TestOwners: without -a, what is copied belongs to the one who gets it, and no set-id bit comes along.
func TestOwners(t *testing.T) {
	for _, test := range []struct {
		o                    Options
		uid, gid             uint32
		mode                 uint32
		capability, modified bool
	}{
		{Options{}, 0, 0, 0o755, false, true},
		{Options{To: Owner{1000, 1001}}, 1000, 1001, 0o755, false, true},
		{Options{Owners: true}, 7, 8, 0o6755, true, true},
		{Options{Owners: true, To: Owner{100000, 200000}}, 100007, 200008, 0o6755, true, true},
		{Options{Owners: true, From: Owner{5, 5}}, 2, 3, 0o6755, true, true},
	} {
		w := newWorld(t)
		file, capability := w.root+"/file", []byte{1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
		write(t, file, "x")
		must(t, os.Chown(file, 7, 8))
		must(t, unix.Chmod(file, 0o6755))
		must(t, unix.Setxattr(file, "security.capability", capability, 0))
		old := time.Unix(1000000000, 5000)
		must(t, os.Chtimes(file, old, old))
		must(t, Copy(w.in("/file"), w.out("new"), test.o))
		var st unix.Stat_t
		must(t, unix.Stat(w.host+"/new", &st))
		if st.Uid != test.uid || st.Gid != test.gid || st.Mode&0o7777 != test.mode {
			t.Errorf("%+v: %d:%d %o", test.o, st.Uid, st.Gid, st.Mode&0o7777)
		}
		if at := time.Unix(st.Mtim.Unix()); !at.Equal(old) {
			t.Errorf("%+v: modified at %v, want %v", test.o, at, old)
		}
		_, err := unix.Getxattr(w.host+"/new", "security.capability", make([]byte, 64))
		if has := err == nil; has != test.capability {
			t.Errorf("%+v: capability: %v", test.o, err)
		}
	}
}

// TestMountedFile: what a container has mounted on a file is written, and stays mounted. (For the kernel, a mount of
// another namespace keeps nobody from removing the file below, and goes then.)
func TestMountedFile(t *testing.T) {
	w := newWorld(t)
	write(t, w.root+"/file", "below")
	write(t, w.root+"/mounted", "above")
	write(t, w.host+"/mine", "mine")
	type result struct {
		thread int
		err    error
	}
	ready, done := make(chan result), make(chan struct{})
	defer close(done)
	go func() { // a thread that ends, in a mount namespace that ends with it: the container
		runtime.LockOSThread()
		ready <- result{unix.Gettid(), errors.Join(
			unix.Unshare(unix.CLONE_NEWNS),
			unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""),
			unix.Mount(w.root+"/mounted", w.root+"/file", "", unix.MS_BIND, ""),
		)}
		<-done
	}()
	container := <-ready
	must(t, container.err)
	inside, err := tree.Open(fmt.Sprintf("/proc/self/task/%d/root%s", container.thread, w.root))
	must(t, err)
	defer inside.Close()
	must(t, Copy(w.out("mine"), Place{inside, "/file"}, Options{}))
	must(t, os.Symlink("x", w.host+"/link"))
	if err := Copy(w.out("link"), Place{inside, "/file"}, Options{}); !errors.Is(err, unix.EBUSY) {
		t.Errorf("a link in its place: %v, want EBUSY", err)
	}
	if diff := cmp.Diff([]string{"file=below", "mounted=mine"}, list(t, w.root)); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	mounts, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/mountinfo", container.thread))
	if err != nil || !bytes.Contains(mounts, []byte(" "+w.root+"/file ")) {
		t.Errorf("it is mounted no more: %v", err)
	}
}

// TestSpecialFiles: pipes and hard links come along, sockets do not, and devices not if they are not wanted.
func TestSpecialFiles(t *testing.T) {
	w := newWorld(t)
	dir := w.root + "/dir"
	write(t, dir+"/a", "1")
	must(t, os.Link(dir+"/a", dir+"/b"))
	must(t, unix.Mkfifo(dir+"/pipe", 0o600))
	must(t, unix.Mknod(dir+"/null", unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))))
	must(t, unix.Mknod(dir+"/socket", unix.S_IFSOCK|0o600, 0))
	var skipped []string
	must(t, Copy(w.in("/dir"), w.out("x"), Options{Skip: func(name string) { skipped = append(skipped, name) }}))
	must(t, Copy(w.in("/dir"), w.out("y"), Options{}))
	if diff := cmp.Diff([]string{"a=1", "b=1", "pipe"}, list(t, w.host+"/x")); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if diff := cmp.Diff([]string{"a=1", "b=1", "null", "pipe"}, list(t, w.host+"/y")); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if fmt.Sprint(skipped) != "[x/null]" {
		t.Errorf("skipped %v", skipped)
	}
	var a, b unix.Stat_t
	must(t, unix.Stat(w.host+"/x/a", &a))
	must(t, unix.Stat(w.host+"/x/b", &b))
	if a.Ino != b.Ino {
		t.Error("the hard link is a file of its own")
	}
}
