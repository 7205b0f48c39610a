//go:build linux

package engines

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/kernel"
)

// plugins is where Debian has CNI's (containernetworking-plugins); ctr looks for them below /opt.
const plugins = "/usr/lib/cni"

// bridgeConf is a network as Kubernetes' nodes have it. Without ipMasq no program for rules is needed.
const bridgeConf = `{"cniVersion": "0.4.0", "name": "%[1]s", "type": "bridge", "bridge": "%[1]s", "isGateway": true,
	"ipam": {"type": "host-local", "dataDir": "%[2]s/leases", "subnet": "%[3]s", "routes": [{"dst": "0.0.0.0/0"}]}}`

// TestCNI: containers in network namespaces that CNI's plugins furnish: one that is made before the container, by
// path, as Kubernetes has it for all containers of a pod; and a container's own, furnished between create and start.
func TestCNI(t *testing.T) {
	need(t, "containerd", "ctr")
	needPlugins(t)
	watch, runtime := watch(t), runtimeUnderTest(t)
	t.Run("containers", func(t *testing.T) {
		address := startContainerd(t)
		ctr := func(args ...string) string {
			t.Helper()
			return run(t, "ctr", append([]string{"--address", address}, args...)...)
		}
		ctr("image", "import", os.Getenv(work)+"/lab.tar")
		t.Run("by path", func(t *testing.T) { testPod(t, runtime, ctr) })
		t.Run("its own", func(t *testing.T) { testOwn(t, runtime, ctr) })
	})
	watch.compare(t)
}

// needPlugins is need for CNI's.
func needPlugins(t *testing.T) {
	t.Helper()
	if _, err := os.Stat(plugins + "/bridge"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("%v: CI=true promises it: vagrant/provision.sh has to install containernetworking-plugins", err)
		}
		t.Skipf("%v: install containernetworking-plugins", err)
	}
}

// testPod has two containers in one namespace.
func testPod(t *testing.T, runtime string, ctr func(args ...string) string) {
	dir := t.TempDir()
	pod := filepath.Join(dir, "netns")
	writeFile(t, pod, "")
	err := kernel.OnThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return err
		}
		return unix.Mount("/proc/thread-self/ns/net", pod, "", unix.MS_BIND, "")
	})
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(pod, unix.MNT_DETACH) //nolint:errcheck // the watcher tells
	conf := fmt.Sprintf(bridgeConf, "cni-pod", dir, "10.77.0.0/24")
	var result struct{ IPs []struct{ Address string } }
	if err := json.Unmarshal(plugin(t, "ADD", pod, conf), &result); err != nil || len(result.IPs) != 1 {
		t.Fatalf("%+v, %v", result, err)
	}
	defer deleteLink(t, "cni-pod")
	network := "network:" + pod
	out := ctr("run", "--rm", "--runc-binary", runtime, "--with-ns", network, image, "cni-one", "ip", "addr")
	if !strings.Contains(out, result.IPs[0].Address) || strings.Contains(out, "cni-pod") {
		t.Errorf("want only eth0 with %s in:\n%s", result.IPs[0].Address, out)
	}
	// The second is pinged from outside while it runs, and reaches the node itself.
	ctr("run", "--detach", "--runc-binary", runtime, "--with-ns", network, image, "cni-two", "sleep", "1000")
	out = ctr("task", "exec", "--exec-id", "ping", "cni-two", "ping", "-c", "1", "-W", "5", "10.77.0.1")
	if !strings.Contains(out, " 0% packet loss") {
		t.Errorf("the node is out of reach:\n%s", out)
	}
	ctr("task", "kill", "--signal", "KILL", "cni-two")
	ctr("task", "delete", "--force", "cni-two")
	ctr("containers", "delete", "cni-two")
	plugin(t, "DEL", pod, conf)
	if out := ctr("run", "--rm", "--runc-binary", runtime, "--with-ns", network, image, "cni-three", "ip", "addr"); strings.Contains(out, "eth0") {
		t.Errorf("eth0 is there after DEL:\n%s", out)
	}
}

// testOwn has ctr call the plugins for the namespace that the runtime made.
func testOwn(t *testing.T, runtime string, ctr func(args ...string) string) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", "/opt", "tmpfs", 0, "mode=755"); err != nil { // the root of this world is read-only
		t.Fatal(err)
	}
	defer unix.Unmount("/opt", unix.MNT_DETACH) //nolint:errcheck // the watcher tells
	err := errors.Join(os.Mkdir("/opt/cni", 0o755), os.Symlink(plugins, "/opt/cni/bin"), os.MkdirAll("/etc/cni/net.d", 0o755))
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, "/etc/cni/net.d/10-own.conf", fmt.Sprintf(bridgeConf, "cni-own", dir, "10.78.0.0/24"))
	defer deleteLink(t, "cni-own")
	out := ctr("run", "--rm", "--cni", "--runc-binary", runtime, image, "cni-own", "sh", "-c", "ip addr; ping -c 1 -W 5 10.78.0.1")
	if !strings.Contains(out, "10.78.0.2/24") || !strings.Contains(out, " 0% packet loss") {
		t.Errorf("want 10.78.0.2 and an answer in:\n%s", out)
	}
	if links, err := netlink.LinkList(); err != nil || len(links) > 2 {
		t.Errorf("links left: %v, %v", links, err)
	}
}

// plugin calls CNI's bridge (SPEC, "CNI operations").
func plugin(t *testing.T, command, namespace, conf string) []byte {
	t.Helper()
	cmd := exec.Command(plugins + "/bridge")
	cmd.Env = append(os.Environ(), "CNI_COMMAND="+command, "CNI_CONTAINERID=pod", "CNI_NETNS="+namespace, "CNI_IFNAME=eth0", "CNI_PATH="+plugins)
	cmd.Stdin = strings.NewReader(conf)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("bridge %s: %v\n%s", command, err, out)
	}
	return out
}

// deleteLink deletes the bridge, which CNI leaves where it is.
func deleteLink(t *testing.T, name string) {
	link, err := netlink.LinkByName(name)
	if err == nil {
		err = netlink.LinkDel(link)
	}
	if err != nil {
		t.Error(err)
	}
}
