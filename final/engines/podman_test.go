//go:build linux

package engines

import (
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

const containersConf = `[containers]
netns = "none"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
`

const storageConf = `[storage]
driver = "overlay"
graphroot = "%s/graph"
runroot = "/run/podman" # podman wants it to have at most 50 characters
`

func TestPodman(t *testing.T) {
	need(t, "podman", "conmon", "catatonit")
	watch := watch(t)
	dir, runtime := t.TempDir(), runtimeUnderTest(t)
	t.Setenv("CONTAINERS_CONF", writeFile(t, dir+"/containers.conf", containersConf))
	t.Setenv("CONTAINERS_STORAGE_CONF", writeFile(t, dir+"/storage.conf", fmt.Sprintf(storageConf, dir)))
	path := wrapper(t, "podman", fmt.Sprintf(`exec $program --runtime %s --tmpdir /run/podman-tmp "$@"`, runtime))
	t.Setenv("PATH", path)
	t.Setenv("TMPDIR", dir)
	run(t, "podman", "load", "--input", os.Getenv(work)+"/lab.tar")

	t.Run("scripts", func(t *testing.T) {
		scripts(t, "podman", "PATH="+path, "RUNTIME="+runtime, "TMPDIR="+dir,
			"CONTAINERS_CONF="+os.Getenv("CONTAINERS_CONF"), "CONTAINERS_STORAGE_CONF="+os.Getenv("CONTAINERS_STORAGE_CONF"))
	})
	if left := run(t, "podman", "ps", "--all", "--format", "{{.Names}} {{.Status}}"); left != "" {
		t.Errorf("containers left behind:\n%s", left)
	}
	// The storage driver mounts its directory on itself, and leaves that for the next container now and then.
	_ = unix.Unmount(dir+"/graph/overlay", unix.MNT_DETACH) // EINVAL: not this time
	watch.compare(t)
}
