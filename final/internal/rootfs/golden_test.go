//go:build linux

package rootfs

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/op"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestGolden: the tree of what engines really send, call by call.
func TestGolden(t *testing.T) {
	for _, test := range []struct {
		name string
		spec *specs.Spec
		o    Options
	}{
		{"docker", docker(), Options{NetNamespace: true, MountSetattr: true, Kcore: true, Sites: sites}},
		{"rootless", rootless(), Options{
			UserNamespace: true, MountSetattr: true, Kcore: true,
			Sites: append(sites[:len(sites):len(sites)], Site{Target: "sys/fs/cgroup", Exists: 3},
				Site{Target: "etc/hosts", Exists: 2, File: true}),
			Cgroup: Cgroup{Tree: "/sys/fs/cgroup"},
		}},
		{"kubernetes", kubernetes(), Options{
			NetNamespace: true, RootFlags: unix.MS_RELATIME,
			Sites: append(sites[:len(sites):len(sites)], Site{Target: "sys/fs/cgroup", Exists: 3},
				Site{Target: "var/lib/data", Exists: 1}, Site{Target: "dev/termination-log", Exists: 1, File: true}),
			Cgroup: Cgroup{Hierarchies: []Hierarchy{
				{Name: "cpu,cpuacct", Type: "cgroup", Options: "cpu,cpuacct", Group: "/sys/fs/cgroup/cpu,cpuacct/kubepods/c",
					Links: []string{"cpu", "cpuacct"}},
				{Name: "unified", Type: "cgroup2", Group: "/sys/fs/cgroup/unified/kubepods/c"},
			}},
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.o.Root, test.o.Bundle = "/bundle/rootfs", "/bundle"
			list, err := build(test.spec, test.o)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, filepath.Join("testdata", test.name+".plan"), text(list))
			list.Fail(op.Int(2), 1)
			if _, err := list.Encode(); err != nil {
				t.Error(err)
			}
		})
	}
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("%s, - wanted, + got (go test -update writes it):\n%s", file, diff)
	}
}

// text writes a list for people: the label, the call, where it jumps, why, and what one would type.
func text(l *op.List) string {
	var b strings.Builder
	for _, o := range l.Ops {
		if o.Label != "" {
			fmt.Fprintf(&b, "%s:\n", o.Label)
		}
		fmt.Fprintf(&b, "  %s", o)
		if len(o.Accept) > 0 {
			next := o.Accepted
			if next == "" {
				next = "next"
			}
			var names []string
			for _, errno := range o.Accept {
				names = append(names, op.ErrnoName(errno))
			}
			fmt.Fprintf(&b, "  [%s: %s]", strings.Join(names, " "), next)
		}
		if o.Zero != "" {
			fmt.Fprintf(&b, "  [0: %s]", o.Zero)
		}
		if o.Positive != "" {
			fmt.Fprintf(&b, "  [positive: %s]", o.Positive)
		}
		if o.Why != "" {
			fmt.Fprintf(&b, "  # %s", o.Why)
		}
		b.WriteString("\n")
		if o.Shell != "" {
			fmt.Fprintf(&b, "      $ %s\n", o.Shell)
		}
	}
	return b.String()
}

// docker is what Docker writes for a container, as far as it concerns the tree.
func docker() *specs.Spec {
	return &specs.Spec{
		Root: &specs.Root{Path: "rootfs"},
		Mounts: []specs.Mount{
			mount("/proc", "proc", "proc", "nosuid,noexec,nodev"),
			mount("/dev", "tmpfs", "tmpfs", "nosuid,strictatime,mode=755,size=65536k"),
			mount("/dev/pts", "devpts", "devpts", "nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5"),
			mount("/sys", "sysfs", "sysfs", "nosuid,noexec,nodev,ro"),
			mount("/dev/mqueue", "mqueue", "mqueue", "nosuid,noexec,nodev"),
			mount("/dev/shm", "tmpfs", "shm", "nosuid,noexec,nodev,mode=1777,size=67108864"),
		},
		Linux: &specs.Linux{
			Namespaces: []specs.LinuxNamespace{
				{Type: specs.MountNamespace}, {Type: specs.NetworkNamespace}, {Type: specs.UTSNamespace},
				{Type: specs.PIDNamespace}, {Type: specs.IPCNamespace}, {Type: specs.CgroupNamespace},
			},
			MaskedPaths: []string{
				"/proc/asound", "/proc/acpi", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
				"/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware",
				"/sys/devices/virtual/powercap",
			},
			ReadonlyPaths: []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"},
		},
	}
}

// sites is what Survey says of the mounts of docker in an ordinary image.
var sites = []Site{
	{Target: "proc", Exists: 1}, {Target: "dev", Exists: 1}, {Target: "dev/pts", Exists: 1},
	{Target: "sys", Exists: 1}, {Target: "dev/mqueue", Exists: 1}, {Target: "dev/shm", Exists: 1},
}

// mount is a mount of a spec, its options separated by commas.
func mount(destination, kind, source, options string) specs.Mount {
	return specs.Mount{Destination: destination, Type: kind, Source: source, Options: strings.Split(options, ",")}
}

// rootless is what an unprivileged engine writes: the host's network and cgroup namespaces, a root that is
// read-only, files of the host bound.
func rootless() *specs.Spec {
	s := docker()
	s.Root.Readonly = true
	s.Mounts = append(s.Mounts,
		mount("/sys/fs/cgroup", "cgroup", "cgroup", "rprivate,nosuid,noexec,nodev,relatime,ro"),
		mount("/etc/hosts", "bind", "hosts", "bind,rprivate,rw,nosuid,nodev"),
	)
	s.Mounts[3].Options = append(s.Mounts[3].Options, "rprivate")
	s.Linux.Namespaces = []specs.LinuxNamespace{
		{Type: specs.MountNamespace}, {Type: specs.PIDNamespace}, {Type: specs.IPCNamespace}, {Type: specs.UserNamespace},
	}
	s.Linux.MaskedPaths, s.Linux.ReadonlyPaths = []string{"/proc/acpi", "/proc/kcore"}, []string{"/proc/sys"}
	return s
}

// kubernetes is what containerd writes for a container of a pod, on a host with cgroup v1 and an old kernel:
// a volume with Bidirectional propagation, a device, kernel parameters, SELinux.
func kubernetes() *specs.Spec {
	mode, gid := os.FileMode(0o660), uint32(44)
	s := docker()
	s.Root.Readonly = true
	s.Mounts = append(s.Mounts,
		mount("/sys/fs/cgroup", "cgroup", "cgroup", "nosuid,noexec,nodev,relatime,ro"),
		mount("/var/lib/data", "bind", "/var/lib/kubelet/pods/1/volumes/data", "rbind,rshared,rw"),
		mount("/dev/termination-log", "bind", "/var/lib/kubelet/pods/1/log", "rbind,rprivate,ro"),
	)
	s.Linux.RootfsPropagation = "rshared"
	s.Linux.MountLabel = "system_u:object_r:container_file_t:s0:c1,c2"
	s.Linux.Sysctl = map[string]string{"net.ipv4.ip_local_port_range": "1024 65535", "kernel.shm_rmid_forced": "1"}
	s.Linux.Devices = []specs.LinuxDevice{
		{Path: "/dev/net/tun", Type: "c", Major: 10, Minor: 200},
		{Path: "/dev/dri", Type: "b", Major: 226, Minor: 0, FileMode: &mode, GID: &gid},
	}
	s.Linux.MaskedPaths, s.Linux.ReadonlyPaths = []string{"/proc/acpi"}, []string{"/proc/sys"}
	return s
}
