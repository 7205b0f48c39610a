//go:build linux

package tree

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// stretches is a text of stretches with something in them and without, of all lengths.
func stretches(random *rand.Rand) (text []byte) {
	for range 8 {
		part := make([]byte, random.IntN(3*piece))
		if random.IntN(2) == 0 {
			for i := range part {
				part[i] = byte(random.IntN(256))
			}
		}
		text = append(text, part...)
	}
	return text
}

// TestHoleWriter: what was written is there, however it was cut, and of what is zeros not much is on the disk.
func TestHoleWriter(t *testing.T) {
	for seed := range uint64(30) {
		random := rand.New(rand.NewPCG(seed, 0))
		text := stretches(random)
		file, err := os.Create(t.TempDir() + "/file")
		must(t, err)
		w := NewHoleWriter(int(file.Fd()))
		for rest := text; len(rest) > 0; {
			n := 1 + random.IntN(min(len(rest), 1<<uint(random.IntN(20))))
			wrote, err := w.Write(rest[:n])
			if err != nil || wrote != n {
				t.Fatalf("seed %d: %d of %d, %v", seed, wrote, n, err)
			}
			rest = rest[n:]
		}
		must(t, w.End())
		got, err := os.ReadFile(file.Name())
		must(t, errors.Join(err, file.Close()))
		if !bytes.Equal(got, text) {
			t.Errorf("seed %d: the file is not what was written: %d bytes, want %d", seed, len(got), len(text))
		}
		if w.Written() > int64(len(text)) {
			t.Errorf("seed %d: %d bytes of %d were written", seed, w.Written(), len(text))
		}
	}
}

// TestHoles: a file of nothing but 13 bytes goes through an archive and takes no room, and no time to be read.
func TestHoles(t *testing.T) {
	const size, middle = 200 << 20, 100<<20 + 17
	from, to := t.TempDir(), t.TempDir()
	file, err := os.Create(from + "/file")
	must(t, err)
	_, err = file.WriteAt([]byte("in the middle"), middle)
	must(t, errors.Join(err, file.Truncate(size), file.Close()))

	dir, err := os.Open(from)
	must(t, err)
	defer dir.Close()
	e, err := At(dir, "file", "file")
	must(t, err)
	archive, w := io.Pipe()
	go func() {
		a := NewArchive(w)
		_ = w.CloseWithError(errors.Join(a.Add(e), a.Close())) // it returns nil always
	}()
	tree, err := Open(to)
	must(t, err)
	defer tree.Close()
	must(t, tree.Extract(".", archive, Extraction{Owners: true}))

	var st unix.Stat_t
	must(t, unix.Stat(to+"/file", &st))
	if st.Size != size || st.Blocks*512 > 1<<20 {
		t.Errorf("%d bytes in %d, want %d in few", st.Size, st.Blocks*512, size)
	}
	file, err = os.Open(to + "/file")
	must(t, err)
	defer file.Close()
	part := make([]byte, 15)
	if _, err := file.ReadAt(part, middle-1); err != nil || string(part) != "\x00in the middle\x00" {
		t.Errorf("the part that is no hole: %q, %v", part, err)
	}
}

// TestShrinking: a file that is cut while it is read has as many bytes in the archive as were promised.
func TestShrinking(t *testing.T) {
	for _, left := range []int64{0, 1000, 70 << 10, 200 << 10} {
		file, err := os.Create(t.TempDir() + "/file")
		must(t, err)
		_, err = file.Write(bytes.Repeat([]byte("x"), 200<<10))
		must(t, errors.Join(err, file.Truncate(left)))
		var out bytes.Buffer
		w := tar.NewWriter(&out)
		must(t, w.WriteHeader(&tar.Header{Name: "file", Size: 300 << 10}))
		must(t, errors.Join(copyHoles(w, file, 300<<10), w.Close(), file.Close()))
		r := tar.NewReader(&out)
		_, err = r.Next()
		must(t, err)
		got, err := io.ReadAll(r)
		want := append(bytes.Repeat([]byte("x"), int(left)), make([]byte, 300<<10-left)...)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("cut to %d: %d bytes, %v; want what was left, and zeros", left, len(got), err)
		}
	}
}
