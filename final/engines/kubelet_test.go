//go:build linux

package engines

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// A kubelet speaks CRI to containerd as Kubernetes' own does: it makes a pod's sandbox, which is a container that
// holds the namespaces, and then containers in it.
type kubelet struct {
	*testing.T
	cri.RuntimeServiceClient
	images  cri.ImageServiceClient
	handler string // the name that containerd's configuration has a runtime by
	systemd bool   // the driver of cgroups
	proc    string // where containerd's numbers of processes are from
}

func dial(t *testing.T, address string) *kubelet {
	t.Helper()
	connection, err := grpc.NewClient("unix://"+address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() }) // nothing is under way
	return &kubelet{
		T: t, RuntimeServiceClient: cri.NewRuntimeServiceClient(connection),
		images: cri.NewImageServiceClient(connection), proc: "/proc",
	}
}

// with is the same kubelet for another test and a runtime.
func (k *kubelet) with(t *testing.T, handler string) *kubelet {
	other := *k
	other.T, other.handler = t, handler
	return &other
}

// soon is what a call has; kubelet's have two minutes as well.
func (k *kubelet) soon() context.Context {
	ctx, cancel := context.WithTimeout(k.Context(), 2*patience)
	k.Cleanup(cancel)
	return ctx
}

func (k *kubelet) check(err error) {
	k.Helper()
	if err != nil {
		k.Fatalf("%s: %v", k.handler, err)
	}
}

// equal is for what must be so with every runtime.
func (k *kubelet) equal(what string, got, want any) {
	k.Helper()
	if got, want := fmt.Sprint(got), fmt.Sprint(want); got != want {
		k.Errorf("%s: %s is %q, want %q", k.handler, what, got, want)
	}
}

// until waits for something to be so.
func (k *kubelet) until(what string, so func() bool) {
	k.Helper()
	for deadline := time.Now().Add(2 * patience); !so(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			k.Fatalf("%s: not for %v: %s", k.handler, 2*patience, what)
		}
	}
}

// A pod is a sandbox, and what it was made of.
type pod struct {
	*kubelet
	id     string
	config *cri.PodSandboxConfig
}

// run makes what kubelet makes of a pod without wishes, but for the change.
func (k *kubelet) run(name string, change func(*cri.PodSandboxConfig)) *pod {
	k.Helper()
	config := &cri.PodSandboxConfig{
		Metadata:     &cri.PodSandboxMetadata{Name: name, Namespace: k.handler, Uid: name},
		Hostname:     name,
		LogDirectory: k.TempDir(),
		DnsConfig:    &cri.DNSConfig{Servers: []string{"10.96.0.10"}, Searches: []string{"cluster.local"}},
		Linux: &cri.LinuxPodSandboxConfig{
			CgroupParent: groupOfPod(name, k.systemd),
			SecurityContext: &cri.LinuxSandboxSecurityContext{
				NamespaceOptions: &cri.NamespaceOption{Pid: cri.NamespaceMode_CONTAINER},
				Seccomp:          &cri.SecurityProfile{ProfileType: cri.SecurityProfile_RuntimeDefault},
			},
		},
	}
	if change != nil {
		change(config)
	}
	if !k.systemd {
		k.makeGroup(config.Linux.CgroupParent)
	}
	answer, err := k.RunPodSandbox(k.soon(), &cri.RunPodSandboxRequest{Config: config, RuntimeHandler: k.handler})
	k.check(err)
	return &pod{k, answer.PodSandboxId, config}
}

// remove is the order of a pod's end.
func (p *pod) remove() {
	p.Helper()
	_, err := p.StopPodSandbox(p.soon(), &cri.StopPodSandboxRequest{PodSandboxId: p.id})
	p.check(err)
	_, err = p.RemovePodSandbox(p.soon(), &cri.RemovePodSandboxRequest{PodSandboxId: p.id})
	p.check(err)
	if !p.systemd {
		p.removeGroup(p.config.Linux.CgroupParent)
	}
}

// besteffort is the group of those pods that ask for nothing.
const besteffort = "/kubepods/besteffort"

// groupOfPod is a pod's own group, as the driver of cgroups spells it.
func groupOfPod(name string, systemd bool) string {
	if systemd {
		return "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod" + name + ".slice"
	}
	return besteffort + "/pod" + name
}

// makeGroup makes a group in every hierarchy.
func (k *kubelet) makeGroup(name string) {
	k.Helper()
	for _, h := range layoutOf(k.T) {
		k.check(os.MkdirAll(h.Dir+name, 0o755))
	}
}

// removeGroup removes it again: there must be none in it, and the last process ends some time after it was killed.
func (k *kubelet) removeGroup(name string) {
	k.Helper()
	for _, h := range layoutOf(k.T) {
		k.until("rmdir "+h.Dir+name, func() bool { return unix.Rmdir(h.Dir+name) == nil })
	}
}

// A box is one of a pod's containers.
type box struct {
	*pod
	id     string
	config *cri.ContainerConfig
}

// create makes what kubelet makes of a container without wishes, but for the change.
func (p *pod) create(name string, change func(*cri.ContainerConfig), command ...string) *box {
	p.Helper()
	b, err := p.tryCreate(name, change, command...)
	p.check(err)
	return b
}

func (p *pod) tryCreate(name string, change func(*cri.ContainerConfig), command ...string) (*box, error) {
	config := &cri.ContainerConfig{
		Metadata: &cri.ContainerMetadata{Name: name},
		Image:    &cri.ImageSpec{Image: image},
		Command:  command,
		LogPath:  name + ".log",
		Linux: &cri.LinuxContainerConfig{
			Resources: &cri.LinuxContainerResources{CpuPeriod: 100000, CpuShares: 2, OomScoreAdj: 1000},
			SecurityContext: &cri.LinuxContainerSecurityContext{
				NamespaceOptions: p.config.Linux.SecurityContext.NamespaceOptions,
				MaskedPaths: []string{"/proc/asound", "/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
					"/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware"},
				ReadonlyPaths: []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"},
				Seccomp:       &cri.SecurityProfile{ProfileType: cri.SecurityProfile_Unconfined},
			},
		},
	}
	if change != nil {
		change(config)
	}
	answer, err := p.CreateContainer(p.soon(),
		&cri.CreateContainerRequest{PodSandboxId: p.id, Config: config, SandboxConfig: p.config})
	if err != nil {
		return nil, err
	}
	return &box{p, answer.ContainerId, config}, nil
}

func (p *pod) begin(name string, change func(*cri.ContainerConfig), command ...string) *box {
	p.Helper()
	b := p.create(name, change, command...)
	b.check(b.start())
	return b
}

func (b *box) start() error {
	_, err := b.StartContainer(b.soon(), &cri.StartContainerRequest{ContainerId: b.id})
	return err
}

func (b *box) status() *cri.ContainerStatus {
	b.Helper()
	answer, err := b.ContainerStatus(b.soon(), &cri.ContainerStatusRequest{ContainerId: b.id})
	b.check(err)
	return answer.Status
}

// end is how a container ended: its exit code, and the reason for people.
func (b *box) end() string {
	b.Helper()
	b.until("exited", func() bool { return b.status().State == cri.ContainerState_CONTAINER_EXITED })
	return fmt.Sprint(b.status().ExitCode, " ", b.status().Reason)
}

// pid is the number of a container's first process, which containerd tells those who ask for more.
func (b *box) pid() int {
	b.Helper()
	answer, err := b.ContainerStatus(b.soon(), &cri.ContainerStatusRequest{ContainerId: b.id, Verbose: true})
	b.check(err)
	return b.pidOf(answer.Info["info"])
}

func (p *pod) pid() int {
	p.Helper()
	answer, err := p.PodSandboxStatus(p.soon(), &cri.PodSandboxStatusRequest{PodSandboxId: p.id, Verbose: true})
	p.check(err)
	return p.pidOf(answer.Info["info"])
}

func (k *kubelet) pidOf(text string) int {
	k.Helper()
	var info struct{ Pid int }
	k.check(json.Unmarshal([]byte(text), &info))
	return info.Pid
}

// exec runs a command and returns what it printed and its code, in a line.
func (b *box) exec(command ...string) string {
	b.Helper()
	answer, err := b.ExecSync(b.soon(), &cri.ExecSyncRequest{ContainerId: b.id, Cmd: command})
	b.check(err)
	return fmt.Sprintf("%s%s%d", answer.Stdout, answer.Stderr, answer.ExitCode)
}

// log is what the container has printed so far. A line of it:
//
//	2016-10-06T00:17:09.669794202Z stdout F The content of the log entry
func (b *box) log() (lines []string) {
	b.Helper()
	text, err := os.ReadFile(filepath.Join(b.pod.config.LogDirectory, b.config.LogPath))
	b.check(err)
	for line := range strings.Lines(string(text)) {
		if words := strings.SplitN(strings.TrimRight(line, "\r\n"), " ", 4); len(words) == 4 {
			lines = append(lines, words[3])
		}
	}
	return lines
}

func (b *box) stop(grace int64) {
	b.Helper()
	_, err := b.StopContainer(b.soon(), &cri.StopContainerRequest{ContainerId: b.id, Timeout: grace})
	b.check(err)
}

func (b *box) remove() {
	b.Helper()
	_, err := b.RemoveContainer(b.soon(), &cri.RemoveContainerRequest{ContainerId: b.id})
	b.check(err)
}
