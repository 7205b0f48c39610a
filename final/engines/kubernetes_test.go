//go:build linux

package engines

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/vishvananda/netlink"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// pauseImage is what sandboxes are made of.
const pauseImage = "docker.io/library/pause:latest"

// kubernetesConf has two runtimes, so that the same can be asked of both.
const kubernetesConf = `
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "` + pauseImage + `"
restrict_oom_score_adj = %[2]t
disable_hugetlb_controller = false
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "` + plugins + `"
conf_dir = "%[1]s/net.d"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.tested]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.tested.options]
BinaryName = "%[3]s"
SystemdCgroup = %[4]t
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
BinaryName = "runc"
SystemdCgroup = %[4]t
`

// handlers are the runtimes that each test is run with; runc says what is right.
var handlers = []string{"runc", "tested"}

// A node is a machine of a cluster: containerd with its files in a directory, and a network for pods.
type node struct {
	t                  *testing.T
	dir, configuration string
	stop               func(os.Signal) // containerd
}

// TestKubernetes: pods, in the way of kubelet. What a container is asked to be is compared with runc's; what happens
// in a container's life is written down here.
func TestKubernetes(t *testing.T) {
	need(t, "containerd", "ctr", "runc")
	needPlugins(t)
	watch := watch(t)
	t.Run("node", func(t *testing.T) {
		n := startNode(t, false)
		k := dial(t, n.dir+"/socket")
		k.loadImages(n)
		k.makeGroup(besteffort)
		furnishVolumes(t)
		t.Run("pods", func(t *testing.T) { testPods(t, k) })
		t.Run("lives", func(t *testing.T) { testLives(t, k, n) })
		k.removeGroup(besteffort)
		k.removeGroup(filepath.Dir(besteffort))
	})
	watch.compare(t)
}

// TestKubernetesOnSystemd is the same for groups of systemd's, which kubelet asks for where systemd is process 1.
func TestKubernetesOnSystemd(t *testing.T) {
	if !inVM {
		t.Skip("systemd's own groups need a machine with cgroup v2: go run ./vagrant/microvm ./final/engines")
	}
	need(t, "containerd", "ctr", "runc")
	needPlugins(t)
	watch := watch(t)
	t.Run("node", func(t *testing.T) {
		inside, proc := startSystemd(t)
		t.Setenv("PATH", wrapper(t, "containerd", fmt.Sprintf(`exec %s $program "$@"`, inside)))
		n := startNode(t, true)
		k := dial(t, n.dir+"/socket")
		k.systemd, k.proc = true, proc
		k.loadImages(n)
		t.Run("scope", func(t *testing.T) {
			for _, handler := range handlers {
				testScope(k.with(t, handler), inside)
			}
		})
		t.Run("update", func(t *testing.T) { testUpdate(k.with(t, "tested"), n) })
	})
	watch.compare(t)
}

// testScope: a container is a scope in its pod's slice, and its limits are known to systemd.
func testScope(k *kubelet, inside string) {
	p := k.run("scope", nil)
	defer p.remove()
	b := p.begin("box", limited("", &cri.LinuxContainerResources{
		CpuPeriod: 100000, CpuQuota: 30000, CpuShares: 1024, MemoryLimitInBytes: 64 << 20,
		Unified: map[string]string{"memory.high": "50331648"},
	}).change, "sleep", "100000")
	unit := "cri-containerd-" + b.id + ".scope"
	dir, _, err := groupOf(k.proc, fmt.Sprint(b.pid()), "memory")
	k.check(err)
	k.equal("group", dir, world+p.config.Linux.CgroupParent+"/"+unit)
	show := func(what string) string {
		return run(k.T, inside, "systemctl", "show", "--property", what, unit)
	}
	k.equal("slice", show("Slice"), "Slice="+filepath.Base(p.config.Linux.CgroupParent)+"\n")
	k.equal("limits", show("MemoryMax,MemoryHigh,CPUQuotaPerSecUSec"),
		"CPUQuotaPerSecUSec=300ms\nMemoryHigh=50331648\nMemoryMax=67108864\n")
	run(k.T, inside, "systemctl", "daemon-reload") // it writes all again
	for file, want := range map[string]string{
		"memory.max": "67108864\n", "memory.high": "50331648\n", "cpu.max": "30000 100000\n",
	} {
		got, err := os.ReadFile(filepath.Join(dir, file))
		k.check(err)
		k.equal(file, string(got), want)
	}
	b.stop(0)
	b.remove()
	k.until("the unit is gone", func() bool { return show("LoadState") == "LoadState=not-found\n" })
}

// startNode starts containerd with the plugin that kubelet speaks to.
func startNode(t *testing.T, systemd bool) *node {
	t.Helper()
	dir, err := os.MkdirTemp(os.Getenv(work), "k")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(dir+"/net.d", 0o755); err != nil {
		t.Fatal(err)
	}
	bridge := fmt.Sprintf(bridgeConf, "cni0", dir, "10.244.0.0/24")
	writeFile(t, dir+"/net.d/10-pods.conflist", fmt.Sprintf(
		`{"cniVersion": "0.4.0", "name": "cni0", "plugins": [%s]}`, bridge))
	all, err := allRights() // a sandbox is to be spared by the OOM killer, which takes CAP_SYS_RESOURCE
	if err != nil {
		t.Fatal(err)
	}
	n := &node{t: t, dir: dir}
	n.configuration = fmt.Sprintf(containerdConf, dir, "") +
		fmt.Sprintf(kubernetesConf, dir, !all, runtimeUnderTest(t), systemd)
	n.stop = runContainerd(t, dir, n.configuration)
	t.Cleanup(func() {
		if link, err := netlink.LinkByName("cni0"); err == nil { // CNI leaves it where it is
			err = netlink.LinkDel(link)
			if err != nil {
				t.Error(err)
			}
		}
	})
	return n
}

// loadImages loads the lab, and the same as an image for sandboxes.
func (k *kubelet) loadImages(n *node) {
	k.Helper()
	lab := os.Getenv(work) + "/lab.tar"
	pause, err := tarball.ImageFromPath(lab, nil)
	k.check(err)
	file, err := pause.ConfigFile()
	k.check(err)
	file = file.DeepCopy()
	file.Config.Cmd = []string{"sleep", "100000"}
	pause, err = mutate.ConfigFile(pause, file)
	k.check(err)
	tag, err := name.NewTag(pauseImage)
	k.check(err)
	k.check(tarball.WriteToFile(n.dir+"/pause.tar", tag, pause))
	for _, tar := range []string{lab, n.dir + "/pause.tar"} {
		run(k.T, "ctr", "--address", n.dir+"/socket", "--namespace", "k8s.io", "image", "import", tar)
	}
	for _, image := range []string{image, pauseImage} { // the plugin hears of them from containerd
		k.until(image+" there", func() bool {
			answer, err := k.images.ImageStatus(k.soon(), &cri.ImageStatusRequest{Image: &cri.ImageSpec{Image: image}})
			return err == nil && answer.Image != nil
		})
	}
}
