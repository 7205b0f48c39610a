//go:build linux

package tree

import (
	"errors"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// through is a path for what has no form with a descriptor: there is no getxattrat before Linux 6.13. The magic link
// stands for the directory that is open.
func through(parent int, base string) string {
	return "/proc/self/fd/" + strconv.Itoa(parent) + "/" + base
}

// isForeign tells whether an extended attribute means something only where the file is: to overlayfs, or to the host's
// SELinux.
func isForeign(name string) bool {
	return strings.HasPrefix(name, "trusted.overlay.") || strings.HasPrefix(name, "user.overlay.") || name == "security.selinux"
}

// Attributes returns the extended attributes of a file, but those that mean nothing elsewhere.
func (e *Entry) Attributes() (map[string]string, error) {
	at := through(e.Parent, e.Base)
	list := make([]byte, 64<<10) // XATTR_LIST_MAX
	size, err := unix.Llistxattr(at, list)
	if errors.Is(err, unix.ENOTSUP) || errors.Is(err, unix.ENOENT) || err == nil && size == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, &os.PathError{Op: "list attributes of", Path: e.Name, Err: err}
	}
	attributes := map[string]string{}
	var value []byte
	for name := range strings.SplitSeq(strings.TrimRight(string(list[:size]), "\x00"), "\x00") {
		if isForeign(name) {
			continue
		}
		value = slices.Grow(value[:0], 64<<10)[:64<<10] // XATTR_SIZE_MAX
		n, err := unix.Lgetxattr(at, name, value)
		if errors.Is(err, unix.ENODATA) {
			continue // it went a moment ago
		}
		if err != nil {
			return nil, &os.PathError{Op: "get attribute " + name + " of", Path: e.Name, Err: err}
		}
		attributes[name] = string(value[:n])
	}
	return attributes, nil
}

// Attribute returns one short extended attribute, whatever it is; empty if the file has none of the name.
func (e *Entry) Attribute(name string) string {
	var value [64]byte
	n, err := unix.Lgetxattr(through(e.Parent, e.Base), name, value[:])
	if err != nil {
		return ""
	}
	return string(value[:n])
}
