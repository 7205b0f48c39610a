//go:build linux

package rootfs

import (
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/op"
)

// TestDenied: why a user namespace has no such mount, each with what to do.
func TestDenied(t *testing.T) {
	for _, test := range []struct {
		kind       string
		namespaces []specs.LinuxNamespaceType
		want       string
	}{
		{"proc", nil, "with a new pid namespace alone: add one"},
		{"proc", []specs.LinuxNamespaceType{specs.PIDNamespace}, "the host has mounts over parts of its /proc, and a new one would show what is below: " +
			"bind the host's (type bind, source /proc, options rbind)"},
		{"sysfs", []specs.LinuxNamespaceType{specs.NetworkNamespace}, "bind the host's (type bind, source /sys, options rbind)"},
		{"cgroup2", []specs.LinuxNamespaceType{specs.CgroupNamespace}, "its cgroup namespace is another user namespace's"},
		{"overlay", nil, "since Linux 5.11"},
		{"ext4", nil, "there is no ext4 but the host's: have root mount it, and bind it"},
		{"tmpfs", nil, ""},
	} {
		s := &specs.Spec{Linux: &specs.Linux{}}
		for _, kind := range test.namespaces {
			s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: kind})
		}
		b := newBuilder(&op.List{}, s, Options{UserNamespace: true}, nil)
		o := op.Op{Name: "mount", Instead: b.denied(test.kind, nil)}
		if got := o.Failed(unix.EPERM).Error(); !strings.HasSuffix(got, test.want) && !strings.Contains(got, test.want) {
			t.Errorf("%s, %q: got %s, want %q", test.kind, test.namespaces, got, test.want)
		}
		if got, want := o.Failed(unix.EBUSY).Error(), "mount(): device or resource busy"; got != want {
			t.Errorf("%s: got %s, want %s", test.kind, got, want)
		}
		b.UserNamespace = false
		if hints := b.denied(test.kind, nil); hints != nil {
			t.Errorf("%s: root is told %q", test.kind, hints)
		}
	}
}
