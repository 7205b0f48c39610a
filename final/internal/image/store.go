//go:build linux

package image

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sys/unix"
)

// A Store holds images: what registries and archives give, and what containers are made of.
//
//	DATA-ROOT/images/oci-layout           an OCI image layout, which skopeo reads as oci:DATA-ROOT/images:NAME
//	                 index.json           the names, each with the manifest it stands for
//	                 blobs/sha256/HEX     manifests, configurations, layers as they were transferred
//	                 partial/             what is on its way into blobs; a download that was cut goes on from here
//	DATA-ROOT/layers/sha256/HEX/          layers unpacked as overlayfs wants them, each once, named by its diff id
//	                 marks/HEX            what the layer must hold, see [mark]
//	                 partial/             what is being unpacked
//
// Whatever has its final name is whole: it was written elsewhere first, checked, and renamed. Any number of
// processes may use a store at once, and each may be killed at any time.
type Store struct {
	// Users, if not nil, returns the containers that were made from the image with an id. The image stays as
	// long as there are any.
	Users func(id string) ([]string, error)

	images, layers string
}

// Open opens the store below a data root, and makes it if it is not there.
func Open(dataRoot string) (*Store, error) {
	root, err := filepath.Abs(dataRoot) // mounts take no relative path
	if err != nil {
		return nil, err
	}
	s := &Store{images: filepath.Join(root, "images"), layers: filepath.Join(root, "layers")}
	for _, dir := range []string{
		s.images, s.images + "/blobs", s.images + "/blobs/sha256", s.images + "/partial",
		s.layers, s.layers + "/sha256", s.layers + "/marks", s.layers + "/partial",
	} {
		// Not for others: set-user-id programs in a layer are root's on this machine too.
		if err := os.MkdirAll(filepath.Dir(dir), 0o711); err != nil {
			return nil, err
		}
		if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
	}
	if _, err := os.Stat(s.images + "/oci-layout"); err == nil {
		return s, nil
	}
	spread(s.layers + "/partial") // where layers are unpacked; they stay in their place when they are renamed
	return s, writeWhole(s.images+"/oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`+"\n"))
}

func (s *Store) blob(digest v1.Hash) string  { return s.images + "/blobs/sha256/" + digest.Hex }
func (s *Store) layer(diffID v1.Hash) string { return s.layers + "/sha256/" + diffID.Hex }

// writeWhole writes a file so that others see the old one or the new one, also after a power cut.
func writeWhole(path string, content []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name()) // what is reported is why it was not renamed
		}
	}()
	_, err = f.Write(content)
	if err := errors.Join(err, f.Sync(), f.Chmod(0o644), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// There are two locks, each a file below images, taken in this order:
//
//	blobs  shared by whoever adds blobs or layers, until the index names them; exclusive for who removes those
//	       that the index does not name
//	index  exclusive for who changes index.json; shared by who makes a container of what it names
const (
	blobsLock = "blobs.lock"
	indexLock = "index.lock"
)

// lock takes a lock; how is LOCK_EX or LOCK_SH, with LOCK_NB to get EWOULDBLOCK for waiting.
func (s *Store) lock(name string, how int) (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(s.images, name), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := flock(f, how); err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	return func() { f.Close() }, nil // there is nothing in it that could be lost
}

func flock(f *os.File, how int) error {
	for {
		if err := unix.Flock(int(f.Fd()), how); err != unix.EINTR {
			return err
		}
	}
}
