//go:build linux

package image

import (
	"debug/elf"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/lab"
	"github.com/simple-container/simple-container/final/internal/tree"
)

// LabName is what the built-in image is called.
const LabName = "lab"

// Lab returns the built-in userland as an image. It is made when it is asked for the first time, and again after
// the program has changed.
func (s *Store) Lab() (*Image, error) {
	full, err := FullName(LabName)
	if err != nil {
		return nil, err
	}
	program, err := programID()
	if err != nil {
		return nil, err
	}
	index, err := s.readIndex()
	if err != nil {
		return nil, err
	}
	for _, d := range index.Manifests {
		if d.Annotations[nameAnnotation] == full && d.Annotations[labAnnotation] == program {
			return s.Find(full)
		}
	}
	old, oldErr := s.Find(full)
	img, err := s.makeLab(full, program)
	if err != nil {
		return nil, fmt.Errorf("make the image of the lab: %w", err)
	}
	if oldErr == nil && old.ID != img.ID && old.descriptors[0].Annotations[labAnnotation] != "" && len(old.Names) == 1 {
		// The lab of another version, which only containers may still want.
		if _, err := s.Remove(old.ID, false); err != nil && !isInUse(err) && !IsNotFound(err) {
			return nil, err
		}
	}
	return img, nil
}

func isInUse(err error) bool {
	_, ok := errors.AsType[*InUseError](err)
	return ok
}

func (s *Store) makeLab(full, program string) (*Image, error) {
	unlock, err := s.lock(blobsLock, unix.LOCK_SH)
	if err != nil {
		return nil, err
	}
	defer unlock()
	dir, err := os.MkdirTemp(s.layers+"/partial", "lab-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = tree.Remove(dir) }() // if it stays, the next collection has it
	if err := errors.Join(os.Chmod(dir, 0o755), lab.Write(dir), freeze(dir)); err != nil {
		return nil, err
	}
	layer, wait := streamTree(dir)
	img, err := s.assemble(build{
		layer: layer,
		config: v1.ConfigFile{
			OS: "linux", Architecture: runtime.GOARCH, Created: v1.Time{Time: labTime},
			Config: v1.Config{Cmd: []string{"sh"}, Env: []string{DefaultPath}, WorkingDir: "/root"},
		},
		history: v1.History{CreatedBy: "final: the lab", Created: v1.Time{Time: labTime}},
		name:    full, annotations: map[string]string{labAnnotation: program},
	})
	return img, errors.Join(err, wait(err))
}

// DefaultPath is the PATH of images that say nothing else.
const DefaultPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// labTime is the time of all files in the lab: the same program makes the same layer.
var labTime = time.Unix(0, 0).UTC()

func freeze(dir string) error {
	at := []unix.Timespec{unix.NsecToTimespec(labTime.UnixNano()), unix.NsecToTimespec(labTime.UnixNano())}
	return filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return wrap("set times of", path, unix.UtimesNanoAt(unix.AT_FDCWD, path, at, unix.AT_SYMLINK_NOFOLLOW))
	})
}

// programID is the running program's build id, which the linker computes from its content; for a program without
// one, its size and time must do.
func programID() (string, error) {
	const self = "/proc/self/exe"
	program, err := elf.Open(self)
	if err != nil {
		return "", err
	}
	defer program.Close()
	if note := program.Section(".note.go.buildid"); note != nil {
		if content, err := note.Data(); err == nil && len(content) > 16 {
			return digestOf(content).Hex[:32], nil
		}
	}
	var st unix.Stat_t
	if err := unix.Stat(self, &st); err != nil {
		return "", wrap("stat", self, err)
	}
	return hex.EncodeToString(fmt.Appendf(nil, "%d-%d", st.Size, st.Mtim.Nano())), nil
}
