//go:build linux

package image

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/tree"
)

// A mark says what an unpacked layer holds, and since which boot that is known.
//
// Nobody waits until a layer's files are on the disk: that would take longer than all the rest. Within one boot
// it does not matter, as all look at the same memory. After a power cut files may be short or missing; the journal
// keeps the order of names and sizes, and sizes never come before the data. So each layer is counted again the
// first time that it is used after a boot, and unpacked anew if it is not what it was.
type mark struct {
	Size    int64  `json:"size"`    // of all regular files, each counted once
	Entries int    `json:"entries"` // names, the root not counted
	Boot    string `json:"boot"`
}

func (s *Store) markFile(diffID v1.Hash) string { return s.layers + "/marks/" + diffID.Hex }

func (s *Store) readMark(diffID v1.Hash) (m mark, err error) {
	content, err := os.ReadFile(s.markFile(diffID))
	if err != nil {
		return m, err
	}
	return m, json.Unmarshal(content, &m)
}

func (s *Store) writeMark(diffID v1.Hash, m mark) error {
	m.Boot = bootID()
	content, err := json.Marshal(m)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(s.layers+"/marks", ".new-")
	if err != nil {
		return err
	}
	_, err = f.Write(append(content, '\n'))
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), s.markFile(diffID))
}

var bootID = sync.OnceValue(func() string {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "" // never the same: layers are counted each time
	}
	return strings.TrimSpace(string(id))
})

// isWhole tells whether a layer is unpacked, all of it.
func (s *Store) isWhole(diffID v1.Hash) (bool, error) {
	if _, err := os.Lstat(s.layer(diffID)); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return false, err
	}
	m, err := s.readMark(diffID)
	if err != nil {
		return false, nil // lost with the power: whatever the reason, the layer is unpacked again
	}
	if m.Boot == bootID() && m.Boot != "" {
		return true, nil
	}
	counted, err := count(s.layer(diffID))
	if err != nil || counted.Size != m.Size || counted.Entries != m.Entries {
		return false, err
	}
	return true, s.writeMark(diffID, m)
}

// count looks at a layer's files.
func count(dir string) (m mark, err error) {
	links := map[tree.Inode]bool{}
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		m.Entries++
		if !d.Type().IsRegular() {
			return nil
		}
		size, id, several, err := regular(path)
		if err != nil || links[id] {
			return err
		}
		links[id] = several
		m.Size += size
		return nil
	})
	return m, err
}

// regular looks at a regular file: its size, and whether it has several names.
func regular(path string) (size int64, id tree.Inode, several bool, err error) {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return 0, id, false, wrap("stat", path, err)
	}
	return st.Size, tree.InodeOf(&st), st.Nlink > 1, nil
}
