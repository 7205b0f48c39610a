//go:build linux

package engines

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/simple-container/simple-container/final/internal/kernel"
)

// pods are variants of one, with variants of a container in each. What is asked for, the containers of both runtimes
// must show in the same way.
var pods = []struct {
	name   string
	change func(p *cri.PodSandboxConfig)
	boxes  []variant
}{
	{"plain", nil, slices.Concat(users, rights, files, resources)},
	{"sysctls", func(p *cri.PodSandboxConfig) {
		p.Linux.Sysctls = map[string]string{"kernel.msgmax": "9000", "net.ipv4.ip_forward": "1"}
	}, plainBox},
	{"the node's namespaces", func(p *cri.PodSandboxConfig) {
		p.Hostname = ""
		p.Linux.SecurityContext.NamespaceOptions = &cri.NamespaceOption{
			Network: cri.NamespaceMode_NODE, Pid: cri.NamespaceMode_NODE, Ipc: cri.NamespaceMode_NODE,
		}
	}, plainBox},
	{"one PID namespace", func(p *cri.PodSandboxConfig) {
		p.Linux.SecurityContext.NamespaceOptions = &cri.NamespaceOption{Pid: cri.NamespaceMode_POD}
	}, plainBox},
	{"a user's sandbox", func(p *cri.PodSandboxConfig) {
		s := p.Linux.SecurityContext
		s.RunAsUser, s.RunAsGroup = &cri.Int64Value{Value: 65534}, &cri.Int64Value{Value: 65534}
		s.SupplementalGroups, s.ReadonlyRootfs = []int64{7, 8}, true
	}, plainBox},
	{"privileged", func(p *cri.PodSandboxConfig) { p.Linux.SecurityContext.Privileged = true }, []variant{
		security("privileged", func(s *cri.LinuxContainerSecurityContext) {
			s.Privileged, s.MaskedPaths, s.ReadonlyPaths = true, nil, nil
		}),
		plainBox[0],
	}},
}

// A variant is a container with one wish.
type variant struct {
	name   string
	change func(c *cri.ContainerConfig)
}

func security(name string, change func(s *cri.LinuxContainerSecurityContext)) variant {
	return variant{name, func(c *cri.ContainerConfig) { change(c.Linux.SecurityContext) }}
}

func limited(name string, limits *cri.LinuxContainerResources) variant {
	return variant{name, func(c *cri.ContainerConfig) { c.Linux.Resources = limits }}
}

func mounted(name string, mounts ...*cri.Mount) variant {
	return variant{name, func(c *cri.ContainerConfig) { c.Mounts = mounts }}
}

func seccomp(name string, profile *cri.SecurityProfile) variant {
	return security(name, func(s *cri.LinuxContainerSecurityContext) { s.Seccomp = profile })
}

var plainBox = []variant{{"plain", func(*cri.ContainerConfig) {}}}

var users = []variant{
	security("numbers", func(s *cri.LinuxContainerSecurityContext) {
		s.RunAsUser, s.RunAsGroup = &cri.Int64Value{Value: 1000}, &cri.Int64Value{Value: 1001}
		s.SupplementalGroups = []int64{5, 2000}
	}),
	security("a name", func(s *cri.LinuxContainerSecurityContext) { s.RunAsUsername = "nobody" }),
	{"environment", func(c *cri.ContainerConfig) {
		c.WorkingDir = "/tmp/new"
		c.Envs = []*cri.KeyValue{
			{Key: "A", Value: []byte("b=c")}, {Key: "EMPTY"}, {Key: "PATH", Value: []byte("/bin:/sbin")},
		}
	}},
	{"terminal", func(c *cri.ContainerConfig) { c.Tty = true }},
}

// profile is seccomp's, of an administrator.
const profile = `{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
	{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 18}]}`

var rights = []variant{
	security("add and drop", func(s *cri.LinuxContainerSecurityContext) {
		s.Capabilities = &cri.Capability{
			AddCapabilities: []string{"SYS_ADMIN", "NET_ADMIN"}, DropCapabilities: []string{"CHOWN", "MKNOD"},
		}
	}),
	security("drop all, add one", func(s *cri.LinuxContainerSecurityContext) {
		s.RunAsUser = &cri.Int64Value{Value: 1000}
		s.Capabilities = &cri.Capability{
			AddCapabilities: []string{"NET_BIND_SERVICE"}, DropCapabilities: []string{"ALL"},
		}
	}),
	security("no new privileges", func(s *cri.LinuxContainerSecurityContext) { s.NoNewPrivs = true }),
	security("restricted", func(s *cri.LinuxContainerSecurityContext) { // the standard of that name
		s.RunAsUser, s.NoNewPrivs = &cri.Int64Value{Value: 1000}, true
		s.Capabilities = &cri.Capability{DropCapabilities: []string{"ALL"}}
		s.Seccomp = &cri.SecurityProfile{ProfileType: cri.SecurityProfile_RuntimeDefault}
	}),
	security("paths", func(s *cri.LinuxContainerSecurityContext) {
		s.MaskedPaths, s.ReadonlyPaths = []string{"/etc/shells", "/opt", "/no/such"}, []string{"/proc/sys", "/etc"}
	}),
	security("paths unmasked", func(s *cri.LinuxContainerSecurityContext) {
		s.MaskedPaths, s.ReadonlyPaths = nil, nil
	}),
	seccomp("seccomp of the node", &cri.SecurityProfile{ProfileType: cri.SecurityProfile_RuntimeDefault}),
	seccomp("seccomp of an administrator", &cri.SecurityProfile{
		ProfileType: cri.SecurityProfile_Localhost, LocalhostRef: "/run/pods/seccomp.json",
	}),
}

var files = []variant{
	security("read-only", func(s *cri.LinuxContainerSecurityContext) { s.ReadonlyRootfs = true }),
	mounted("volumes",
		&cri.Mount{ContainerPath: "/mnt/rw", HostPath: "/run/pods/volume"},
		&cri.Mount{ContainerPath: "/mnt/ro", HostPath: "/run/pods/volume", Readonly: true},
		&cri.Mount{ContainerPath: "/etc/profile", HostPath: "/run/pods/seccomp.json", Readonly: true},
		&cri.Mount{ContainerPath: "/mnt/made", HostPath: "/run/pods/made"}, // by containerd
		&cri.Mount{ContainerPath: "/dev/termination-log", HostPath: "/run/pods/log"},
	),
	mounted("propagation",
		&cri.Mount{ContainerPath: "/mnt/private", HostPath: "/run/pods"},
		&cri.Mount{ContainerPath: "/mnt/slave", HostPath: "/run/pods",
			Propagation: cri.MountPropagation_PROPAGATION_HOST_TO_CONTAINER},
		&cri.Mount{ContainerPath: "/mnt/shared", HostPath: "/run/pods",
			Propagation: cri.MountPropagation_PROPAGATION_BIDIRECTIONAL},
	),
	mounted("recursively read-only", &cri.Mount{ // since 1.30; an older containerd passes it over
		ContainerPath: "/mnt/ro", HostPath: "/run/pods", Readonly: true, RecursiveReadOnly: true,
	}),
	{"devices", func(c *cri.ContainerConfig) {
		c.Devices = []*cri.Device{
			{HostPath: "/dev/zero", ContainerPath: "/dev/deep/zero", Permissions: "r"},
			{HostPath: "/dev/ptmx", ContainerPath: "/dev/other", Permissions: "rwm"},
		}
	}},
}

var resources = []variant{
	limited("limits", &cri.LinuxContainerResources{
		CpuPeriod: 50000, CpuQuota: 25000, CpuShares: 512, MemoryLimitInBytes: 96 << 20, OomScoreAdj: 999,
		CpusetCpus: "0", CpusetMems: "0",
		HugepageLimits: []*cri.HugepageLimit{{PageSize: "2MB", Limit: 4 << 20}},
	}),
	limited("unified", &cri.LinuxContainerResources{Unified: map[string]string{
		"memory.high": "67108864", "pids.max": "55", "memory.min": "1048576",
	}}),
}

// allowedInPods are differences of what Kubernetes asks for.
var allowedInPods = []difference{
	allow("final", "sandbox", "mounts", `/ /dev/shm ro\S* - tmpfs shm rw,size=65536k\S*`,
		"a mount that is bound elsewhere, to be read only, stays nosuid, nodev and noexec; runc 1.1 forgets that"),
	allow("final", "privileged", "mounts", `/\S* /sys/fs/cgroup/unified rw\S* - cgroup2 cgroup2 rw\S*`,
		"where there are v1 and v2, runc shows v1 alone"),
	allow("final", "privileged", "mounts", `/\S* /sys/fs/cgroup rw\S* - cgroup2 cgroup2? rw\S*`,
		"the name of a source without a device: anything will do"),
}

// podsOnV2 are the containers that cgroup v2 has a part in, by their pod: the micro-VM's processor is emulated.
var podsOnV2 = map[string][]string{
	"plain": {"limits", "unified", "devices"}, "privileged": {"privileged"},
}

// testPods compares them, containers and sandboxes.
func testPods(t *testing.T, k *kubelet) {
	allowed, runtime := append(allowedHere(t), allowedInPods...), nameOf(runtimeUnderTest(t))
	for _, p := range pods {
		if inVM {
			not := func(v variant) bool { return !slices.Contains(podsOnV2[p.name], v.name) }
			p.boxes = slices.DeleteFunc(slices.Clone(p.boxes), not)
		}
		if len(p.boxes) == 0 {
			continue
		}
		t.Run(p.name, func(t *testing.T) {
			want := k.with(t, "runc").observe(p.name, p.change, p.boxes)
			got := k.with(t, "tested").observe(p.name, p.change, p.boxes)
			for name := range want {
				t.Run(name, func(t *testing.T) { compare(t, runtime, name, got[name], want[name], allowed) })
			}
		})
	}
}

// furnishVolumes makes /run/pods, which others may see the mounts of.
func furnishVolumes(t *testing.T) {
	t.Helper()
	const dir = "/run/pods"
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, place := range []string{dir, dir + "/below"} {
		if err := os.MkdirAll(place, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := unix.Mount("tmpfs", place, "tmpfs", 0, "mode=755"); err != nil {
			t.Fatal(err)
		}
		if err := unix.Mount("", place, "", unix.MS_SHARED, ""); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := unix.Unmount(place, 0); err != nil {
				t.Error(err)
			}
		})
	}
	if err := os.Mkdir(dir+"/volume", 0o777); err != nil {
		t.Fatal(err)
	}
	writeFile(t, dir+"/seccomp.json", profile)
	writeFile(t, dir+"/log", "")
}

// observe makes a pod with its containers, and returns what is seen of each, and of the sandbox.
func (k *kubelet) observe(name string, change func(*cri.PodSandboxConfig), boxes []variant) map[string]facts {
	k.Helper()
	p := k.run(strings.ReplaceAll(name, " ", "-"), change)
	defer p.remove()
	p.until("the sandbox sleeps", func() bool { return sleeps(p.pid()) }) // a start with runc ends before the command runs
	seen := map[string]facts{"sandbox": {}}
	p.see(seen["sandbox"], p.id, p.pid())
	for i, v := range boxes {
		b := p.create(fmt.Sprint("box", i), v.change, "sh", "-c", look+"exec sleep 100000")
		seen[v.name] = facts{}
		if err := b.start(); err != nil {
			seen[v.name]["start"] = []string{"refused"}
			b.Log(k.handler, "refuses", v.name, err)
		} else {
			b.look(seen[v.name])
		}
		b.remove()
	}
	return seen
}

// look adds what is seen of a container from inside, and from the host, and ends it.
func (b *box) look(f facts) {
	b.Helper()
	b.until("it has looked at all, and sleeps", func() bool {
		return slices.Contains(b.log(), "== end") && sleeps(b.pid())
	})
	section := ""
	for _, line := range b.log() {
		section = f.tell(section, line)
	}
	b.see(f, b.id, b.pid())
	b.stop(0)
	f["exit code"] = []string{b.end()}
}

// sleeps tells whether a process has become its command, and that does no more: at its start Go has files open.
func sleeps(pid int) bool {
	comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	stat, err := kernel.Stat(pid)
	return err == nil && stat.State == 'S' && string(comm) == "sleep\n"
}

// snapshot has a number, and so has what the plugin gives a name by chance.
var snapshot = regexp.MustCompile(`snapshots/\d+|/cni-[-0-9a-f]+`)

// see adds what the host sees of a container, and what it has in common with the sandbox.
func (p *pod) see(f facts, id string, pid int) {
	p.Helper()
	names := strings.NewReplacer(id, "BOX", p.id, "POD", p.config.LogDirectory, "LOGS")
	f.host(p.T, fmt.Sprint(pid), p.config.Linux.CgroupParent+"/"+id, names)
	for i, line := range f["mounts"] {
		f["mounts"][i] = snapshot.ReplaceAllString(line, "NAME")
	}
	for _, kind := range []string{"ipc", "net", "pid", "uts"} {
		theirs, _ := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", pid, kind))
		sandbox, _ := os.Readlink(filepath.Join("/proc", fmt.Sprint(p.pid()), "ns", kind))
		f["namespaces"] = append(f["namespaces"], fmt.Sprintf("%s: the sandbox's: %v", kind, theirs == sandbox))
	}
}
