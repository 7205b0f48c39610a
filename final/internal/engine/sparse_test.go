//go:build linux

package engine

import (
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/image"
	"github.com/simple-container/simple-container/final/internal/tree"
)

// TestSparse: a file that is nearly all hole takes no room on its way through commit, save, load, a container of the
// image, and export. (Docker writes it in full, each time.)
func TestSparse(t *testing.T) {
	const size, room = 128 << 20, 100 << 20 // the lab is twice in it
	w := newWorld(t)
	c := w.create(nil, "true")
	file, err := os.Create(c.path("upper") + "/empty.db")
	w.must(err)
	_, err = file.WriteAt([]byte("in the middle"), size/2)
	w.must(errors.Join(err, file.Truncate(size), file.Close()))
	used := func() int64 {
		var st unix.Statfs_t
		w.must(unix.Statfs(dataRoot, &st))
		return int64(st.Blocks-st.Bfree) * st.Bsize
	}
	before := used()

	_, err = c.Commit(CommitOptions{Name: "sparse"})
	w.must(err)
	store, err := w.Images()
	w.must(err)
	written := func(name string, write func(*tree.HoleWriter) error) *os.File {
		t.Helper()
		file, err := os.Create(dataRoot + "/" + name)
		w.must(err)
		t.Cleanup(func() { w.check(errors.Join(os.Remove(file.Name()), file.Close())) })
		out := tree.NewHoleWriter(int(file.Fd()))
		w.must(errors.Join(write(out), out.End()))
		return file
	}
	saved := written("saved.tar", func(out *tree.HoleWriter) error { return store.Save(out, image.DockerArchive, "sparse") })
	_, err = store.Remove("sparse", false)
	w.must(err)
	_, err = store.Load(saved)
	w.must(err)
	t.Cleanup(func() { _, err := store.Remove("sparse", true); w.check(err) })
	written("exported.tar", func(out *tree.HoleWriter) error { return c.Export(out) })

	out, _, code := w.run(func(o *CreateOptions) { o.Image, o.AutoRemove = "sparse", true }, "",
		"sh", "-c", "stat -c %s /empty.db; dd if=/empty.db bs=64k skip=1024 count=1 2>/dev/null | tr -d '\\0'")
	if want := "134217728\nin the middle"; out != want || code != 0 {
		t.Errorf("in a container: %q, code %d; want %q", out, code, want)
	}
	if now := used(); now-before > room {
		t.Errorf("it took %d bytes, want less than %d", now-before, room)
	}
}
