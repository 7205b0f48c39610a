//go:build linux

package rootfs

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/op"
)

// namespaced are the parameters that a namespace has a copy of, which is the container's if the namespace is.
// All others are the machine's. A pattern that ends with a slash is all below it.
var namespaced = []struct {
	pattern string
	kind    specs.LinuxNamespaceType
}{
	{"net/", specs.NetworkNamespace},
	{"kernel/msgmax", specs.IPCNamespace}, {"kernel/msgmnb", specs.IPCNamespace}, {"kernel/msgmni", specs.IPCNamespace},
	{"kernel/msg_next_id", specs.IPCNamespace}, {"kernel/sem", specs.IPCNamespace},
	{"kernel/sem_next_id", specs.IPCNamespace}, {"kernel/shmall", specs.IPCNamespace},
	{"kernel/shmmax", specs.IPCNamespace}, {"kernel/shmmni", specs.IPCNamespace},
	{"kernel/shm_next_id", specs.IPCNamespace}, {"kernel/shm_rmid_forced", specs.IPCNamespace},
	{"fs/mqueue/", specs.IPCNamespace},
	{"kernel/domainname", specs.UTSNamespace},
	{"user/", specs.UserNamespace},
}

// Sysctl writes the kernel parameters of the spec, in the order of their names. It comes before [Enter]: the
// procfs at /proc is the host's still, where a name is what it says (CVE-2025-52881). Which namespace's copy
// a file of it is goes by who writes.
func Sysctl(l *op.List, s *specs.Spec) error {
	if s.Linux == nil {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(s.Linux.Sysctl)) {
		file, err := sysctlFile(s, name)
		if err != nil {
			return fmt.Errorf("linux.sysctl: %q: %w", name, err)
		}
		value, fd := s.Linux.Sysctl[name], op.NewVar("parameter")
		open := because(op.Open("/proc/sys/"+file, unix.O_WRONLY, fd), "the host's procfs: the container cannot fake it")
		write := typed(op.Write(op.Val(fd), value), "a kernel parameter of the container's own namespace",
			"sysctl", "-w", name+"="+value)
		open.Means = "linux.sysctl: " + name + ": open"
		write.Means = fmt.Sprintf("linux.sysctl: %s: write %q", name, value)
		l.Add(open, write, closed(op.Val(fd)))
	}
	return nil
}

// sysctlFile is the file of a parameter below /proc/sys, if it is the container's.
func sysctlFile(s *specs.Spec, name string) (string, error) {
	file := sysctlPath(name)
	if file != path.Clean(file) || path.IsAbs(file) || strings.HasPrefix(file, "..") || strings.ContainsRune(file, 0) {
		return "", fmt.Errorf("not the name of a parameter")
	}
	if file == "kernel/hostname" {
		return "", fmt.Errorf("set hostname instead")
	}
	for _, n := range namespaced {
		below := strings.HasSuffix(n.pattern, "/") && strings.HasPrefix(file, n.pattern)
		if file != n.pattern && !below {
			continue
		}
		if !hasNamespace(s, n.kind) {
			return "", fmt.Errorf("linux.namespaces has no %s: it would be the host's", n.kind)
		}
		return file, nil
	}
	return "", fmt.Errorf("no namespace has a copy of it: it is the whole machine's")
}

// sysctlPath reads a name as sysctl(8) does: whichever of dot and slash comes first separates, and the other
// one stands for it in names (net.ipv4.conf.eth0/100.forwarding).
func sysctlPath(name string) string {
	if first := strings.IndexAny(name, "./"); first < 0 || name[first] == '/' {
		return name
	}
	return strings.Map(func(r rune) rune {
		switch r {
		case '.':
			return '/'
		case '/':
			return '.'
		}
		return r
	}, name)
}
