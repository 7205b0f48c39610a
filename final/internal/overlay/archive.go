//go:build linux

package overlay

import (
	"io"
	"os"
	"path"
	"time"

	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/tree"
)

// A layer's archive says what is gone by files with special names (OCI image specification, layer.md).
const (
	whiteout       = ".wh."         // .wh.NAME: NAME is gone
	whiteoutOpaque = ".wh..wh..opq" // all that lower layers have in the directory is gone
)

// Tar writes the layer upper as an archive, as the OCI image specification has it: the same layer is the same archive.
// Of the layer's own root there is no entry: it is the image's.
func Tar(w io.Writer, upper string) error {
	top, err := os.Open(upper)
	if err != nil {
		return err
	}
	defer top.Close()
	root, err := tree.At(top, ".", ".")
	if err != nil {
		return err
	}
	archive := tree.NewArchive(w)
	err = tree.Walk(root, func(e tree.Entry) error {
		switch {
		case e.Name == ".":
			return nil
		case isWhiteout(&e):
			return archive.Empty(path.Join(path.Dir(e.Name), whiteout+e.Base), time.Unix(e.Stat.Mtim.Unix()))
		case e.Type() == unix.S_IFDIR:
			return addDirectory(archive, e)
		}
		return archive.Add(e)
	})
	if err != nil {
		return err
	}
	return archive.Close()
}

// addDirectory writes a directory, and right behind it whether it hides the lower ones: who unpacks does that at once.
func addDirectory(archive *tree.Archive, e tree.Entry) error {
	if err := archive.Add(e); err != nil {
		return err
	}
	if !isOpaque(&e) {
		return nil
	}
	return archive.Empty(e.Name+"/"+whiteoutOpaque, time.Unix(e.Stat.Mtim.Unix()))
}

// Size is how many bytes the files of a layer have, each counted once however many names it has.
func Size(upper string) (int64, error) {
	top, err := os.Open(upper)
	if err != nil {
		return 0, err
	}
	defer top.Close()
	root, err := tree.At(top, ".", ".")
	if err != nil {
		return 0, err
	}
	var size int64
	seen := map[[2]uint64]bool{}
	err = tree.Walk(root, func(e tree.Entry) error {
		id := [2]uint64{uint64(e.Stat.Dev), e.Stat.Ino}
		if e.Type() == unix.S_IFREG && !seen[id] {
			size += e.Stat.Size
			if e.Stat.Nlink > 1 {
				seen[id] = true
			}
		}
		return nil
	})
	return size, err
}
