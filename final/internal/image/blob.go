//go:build linux

package image

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/simple-container/simple-container/final/internal/tree"
)

// mostJSON bounds what is read into memory of a manifest or a configuration: registries refuse more than 4 MiB.
const mostJSON = 8 << 20

// readBlob returns a small blob, checked.
func (s *Store) readBlob(digest v1.Hash) ([]byte, error) {
	f, err := os.Open(s.blob(digest))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	content, err := readJSON(f)
	if err != nil {
		return nil, err
	}
	return content, verify(content, digest)
}

func readJSON(r io.Reader) ([]byte, error) {
	content, err := io.ReadAll(io.LimitReader(r, mostJSON+1))
	if err == nil && len(content) > mostJSON {
		err = fmt.Errorf("more than %d bytes", mostJSON)
	}
	return content, err
}

func verify(content []byte, digest v1.Hash) error {
	if got := digestOf(content); got != digest {
		return fmt.Errorf("the content's digest is %s, not %s", got, digest)
	}
	return nil
}

func digestOf(content []byte) v1.Hash {
	sum := sha256.Sum256(content)
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(sum[:])}
}

// hasBlob tells whether a blob is there. What has the right name is whole.
func (s *Store) hasBlob(digest v1.Hash) bool {
	_, err := os.Stat(s.blob(digest))
	return err == nil
}

// dropDamaged removes a blob if its content is not what it was.
func (s *Store) dropDamaged(digest v1.Hash) bool {
	f, err := os.Open(s.blob(digest))
	if err != nil {
		return false
	}
	defer f.Close()
	content := newVerified(f, digest)
	if _, err := io.Copy(io.Discard, content); err == nil && content.verify() == nil {
		return false
	}
	return os.Remove(s.blob(digest)) == nil
}

// putBlob keeps small content under its digest.
func (s *Store) putBlob(content []byte) (v1.Hash, error) {
	digest, _, err := s.addBlob(bytes.NewReader(content))
	return digest, err
}

// addBlob keeps a stream's content under its digest. The caller holds the lock of blobs, so that it stays until
// the index names it.
func (s *Store) addBlob(from io.Reader) (digest v1.Hash, size int64, err error) {
	f, err := os.CreateTemp(s.images+"/partial", "blob-")
	if err != nil {
		return digest, 0, err
	}
	defer func() {
		_ = os.Remove(f.Name()) // ENOENT once it was renamed
	}()
	sum, file := sha256.New(), tree.NewHoleWriter(int(f.Fd()))
	size, err = io.CopyBuffer(struct{ io.Writer }{io.MultiWriter(file, sum)}, from, make([]byte, 1<<20))
	if err := errors.Join(err, file.End(), f.Sync(), f.Close()); err != nil {
		return digest, 0, err
	}
	digest = v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(sum.Sum(nil))}
	return digest, size, os.Rename(f.Name(), s.blob(digest))
}
