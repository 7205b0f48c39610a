//go:build linux

package overlay

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/kernel"
)

// A Stack is the layers of one root file system.
type Stack struct {
	Lowers []string // directories, read-only, lowest first; overlayfs takes up to 500
	Upper  string   // the directory that gets what is written
	Work   string   // an empty directory beside it, on the same mount, for overlayfs alone

	// IDs gives all files in the mount other owners than they have in the layers (Linux 5.19).
	IDs IDs

	// Volatile leaves out all syncing to disk: for what is thrown away when it ends. After a crash of the machine, the
	// upper layer cannot be mounted again (Linux 5.10; before, it is not done).
	Volatile bool

	Context string // what SELinux calls all files in the mount; empty leaves them the names that they have
}

// Most is how many lower layers the kernel takes (OVL_MAX_STACK).
const Most = 500

// settings are the options of each stack. What could be on by the machine's settings, and would put part of the upper
// layer's meaning elsewhere, is off: a file whose data are in a lower layer (metacopy), a directory whose content is
// in another directory (redirect_dir; mv(1) copies instead), a table of hard links in the work directory (index). It
// is also what keeps an image from pointing a file of one layer at a file of another.
//
// Inode numbers need nothing (xino): layers of one file system keep theirs. userxattr is for those who mount without
// being root, which is nobody here.
var settings = []string{"metacopy=off", "redirect_dir=nofollow", "index=off"}

// Mount mounts the stack on the directory target. All paths are absolute. Without lower layers, it is the upper one
// that is mounted.
func Mount(d *kernel.Door, s Stack, target string) error {
	if err := s.check(); err != nil {
		return err
	}
	if s.IDs == (IDs{}) && len(s.Lowers) > 0 && appendsLayers() != nil {
		return s.mountByString(d, target)
	}
	tree, err := s.tree(d)
	if err != nil {
		return err
	}
	defer tree.Close()
	return attach(d, tree, target)
}

// Reuse allows a volatile stack to be mounted once more with the same work directory. The kernel leaves a mark there,
// and refuses what has it, since the machine may have crashed: that is the caller's to know.
func Reuse(work string) error {
	return os.RemoveAll(filepath.Join(work, "work", "incompat", "volatile"))
}

func (s Stack) check() error {
	if len(s.Lowers) > Most {
		return fmt.Errorf("overlay: %d layers: the kernel takes %d; make an image of fewer (export, import)",
			len(s.Lowers), Most)
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(s.Upper, &fs); err != nil {
		return &os.PathError{Op: "statfs", Path: s.Upper, Err: err}
	}
	if fs.Type == unix.OVERLAYFS_SUPER_MAGIC && len(s.Lowers) > 0 {
		return fmt.Errorf("overlay: %s is on an overlay itself, which cannot be an upper layer: "+
			"put --data-root on another file system, as a volume or a tmpfs", s.Upper)
	}
	return nil
}

// tree makes the stack's mount, which is mounted nowhere yet.
func (s Stack) tree(d *kernel.Door) (*os.File, error) {
	switch {
	case s.IDs != (IDs{}):
		return s.mapped(d)
	case len(s.Lowers) == 0:
		return d.OpenTree(s.Upper, false)
	}
	return s.create(d)
}
