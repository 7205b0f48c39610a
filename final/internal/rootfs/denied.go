//go:build linux

package rootfs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// This file says what a user namespace cannot have (user_namespaces(7), mount_namespaces(7)), of which the kernel says
// no more than "operation not permitted".

// owned are the file systems that show a namespace, which must belong to the user namespace then.
var owned = []struct {
	kind      string
	namespace specs.LinuxNamespaceType
	whole     string // what must have nothing mounted over it on the host: else it would come to light
}{
	{"proc", specs.PIDNamespace, "/proc"},
	{"sysfs", specs.NetworkNamespace, "/sys"},
	{"mqueue", specs.IPCNamespace, ""},
	{"cgroup", specs.CgroupNamespace, ""},
	{"cgroup2", specs.CgroupNamespace, ""},
}

// denied adds the reason why a file system is not mounted in a user namespace to the words for other errors.
func (b *builder) denied(kind string, words map[unix.Errno]string) map[unix.Errno]string {
	if !b.UserNamespace {
		return words
	}
	why := fmt.Sprintf("in a user namespace there is no %s but the host's: have root mount it, and bind it", kind)
	for _, own := range owned {
		switch {
		case own.kind != kind:
		case !hasNamespace(b.spec, own.namespace):
			why = fmt.Sprintf("a user namespace has it with a new %s namespace alone: add one to linux.namespaces", own.namespace)
		case own.whole != "":
			why = fmt.Sprintf("the host has mounts over parts of its %s, and a new one would show what is below: "+
				"bind the host's (type bind, source %[1]s, options rbind)", own.whole)
		default:
			why = fmt.Sprintf("its %s namespace is another user namespace's", own.namespace)
		}
	}
	switch kind {
	case "tmpfs", "ramfs", "devpts":
		return words
	case "overlay":
		why = "in a user namespace since Linux 5.11, where all layers are the user's"
	}
	if words == nil {
		words = map[unix.Errno]string{}
	}
	words[unix.EPERM] = fmt.Sprintf("%v: %s", unix.EPERM, why)
	return words
}

// locked are the reasons why a part of the host's tree is not shown in a user namespace.
func (b *builder) locked() map[unix.Errno]string {
	if !b.UserNamespace {
		return nil
	}
	return map[unix.Errno]string{unix.EINVAL: fmt.Sprintf(
		"%v: there are mounts below it, and a user namespace may not show what they cover: options rbind, in place of bind", unix.EINVAL)}
}

// surveyDevices compares the host's device nodes with those of the spec, if it is these that are to be shown.
func (b *builder) surveyDevices() error {
	if !b.UserNamespace || b.devIsBound() {
		return nil
	}
	devices, err := b.allDevices()
	if err != nil {
		return nil // Prepare says so
	}
	for _, d := range devices {
		if !d.bound {
			continue
		}
		if err := d.compare(); err != nil {
			return fmt.Errorf("linux.devices: /%s: %w: a user namespace may make no nodes, and is shown the host's", d.path, err)
		}
	}
	return nil
}

// compare tells how the host's node differs from what is wanted.
func (d device) compare() error {
	var stat unix.Stat_t
	err := unix.Stat("/"+d.path, &stat)
	major, minor, mode := unix.Major(stat.Rdev), unix.Minor(stat.Rdev), stat.Mode&0o7777
	switch {
	case errors.Is(err, fs.ErrPermission):
		return nil // the bind will tell
	case err != nil:
		return &os.PathError{Op: "stat", Path: "/" + d.path, Err: err}
	case stat.Mode&unix.S_IFMT != d.kind:
		return errors.New("another type of file")
	case major != d.major || minor != d.minor:
		return fmt.Errorf("device %d:%d, want %d:%d", major, minor, d.major, d.minor)
	case d.moded && mode != d.mode:
		return fmt.Errorf("mode %#o, want %#o", mode, d.mode)
	}
	return nil
}
