//go:build linux

package image

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/tree"
)

// Copy copies the directory from with all attributes into the directory dir. It stays on from's file system: of
// what is mounted below, only the mount points are copied.
func Copy(from, dir string) error {
	archive, wait := streamTree(from)
	err := Unpack(dir, archive)
	if err := errors.Join(err, wait(err)); err != nil {
		return fmt.Errorf("copy %s: %w", from, err)
	}
	return nil
}

// streamTree streams a directory as an archive. wait returns the writer's error once the reader has ended.
func streamTree(dir string) (archive io.Reader, wait func(reading error) error) {
	r, w := io.Pipe()
	failed := make(chan error, 1)
	go func() {
		err := archiveTree(w, dir)
		_ = w.CloseWithError(err) // nil means the end; it returns nil always
		failed <- err
	}()
	return r, func(reading error) error {
		_ = r.CloseWithError(errors.Join(reading, io.ErrClosedPipe)) // so that the writer ends if the reader has
		if err := <-failed; reading == nil {
			return err
		}
		return nil
	}
}

// archiveTree writes a directory as a tar archive.
func archiveTree(w io.Writer, from string) error {
	dir, err := os.Open(from)
	if err != nil {
		return err
	}
	defer dir.Close()
	root, err := tree.At(dir, ".", ".")
	if err != nil {
		return err
	}
	archive := tree.NewArchive(w)
	err = tree.Walk(root, func(e tree.Entry) error {
		err := archive.Add(e)
		if err == nil && e.Stat.Dev != root.Stat.Dev && e.Type() == unix.S_IFDIR {
			return tree.SkipDirectory
		}
		return err
	})
	return errors.Join(err, archive.Close())
}
