//go:build linux

package engines

import (
	"fmt"
	"os"
	"testing"
)

// containerdConf leaves out what asks for a kernel module, a network, or a directory of the machine.
const containerdConf = `version = 2
root = "%[1]s/root"
state = "%[1]s/state"
disabled_plugins = [%[2]s"io.containerd.internal.v1.opt",
	"io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
	"io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs"]
[grpc]
address = "%[1]s/socket"
[ttrpc]
address = "%[1]s/socket.ttrpc"
`

// kubernetesPlugin is the one that Kubernetes speaks to, and nobody else.
const kubernetesPlugin = `"io.containerd.grpc.v1.cri", `

// startContainerd returns the address of its socket. The directory's name is short: the shim has its sockets
// in /run, but the address of this one has room for 107 bytes.
func startContainerd(t *testing.T) (address string) {
	t.Helper()
	dir, err := os.MkdirTemp(os.Getenv(work), "c")
	if err != nil {
		t.Fatal(err)
	}
	runContainerd(t, dir, fmt.Sprintf(containerdConf, dir, kubernetesPlugin))
	return dir + "/socket"
}

// runContainerd starts it with a configuration that has all its files in dir.
func runContainerd(t *testing.T, dir, configuration string) (stop func(os.Signal)) {
	t.Helper()
	path, address := writeFile(t, dir+"/config.toml", configuration), dir+"/socket"
	return start(t, []string{"ctr", "--address", address, "version"},
		"containerd", "--config", path, "--address", address, "--log-level", "warn")
}

func TestContainerd(t *testing.T) {
	need(t, "containerd", "ctr")
	watch, runtime := watch(t), runtimeUnderTest(t)
	t.Run("scripts", func(t *testing.T) {
		address := startContainerd(t)
		path := wrapper(t, "ctr", fmt.Sprintf(`[ "$1" != run ] || { shift; set -- run --runc-binary %s "$@"; }
exec $program --address %s "$@"`, runtime, address))
		t.Setenv("PATH", path)
		run(t, "ctr", "image", "import", os.Getenv(work)+"/lab.tar")
		t.Run("all", func(t *testing.T) {
			scripts(t, "containerd", "PATH="+path, "RUNTIME="+runtime, "lab="+image)
		})
		if left := run(t, "ctr", "containers", "list", "--quiet"); left != "" {
			t.Errorf("containers left behind:\n%s", left)
		}
	})
	watch.compare(t)
}
