//go:build linux

package image

import (
	"io"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sys/unix"
)

// ImportOptions are for [Store.Import].
type ImportOptions struct {
	Name     string   // "" leaves the image without one
	Changes  []string // see [Change]
	Message  string
	Platform string // "" is this machine's
}

// Import makes an image of one layer out of an archive of a root file system, as `docker export` writes it,
// plain or compressed.
func (s *Store) Import(root io.Reader, o ImportOptions) (*Image, error) {
	full := ""
	if o.Name != "" {
		var err error
		if full, err = FullName(o.Name); err != nil {
			return nil, err
		}
	}
	root, err := notEmpty(root)
	if err != nil {
		return nil, err
	}
	platform, err := platformOf(o.Platform)
	if err != nil {
		return nil, err
	}
	now := v1.Time{Time: time.Now().UTC()}
	config := v1.ConfigFile{OS: platform.OS, Architecture: platform.Architecture, Variant: platform.Variant, Created: now}
	if err := Change(&config.Config, o.Changes); err != nil {
		return nil, err
	}
	unlock, err := s.lock(blobsLock, unix.LOCK_SH)
	if err != nil {
		return nil, err
	}
	defer unlock()
	history := v1.History{Created: now, Comment: o.Message}
	return s.assemble(build{layer: root, config: config, history: history, name: full})
}
