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
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	rpc "google.golang.org/grpc/status"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// lives are what may happen to a pod and its containers, the same with every runtime.
var lives = []struct {
	name string
	test func(k *kubelet, n *node)
}{
	{"exec", testExec},
	{"streams", testStreams},
	{"ends", testEnds},
	{"stop", testStop},
	{"memory", testMemory},
	{"update", testUpdate},
	{"stats", testStats},
	{"processes", testProcesses},
	{"volumes", testVolumes},
	{"refusals", testRefusals},
	{"containerd restarts", testRestart},
	{"shim killed", testShimKilled},
}

// livesOnV2 are those that cgroup v2 has a part in: the micro-VM's processor is emulated, so runc has no turn either.
var livesOnV2 = []string{"memory", "update", "stats", "shim killed"}

func testLives(t *testing.T, k *kubelet, n *node) {
	handlers := handlers
	if inVM {
		handlers = []string{"tested"}
	}
	for _, life := range lives {
		if inVM && !slices.Contains(livesOnV2, life.name) {
			continue
		}
		t.Run(life.name, func(t *testing.T) {
			for _, handler := range handlers {
				life.test(k.with(t, handler), n)
			}
		})
	}
}

// forever sleeps, and ends when it is told to.
var forever = []string{"sh", "-c", `trap "exit 3" TERM; echo ready; while true; do sleep 0.05; done`}

func testExec(k *kubelet, _ *node) {
	p := k.run("exec", nil)
	defer p.remove()
	b := p.begin("box", func(c *cri.ContainerConfig) {
		s := c.Linux.SecurityContext
		s.RunAsUser, s.RunAsGroup = &cri.Int64Value{Value: 1000}, &cri.Int64Value{Value: 1000}
		s.SupplementalGroups, s.NoNewPrivs = []int64{7}, true
		s.Capabilities = &cri.Capability{DropCapabilities: []string{"ALL"}}
		s.Seccomp = &cri.SecurityProfile{ProfileType: cri.SecurityProfile_RuntimeDefault}
		c.Envs, c.WorkingDir = []*cri.KeyValue{{Key: "A", Value: []byte("b")}}, "/tmp"
	}, "sleep", "100000")
	// As the container is, in all.
	const tell = `id; pwd; echo $A; grep -E "^(CapEff|NoNewPrivs|Seccomp):" /proc/self/status; exit 4`
	k.equal("what exec is", b.exec("sh", "-c", tell),
		"uid=1000(learner) gid=1000(learner) groups=7,1000(learner)\n/tmp\nb\n"+
			"CapEff:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n4")
	k.equal("both streams", b.exec("sh", "-c", "echo out; echo err >&2"), "out\nerr\n0")
	k.equal("a signal", b.exec("sh", "-c", "kill -KILL $$"), "137")
	// One that takes too long is ended.
	_, err := b.ExecSync(b.soon(), &cri.ExecSyncRequest{ContainerId: b.id, Cmd: []string{"sleep", "1235"}, Timeout: 1})
	k.equal("a timeout", rpc.Code(err), codes.DeadlineExceeded)
	b.until("what took too long has ended", func() bool { return !strings.Contains(b.exec("ps"), "sleep 1235") })
	_, err = b.ExecSync(b.soon(), &cri.ExecSyncRequest{ContainerId: b.id, Cmd: []string{"no-such-program"}})
	k.matches("no such program", err,
		`OCI runtime exec failed: .*"no-such-program": executable file not found in \$PATH`)
	b.stop(0)
	_, err = b.ExecSync(b.soon(), &cri.ExecSyncRequest{ContainerId: b.id, Cmd: []string{"true"}})
	k.matches("exec after the end", err, "container is in CONTAINER_EXITED state")
}

// matches is for an error that a person reads.
func (k *kubelet) matches(what string, err error, pattern string) {
	k.Helper()
	if err == nil || !regexp.MustCompile(pattern).MatchString(err.Error()) {
		k.Errorf("%s: %s: %v, want %s", k.handler, what, err, pattern)
	}
}

// testEnds: how a container ends is what kubelet tells people, and decides by whether to start it again.
func testEnds(k *kubelet, _ *node) {
	p := k.run("ends", nil)
	defer p.remove()
	for _, test := range []struct{ script, want string }{
		{"true", "0 Completed"},
		{"exit 42", "42 Error"},
		{"sh -c 'kill -SEGV $$'; exit $?", "139 Error"},
	} {
		b := p.begin("box", nil, "sh", "-c", test.script)
		k.equal(test.script, b.end(), test.want)
		b.remove()
	}
	b := p.begin("killed", nil, "sleep", "100000")
	k.check(unix.Kill(b.pid(), unix.SIGKILL))
	k.equal("killed", b.end(), "137 Error")
	b.remove()
	b = p.create("never", nil, "sleep", "1") // created, and never started
	k.equal("state", b.status().State, cri.ContainerState_CONTAINER_CREATED)
	b.remove()
}

func testStop(k *kubelet, _ *node) {
	p := k.run("stop", nil)
	defer p.remove()
	b := p.begin("polite", nil, forever...)
	b.until("the trap is set", func() bool { return slices.Contains(b.log(), "ready") })
	b.stop(60)
	k.equal("one that listens", b.end(), "3 Error")
	b.remove()
	b = p.begin("deaf", nil, "sh", "-c", `trap "" TERM; echo ready; while true; do sleep 0.05; done`)
	b.until("the trap is set", func() bool { return slices.Contains(b.log(), "ready") })
	before := time.Now()
	b.stop(1)
	k.equal("one that does not", b.end(), "137 Error")
	if time.Since(before) < time.Second {
		k.Errorf("%s: it had %v, and a second was promised", k.handler, time.Since(before))
	}
	b.stop(1) // once more is no error
	b.remove()
	// A pod that is stopped with all that runs in it, as when its node is drained.
	p.begin("left", nil, forever...)
	p.begin("parent", nil, "sh", "-c", "sleep 1000 & sleep 1001 & wait")
}

// testMemory: what the kernel kills for its memory has a reason of its own.
func testMemory(k *kubelet, _ *node) {
	p := k.run("memory", nil)
	defer p.remove()
	b := p.begin("greedy", func(c *cri.ContainerConfig) {
		c.Linux.Resources.MemoryLimitInBytes = 48 << 20
	}, "sh", "-c", "until test -e /go; do sleep 0.05; done; exec eat 300m --hold 100s")
	// Not before the shim listens, which it does when start has returned.
	b.exec("touch", "/go")
	b.until("OOMKilled", func() bool { return b.end() == "137 OOMKilled" }) // it may be told after the end
	b.remove()
	k.limitGroup(p.config.Linux.CgroupParent, 64<<20) // the pod's own
	b = p.begin("neighbour", nil, "eat", "300m", "--hold", "100s")
	if end := b.end(); !strings.HasPrefix(end, "137 ") {
		k.Errorf("%s: over the pod's limit: %s", k.handler, end)
	}
	b.remove()
}

// limitGroup sets a limit of memory.
func (k *kubelet) limitGroup(name string, bytes int) {
	k.Helper()
	file := "/sys/fs/cgroup" + name + "/memory.max"
	if hasV1(k.T) {
		file = "/sys/fs/cgroup/memory" + name + "/memory.limit_in_bytes"
	}
	k.check(write(file, fmt.Sprint(bytes)))
}

func testUpdate(k *kubelet, _ *node) {
	p := k.run("update", nil)
	defer p.remove()
	b := p.begin("box", func(c *cri.ContainerConfig) {
		c.Linux.Resources = &cri.LinuxContainerResources{
			CpuPeriod: 100000, CpuQuota: 20000, CpuShares: 1024, MemoryLimitInBytes: 64 << 20,
		}
	}, "sleep", "100000")
	for _, r := range []*cri.LinuxContainerResources{
		{CpuPeriod: 100000, CpuQuota: 50000, CpuShares: 1024, MemoryLimitInBytes: 128 << 20}, // up, in place
		{CpuPeriod: 100000, CpuQuota: 30000, CpuShares: 1024, MemoryLimitInBytes: 96 << 20},
		{CpusetCpus: "0", CpusetMems: "0"}, // what the CPU manager sends: the rest stays
	} {
		k.check(b.update(r))
		got := b.limits()
		if r.CpuQuota != 0 {
			k.equal("quota", got["cpu-quota"], r.CpuQuota)
			k.equal("memory", got["memory"], r.MemoryLimitInBytes)
		} else {
			k.equal("all", fmt.Sprint(got["cpus"], got["cpu-quota"], got["memory"]), fmt.Sprint("0", "30000", 96<<20))
		}
	}
	b.stop(0)
	k.check(b.update(b.config.Linux.Resources)) // of one that has ended: containerd keeps it for itself
}

func (b *box) update(r *cri.LinuxContainerResources) error {
	_, err := b.UpdateContainerResources(b.soon(), &cri.UpdateContainerResourcesRequest{ContainerId: b.id, Linux: r})
	return err
}

// limits are those of a container's group, the first word of each: a quota without its period.
func (b *box) limits() map[string]string {
	b.Helper()
	got := map[string]string{}
	for name, l := range limits {
		dir, version, err := groupOf(b.proc, fmt.Sprint(b.pid()), l.controller)
		b.check(err)
		file := l.v1
		if version == 2 {
			file = l.v2
		}
		text, err := os.ReadFile(filepath.Join(dir, file))
		b.check(err)
		got[name] = strings.Fields(string(text) + " -")[0]
	}
	return got
}

// testStats: what kubelet evicts by, and people look at.
func testStats(k *kubelet, _ *node) {
	p := k.run("stats", nil)
	defer p.remove()
	b := p.begin("box", nil, "sh", "-c", "echo 12345678 > /file; eat 32m --hold 1000s")
	b.until("it has eaten", func() bool {
		answer, err := b.ContainerStats(b.soon(), &cri.ContainerStatsRequest{ContainerId: b.id})
		b.check(err)
		return answer.Stats.GetMemory().GetWorkingSetBytes().GetValue() >= 32<<20 &&
			answer.Stats.GetCpu().GetUsageCoreNanoSeconds().GetValue() > 0
	})
	all, err := b.ListContainerStats(b.soon(), &cri.ListContainerStatsRequest{
		Filter: &cri.ContainerStatsFilter{PodSandboxId: p.id},
	})
	b.check(err)
	k.equal("containers with stats", len(all.Stats), 1)
	pod, err := b.PodSandboxStats(b.soon(), &cri.PodSandboxStatsRequest{PodSandboxId: p.id})
	b.check(err)
	if linux := pod.Stats.Linux; linux.Process.ProcessCount.Value < 2 || linux.Memory.WorkingSetBytes.Value < 32<<20 {
		k.Errorf("%s: the pod's: %v", k.handler, linux)
	}
}

// testProcesses: who sees whom, with a namespace for all of a pod and with another container's.
func testProcesses(k *kubelet, _ *node) {
	p := k.run("shared", func(c *cri.PodSandboxConfig) {
		c.Linux.SecurityContext.NamespaceOptions = &cri.NamespaceOption{Pid: cri.NamespaceMode_POD}
	})
	defer p.remove()
	one := p.begin("one", nil, "sleep", "1111")
	two := p.begin("two", nil, "sleep", "2222")
	for _, what := range []string{"sleep 100000", "sleep 1111", "sleep 2222"} {
		k.until("seen: "+what, func() bool { return strings.Contains(two.exec("ps"), what) })
	}
	one.stop(0)
	k.equal("first", one.end(), "137 Error")
	two.exec("sh", "-c", "(sleep 3333 &)") // an orphan is the sandbox's
	two.stop(0)
	k.equal("second", two.end(), "137 Error")
	debugged := k.run("debugged", nil)
	defer debugged.remove()
	b := debugged.begin("app", nil, "sleep", "4444")
	debugger := debugged.begin("debugger", func(c *cri.ContainerConfig) { // kubectl debug --target
		c.Linux.SecurityContext.NamespaceOptions = &cri.NamespaceOption{Pid: cri.NamespaceMode_TARGET, TargetId: b.id}
	}, "sleep", "5555")
	k.until("process 1 is the other's", func() bool {
		return debugger.exec("cat", "/proc/1/cmdline") == "sleep\x004444\x000"
	})
	b.stop(0) // and the namespace ends with its process 1
	k.equal("the debugger", debugger.end(), "137 Error")
}

// testVolumes: mounts that are made while the pod runs, on both sides.
func testVolumes(k *kubelet, _ *node) {
	const dir = "/run/pods"
	p := k.run("volumes", nil)
	defer p.remove()
	b := p.begin("box", func(c *cri.ContainerConfig) {
		c.Linux.SecurityContext.Capabilities = &cri.Capability{AddCapabilities: []string{"SYS_ADMIN"}}
		c.Mounts = []*cri.Mount{
			{ContainerPath: "/private", HostPath: dir},
			{ContainerPath: "/slave", HostPath: dir, Propagation: cri.MountPropagation_PROPAGATION_HOST_TO_CONTAINER},
			{ContainerPath: "/shared", HostPath: dir, Propagation: cri.MountPropagation_PROPAGATION_BIDIRECTIONAL},
		}
	}, "sleep", "100000")
	k.check(os.MkdirAll(dir+"/late", 0o755))
	k.check(unix.Mount("tmpfs", dir+"/late", "tmpfs", 0, ""))
	defer func() { k.check(unix.Unmount(dir+"/late", 0)) }() // also for the container
	writeFile(k.T, dir+"/late/file", "")
	for place, want := range map[string]string{"/private": "1", "/slave": "0", "/shared": "0"} {
		k.equal("what is mounted later, in "+place, b.exec("test", "-e", place+"/late/file"), want)
	}
	k.equal("mount inside", b.exec("sh", "-c",
		"mkdir /shared/inside && mount -t tmpfs tmpfs /shared/inside && touch /shared/inside/file"), "0")
	if _, err := os.Stat(dir + "/inside/file"); err != nil {
		k.Errorf("%s: what the container mounts: %v", k.handler, err)
	}
	k.check(unix.Unmount(dir+"/inside", 0))
	k.check(os.Remove(dir + "/inside"))
}

// testRefusals: what cannot be is told to people, and leaves nothing.
func testRefusals(k *kubelet, _ *node) {
	p := k.run("refusals", nil)
	defer p.remove()
	for _, test := range []struct {
		command string
		change  func(*cri.ContainerConfig)
		want    string
	}{
		{"no-such-program", nil, `exec: "no-such-program": executable file not found in \$PATH`},
		{"/etc", nil, `permission denied`},
		{"sleep", func(c *cri.ContainerConfig) {
			c.Mounts = []*cri.Mount{{ContainerPath: "/etc/passwd/below", HostPath: "/run/pods"}}
		}, `not a directory`},
		{"sleep", func(c *cri.ContainerConfig) {
			c.Linux.Resources.MemoryLimitInBytes = 1
		}, `memory`},
		{"sleep", func(c *cri.ContainerConfig) { c.Linux.Resources.CpusetCpus = "4000" }, `cpuset`},
	} {
		b := p.create("box", test.change, test.command)
		k.matches(test.command, b.start(), test.want)
		k.equal("state", b.end(), "128 StartError")
		b.remove()
	}
	_, err := k.RunPodSandbox(k.soon(), &cri.RunPodSandboxRequest{RuntimeHandler: "none", Config: p.config})
	k.matches("no such handler", err, "no runtime for|reserved for")
}

// testRestart: containers live on without containerd, and it finds them again.
func testRestart(k *kubelet, n *node) {
	p := k.run("restart", nil)
	defer p.remove()
	b := p.begin("box", nil, forever...)
	gone := p.begin("gone", nil, "sleep", "100000")
	pid := gone.pid()
	n.stop(unix.SIGKILL)
	k.check(unix.Kill(pid, unix.SIGKILL)) // while nobody looks
	n.stop = runContainerd(n.t, n.dir, n.configuration)
	k.until("runtime and network are ready", func() bool {
		answer, err := k.Status(k.soon(), &cri.StatusRequest{})
		notReady := func(c *cri.RuntimeCondition) bool { return !c.Status }
		return err == nil && !slices.ContainsFunc(answer.Status.Conditions, notReady)
	})
	k.equal("who ended meanwhile", gone.end(), "137 Error")
	k.equal("who did not", b.status().State, cri.ContainerState_CONTAINER_RUNNING)
	k.equal("exec", b.exec("echo", "still here"), "still here\n0")
	b.stop(60)
	k.equal("end", b.end(), "3 Error")
}

// testShimKilled: what the shim held is cleaned up, by another of it, which calls the runtime's delete.
func testShimKilled(k *kubelet, _ *node) {
	p := k.run("shim", nil)
	defer p.remove()
	b := p.begin("box", nil, "sh", "-c", "sleep 1000 & sleep 1001 & wait")
	shim := parentOf(k, b.pid())
	k.check(unix.Kill(shim, unix.SIGKILL))
	if end := b.end(); !strings.HasPrefix(end, "137 ") && !strings.HasPrefix(end, "255 ") {
		k.Errorf("%s: %s", k.handler, end)
	}
	k.until("the sandbox is not ready", func() bool {
		answer, err := p.PodSandboxStatus(p.soon(), &cri.PodSandboxStatusRequest{PodSandboxId: p.id})
		k.check(err)
		return answer.Status.State == cri.PodSandboxState_SANDBOX_NOTREADY
	})
	b.remove()
}

// parentOf reads the number of a process's parent.
func parentOf(k *kubelet, pid int) (parent int) {
	k.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	k.check(err)
	_, rest, _ := strings.Cut(string(text), "\nPPid:")
	_, err = fmt.Sscan(rest, &parent)
	k.check(err)
	return parent
}
