//go:build linux

package engines

import (
	"os"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// bundles are variants of one configuration. What a variant changes, the containers of all runtimes must show
// in the same way.
var bundles = []struct {
	name   string
	change func(s *specs.Spec)
}{
	{"plain", func(s *specs.Spec) {}},
	{"user", func(s *specs.Spec) {
		umask := uint32(0o027)
		s.Process.User = specs.User{UID: 1000, GID: 1001, AdditionalGids: []uint32{5, 2000}, Umask: &umask}
		s.Process.Env = append(s.Process.Env, "A=b=c", "EMPTY=")
		s.Process.Cwd = "/home"
	}},
	{"capabilities of a user", func(s *specs.Spec) {
		s.Process.User = specs.User{UID: 1000, GID: 1000}
		two := []string{"CAP_NET_BIND_SERVICE", "CAP_CHOWN"}
		s.Process.Capabilities = &specs.LinuxCapabilities{
			Bounding: append(two, "CAP_KILL"), Permitted: two, Inheritable: two, Effective: two[:1], Ambient: two[:1],
		}
	}},
	{"no capabilities", func(s *specs.Spec) { s.Process.Capabilities = nil }},
	{"writable, new privileges, nothing masked", func(s *specs.Spec) {
		s.Root.Readonly, s.Process.NoNewPrivileges = false, false
		s.Linux.MaskedPaths, s.Linux.ReadonlyPaths = nil, nil
	}},
	{"limits", func(s *specs.Spec) {
		s.Linux.Resources = &specs.LinuxResources{
			Devices: s.Linux.Resources.Devices,
			Memory:  &specs.LinuxMemory{Limit: new(int64(96 << 20)), Reservation: new(int64(48 << 20))},
			CPU: &specs.LinuxCPU{
				Shares: new(uint64(512)), Quota: new(int64(80000)), Period: new(uint64(100000)), Cpus: "0",
			},
			Pids: &specs.LinuxPids{Limit: new(int64(77))},
		}
	}},
	{"devices", func(s *specs.Spec) {
		mode, id := new(os.FileMode(0o640)), new(uint32(5))
		s.Linux.Devices = []specs.LinuxDevice{
			{Path: "/dev/fuse", Type: "c", Major: 10, Minor: 229, FileMode: mode, UID: id, GID: id},
			{Path: "/dev/deep/er/zero", Type: "c", Major: 1, Minor: 5},
			{Path: "/dev/fifo", Type: "p"},
		}
		s.Linux.Resources = &specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{
			{Allow: false, Access: "rwm"},
			{Allow: true, Type: "c", Major: new(int64(10)), Minor: new(int64(229)), Access: "rw"},
			{Allow: true, Type: "b", Major: new(int64(8)), Access: "r"},
		}}
	}},
	{"rlimits and the OOM killer", func(s *specs.Spec) {
		s.Process.Rlimits = []specs.POSIXRlimit{
			{Type: "RLIMIT_NOFILE", Soft: 200, Hard: 300}, {Type: "RLIMIT_CORE", Soft: 0, Hard: 0},
			{Type: "RLIMIT_STACK", Soft: 4 << 20, Hard: 4 << 20},
		}
		s.Process.OOMScoreAdj = new(321)
	}},
	{"mounts", func(s *specs.Spec) {
		s.Mounts = append(s.Mounts,
			mount("/mnt/made/deep", "tmpfs", "tmpfs", "nosuid,nodev,noexec,size=3m,mode=0710"),
			mount("/mnt/etc", "bind", "/etc", "bind,ro,nosuid"),
			mount("/mnt/sys", "none", "/sys", "rbind,rro"),
			mount("/mnt/file", "bind", "/etc/hosts", "rbind,rprivate,nodev"),
			mount("/mnt/slave", "bind", "/run", "rbind,rslave"),
			mount("/etc", "tmpfs", "tmpfs", "tmpcopyup,mode=755"),
			mount("/mnt/time", "tmpfs", "tmpfs", "noatime,nodiratime"),
			mount("/mnt/strict", "tmpfs", "tmpfs", "strictatime"),
		)
	}},
	{"masks", func(s *specs.Spec) {
		s.Linux.MaskedPaths = append(s.Linux.MaskedPaths, "/etc/hosts", "/opt", "/no/such", "/proc/1/environ")
		s.Linux.ReadonlyPaths = append(s.Linux.ReadonlyPaths, "/usr", "/no/such")
	}},
	{"the host's network, names and IPC", func(s *specs.Spec) {
		s.Hostname = ""
		drop(s, specs.NetworkNamespace, specs.UTSNamespace, specs.IPCNamespace)
	}},
	{"the host's processes and cgroups", func(s *specs.Spec) { drop(s, specs.PIDNamespace, specs.CgroupNamespace) }},
	{"other users", func(s *specs.Spec) {
		s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.UserNamespace})
		s.Linux.UIDMappings = []specs.LinuxIDMapping{{ContainerID: 0, HostID: 100000, Size: 2000}}
		s.Linux.GIDMappings = []specs.LinuxIDMapping{{ContainerID: 0, HostID: 200000, Size: 2000}}
	}},
	{"sysctls", func(s *specs.Spec) {
		s.Linux.Sysctl = map[string]string{"kernel.msgmax": "9000", "net.ipv4.ip_forward": "1"}
		s.Hostname = "box"
	}},
	{"seccomp", func(s *specs.Spec) {
		s.Linux.Seccomp = &specs.LinuxSeccomp{
			DefaultAction: specs.ActAllow,
			Architectures: []specs.Arch{specs.ArchX86_64, specs.ArchX86, specs.ArchAARCH64},
			Syscalls: []specs.LinuxSyscall{
				{Names: []string{"mkdir", "mkdirat"}, Action: specs.ActErrno, ErrnoRet: new(uint(unix.EXDEV))},
				{Names: []string{"sethostname"}, Action: specs.ActErrno},
			},
		}
	}},
	{"seccomp and new privileges", func(s *specs.Spec) {
		s.Process.NoNewPrivileges = false
		s.Linux.Seccomp = &specs.LinuxSeccomp{
			DefaultAction: specs.ActAllow,
			Syscalls:      []specs.LinuxSyscall{{Names: []string{"mkdir", "mkdirat"}, Action: specs.ActErrno}},
		}
	}},
	{"propagation", func(s *specs.Spec) { s.Linux.RootfsPropagation = "rshared" }},
}

// bundlesOnV2 are those that the micro-VM compares: cgroup v2 has a part in them.
var bundlesOnV2 = []string{"plain", "limits", "devices", "the host's processes and cgroups", "other users"}

func mount(on, kind, source, options string) specs.Mount {
	return specs.Mount{Destination: on, Type: kind, Source: source, Options: strings.Split(options, ",")}
}

func drop(s *specs.Spec, kinds ...specs.LinuxNamespaceType) {
	s.Linux.Namespaces = slices.DeleteFunc(s.Linux.Namespaces, func(n specs.LinuxNamespace) bool {
		return slices.Contains(kinds, n.Type)
	})
}

// plain is the configuration that all bundles begin with: what engines send for a container without wishes.
func plain(script, group string) *specs.Spec {
	capabilities := []string{
		"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD", "CAP_NET_RAW", "CAP_SETGID",
		"CAP_SETUID", "CAP_SETFCAP", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_KILL",
		"CAP_AUDIT_WRITE",
	}
	s := &specs.Spec{
		Version:  "1.0.2",
		Root:     &specs.Root{Path: "rootfs", Readonly: true},
		Hostname: "plain",
		Process: &specs.Process{
			Args: []string{"sh", "-c", script}, Env: []string{"PATH=/bin", "TERM=dumb"}, Cwd: "/",
			Capabilities: &specs.LinuxCapabilities{
				Bounding: capabilities, Permitted: capabilities, Effective: capabilities,
			},
			NoNewPrivileges: true,
		},
		Mounts: []specs.Mount{
			mount("/proc", "proc", "proc", "nosuid,noexec,nodev"),
			mount("/dev", "tmpfs", "tmpfs", "nosuid,strictatime,mode=755,size=65536k"),
			mount("/dev/pts", "devpts", "devpts", "nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5"),
			mount("/dev/shm", "tmpfs", "shm", "nosuid,noexec,nodev,mode=1777,size=65536k"),
			mount("/dev/mqueue", "mqueue", "mqueue", "nosuid,noexec,nodev"),
			mount("/sys", "sysfs", "sysfs", "nosuid,noexec,nodev,ro"),
			mount("/sys/fs/cgroup", "cgroup", "cgroup", "nosuid,noexec,nodev,relatime,ro"),
		},
		Linux: &specs.Linux{
			CgroupsPath: group,
			Resources:   &specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{{Allow: false, Access: "rwm"}}},
			MaskedPaths: []string{
				"/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware",
			},
			ReadonlyPaths: []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"},
		},
	}
	for _, kind := range []specs.LinuxNamespaceType{
		specs.PIDNamespace, specs.NetworkNamespace, specs.IPCNamespace, specs.UTSNamespace, specs.MountNamespace,
		specs.CgroupNamespace,
	} {
		s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: kind})
	}
	return s
}
