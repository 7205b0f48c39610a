//go:build linux

package rootfs

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/op"
)

func (b *builder) mountLabel() string {
	if b.spec.Linux == nil {
		return ""
	}
	return b.spec.Linux.MountLabel
}

// context adds the SELinux context that all files of a file system get (mount(8), context=). Those of the
// kernel have labels by their own rules.
func (b *builder) context(kind string, data []string) []string {
	label := b.mountLabel()
	if label == "" || kind == "proc" || kind == "sysfs" || kind == "mqueue" || kind == "cgroup" || kind == "cgroup2" {
		return data
	}
	return append(data[:len(data):len(data)], `context="`+label+`"`) // quoted, for the commas in it
}

// unknownLabel are the words for what the kernel says of a context that the policy does not know, and of other options.
func (b *builder) unknownLabel() map[unix.Errno]string {
	if b.mountLabel() == "" {
		return nil
	}
	return map[unix.Errno]string{unix.EINVAL: fmt.Sprintf("%v: has the loaded policy linux.mountLabel %q?", unix.EINVAL, b.mountLabel())}
}

// relabel labels the root of an mqueue, which knows no context option but extended attributes.
func (b *builder) relabel(kind string, top *op.Var) {
	label := b.mountLabel()
	if kind != "mqueue" || label == "" {
		return
	}
	b.add(op.Op{Name: "setxattr", Nr: unix.SYS_SETXATTR, Args: []op.Arg{
		b.at(op.Val(top)), op.Str("security.selinux"), op.Str(label), op.Int(len(label) + 1), op.Int(0),
	}, Why: "the SELinux label of the queues"})
}
