//go:build linux

package image

import (
	"archive/tar"
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strconv"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/simple-container/simple-container/final/internal/tree"
)

// A spool holds the files of an archive of images, of which only the last may say what the others are. They have
// numbers for names here: what the archive calls them never is a path.
type spool struct {
	dir   string
	files map[string]spooled
	links map[string]string // hard and symbolic ones: Docker wrote a layer that two images share once
}

type spooled struct {
	path   string
	digest v1.Hash
	size   int64
}

// mostFiles bounds the files of an archive of images: some for each layer.
const mostFiles = 1 << 16

// read takes an archive apart, to the stream's end: a writer at a pipe's other end may finish.
func (s *spool) read(from io.Reader) error {
	from, err := notEmpty(from)
	if err != nil {
		return err
	}
	plain, err := decompress(from)
	if err != nil {
		return err
	}
	defer plain.Close()
	archive := tar.NewReader(bufio.NewReaderSize(plain, 256<<10))
	for n := 0; ; n++ {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			_, err := io.Copy(io.Discard, plain)
			return err
		}
		switch {
		case err != nil && n == 0:
			return fmt.Errorf("it is no archive: %w", err)
		case err != nil:
			return fmt.Errorf("read archive: %w", err)
		}
		if n > mostFiles {
			return fmt.Errorf("more than %d files: it is no archive of images", mostFiles)
		}
		if err := s.entry(header, archive); err != nil {
			return fmt.Errorf("entry %q: %w", header.Name, err)
		}
	}
}

func (s *spool) entry(header *tar.Header, content io.Reader) error {
	name := path.Clean(header.Name)
	switch header.Typeflag {
	case tar.TypeReg:
		return s.file(name, content)
	case tar.TypeSymlink:
		s.links[name] = path.Join(path.Dir(name), header.Linkname)
	case tar.TypeLink:
		s.links[name] = path.Clean(header.Linkname)
	}
	return nil // directories mean nothing
}

func (s *spool) file(name string, content io.Reader) error {
	at := filepath.Join(s.dir, strconv.Itoa(len(s.files)))
	f, err := os.OpenFile(at, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	sum, file := sha256.New(), tree.NewHoleWriter(int(f.Fd()))
	size, err := io.CopyBuffer(struct{ io.Writer }{io.MultiWriter(file, sum)}, content, make([]byte, 1<<20))
	if err := errors.Join(err, file.End(), f.Sync(), f.Close()); err != nil {
		return err
	}
	s.files[name] = spooled{at, v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(sum.Sum(nil))}, size}
	return nil
}
