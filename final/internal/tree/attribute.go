//go:build linux

package tree

import (
	"errors"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Through is a path for what has no form with a descriptor: there is no getxattrat before Linux 6.13. The magic link
// stands for the directory that is open.
func Through(parent int, base string) string {
	return "/proc/self/fd/" + strconv.Itoa(parent) + "/" + base
}

// isForeign tells whether an extended attribute means something only where the file is: to overlayfs, or to the host's
// SELinux.
func isForeign(name string) bool {
	return strings.HasPrefix(name, "trusted.overlay.") || strings.HasPrefix(name, "user.overlay.") ||
		name == "security.selinux"
}

// Attributes returns the extended attributes of a file, but those that mean nothing elsewhere.
func (e *Entry) Attributes() (map[string]string, error) {
	at := Through(e.Parent, e.Base)
	list, err := grown(func(buf []byte) (int, error) { return unix.Llistxattr(at, buf) })
	if errors.Is(err, unix.ENOTSUP) || errors.Is(err, unix.ENOENT) || err == nil && list == "" {
		return nil, nil
	}
	if err != nil {
		return nil, &os.PathError{Op: "list attributes of", Path: e.Name, Err: err}
	}
	var attributes map[string]string
	for name := range strings.SplitSeq(strings.TrimRight(list, "\x00"), "\x00") {
		if isForeign(name) {
			continue
		}
		value, err := grown(func(buf []byte) (int, error) { return unix.Lgetxattr(at, name, buf) })
		if errors.Is(err, unix.ENODATA) {
			continue // it went a moment ago
		}
		if err != nil {
			return nil, &os.PathError{Op: "get attribute " + name + " of", Path: e.Name, Err: err}
		}
		if attributes == nil {
			attributes = map[string]string{}
		}
		attributes[name] = value
	}
	return attributes, nil
}

// grown reads what is nearly always short, and may be 64 KiB (XATTR_LIST_MAX, XATTR_SIZE_MAX).
func grown(read func(buf []byte) (int, error)) (string, error) {
	var short [256]byte
	n, err := read(short[:])
	if !errors.Is(err, unix.ERANGE) {
		return string(short[:max(n, 0)]), err
	}
	long := make([]byte, 64<<10)
	n, err = read(long)
	return string(long[:max(n, 0)]), err
}

// Attribute returns one short extended attribute, whatever it is; empty if the file has none of the name.
func (e *Entry) Attribute(name string) string {
	var value [64]byte
	n, err := unix.Lgetxattr(Through(e.Parent, e.Base), name, value[:])
	if err != nil {
		return ""
	}
	return string(value[:n])
}
