//go:build linux

package image

import (
	"errors"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/tree"
)

// A layer takes away what lower layers have by files with special names (OCI image specification, layer.md).
const (
	whiteout       = ".wh."         // .wh.NAME: NAME is gone
	whiteoutMeta   = ".wh..wh."     // further marks of aufs, where the names come from
	whiteoutOpaque = ".wh..wh..opq" // all that the directory had is gone
)

// In overlayfs a file that is gone is a character device 0:0 in the upper layer, and a directory that hides what
// the lower ones have in it has an extended attribute (kernel: Documentation/filesystems/overlayfs.rst).
const opaqueAttribute = "trusted.overlay.opaque"

// whiteout applies an entry with such a name.
func (u *unpacking) whiteout(parent int, base string) error {
	hidden := strings.TrimPrefix(base, whiteout)
	switch {
	case base == whiteoutOpaque && u.overlay:
		return setOpaque(parent, ".")
	case base == whiteoutOpaque:
		return tree.ClearAt(parent, ".", u.isOwn)
	case strings.HasPrefix(base, whiteoutMeta):
		return nil // they mean nothing here
	case hidden == "" || hidden == "." || hidden == "..":
		return errHostile
	case u.overlay:
		return u.hide(parent, hidden)
	}
	u.stale = true
	return tree.RemoveAt(parent, hidden, u.isOwn)
}

// isOwn tells what stays: whiteouts are for the layers below, not for what this one made.
func (u *unpacking) isOwn(id tree.Inode) bool { return u.made[id] }

// hide is a whiteout in a tree that holds this layer alone. What is there already, the layer has made: a file
// hides the lower one as it is, a directory must be told to.
func (u *unpacking) hide(parent int, base string) error {
	_, mode, err := tree.InodeAt(parent, base)
	switch {
	case errors.Is(err, unix.ENOENT):
		return wrap("mknod", base, unix.Mknodat(parent, base, unix.S_IFCHR, 0))
	case err == nil && mode&unix.S_IFMT == unix.S_IFDIR:
		return setOpaque(parent, base)
	}
	return wrap("stat", base, err)
}

// isHidden tells whether a layer's tree has a whiteout there.
func isHidden(parent int, base string) bool {
	var st unix.Stat_t
	err := unix.Fstatat(parent, base, &st, unix.AT_SYMLINK_NOFOLLOW)
	return err == nil && st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == 0
}

// reappear makes a directory where the layer has had a whiteout: of the lower one nothing is left in it.
func reappear(parent int, base string) error {
	if err := unix.Unlinkat(parent, base, 0); err != nil {
		return wrap("unlink", base, err)
	}
	if err := unix.Mkdirat(parent, base, 0o755); err != nil {
		return wrap("mkdir", base, err)
	}
	return setOpaque(parent, base)
}

func setOpaque(parent int, base string) error {
	err := unix.Lsetxattr(tree.Through(parent, base), opaqueAttribute, []byte("y"), 0)
	return wrap("set attribute "+opaqueAttribute+" of", base, err)
}

// isOverlays tells whether an extended attribute is one that overlayfs obeys. In an archive it is a left-over, or
// a lie.
func isOverlays(attribute string) bool {
	return strings.HasPrefix(attribute, "trusted.overlay.") || strings.HasPrefix(attribute, "user.overlay.")
}
