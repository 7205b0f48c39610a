//go:build linux

package engines

import (
	"fmt"
	"os"
	"testing"
)

func TestDocker(t *testing.T) {
	need(t, "dockerd", "docker", "containerd", "ctr")
	watch, runtime := watch(t), runtimeUnderTest(t)
	t.Run("scripts", func(t *testing.T) {
		containerd := startContainerd(t)
		dir, err := os.MkdirTemp(os.Getenv(work), "d")
		if err != nil {
			t.Fatal(err)
		}
		host := "unix://" + dir + "/socket"
		path := wrapper(t, "docker", fmt.Sprintf(`exec $program --host %s "$@"`, host))
		t.Setenv("PATH", path)
		start(t, []string{"docker", "version"}, "dockerd",
			"--config-file", writeFile(t, dir+"/daemon.json", "{}"), "--host", host, "--containerd", containerd,
			"--data-root", dir+"/data", "--exec-root", dir+"/exec", "--pidfile", dir+"/pid",
			"--bridge", "none", "--iptables=false", "--ip-forward=false", "--ip-masq=false",
			"--exec-opt", "native.cgroupdriver=cgroupfs", "--storage-driver", "overlay2",
			"--add-runtime", "tested="+runtime, "--default-runtime", "tested")
		run(t, "docker", "load", "--input", os.Getenv(work)+"/lab.tar")
		t.Run("all", func(t *testing.T) {
			scripts(t, "docker", "PATH="+path, "RUNTIME="+runtime)
		})
		if left := run(t, "docker", "ps", "--all", "--format", "{{.Names}} {{.Status}}"); left != "" {
			t.Errorf("containers left behind:\n%s", left)
		}
	})
	watch.compare(t)
}
