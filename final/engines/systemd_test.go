//go:build linux

package engines

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/cgroup"
	"github.com/simple-container/simple-container/final/internal/kernel"
)

// TestSystemd has the engines ask for the groups of a systemd: then the runtime asks it for a scope, by D-Bus, and
// it has its own idea of the limits. It runs where cgroup v2 is all there is and the machine is ours.
func TestSystemd(t *testing.T) {
	if !inVM {
		t.Skip("systemd's own groups need a machine with cgroup v2: go run ./vagrant/microvm ./final/engines")
	}
	need(t, "podman", "conmon", "containerd", "ctr")
	watch, runtime := watch(t), runtimeUnderTest(t)
	t.Run("scripts", func(t *testing.T) {
		inside, proc := startSystemd(t)
		dir := t.TempDir()
		configuration := "CONTAINERS_CONF=" + writeFile(t, dir+"/containers.conf", containersConf)
		storage := "CONTAINERS_STORAGE_CONF=" + writeFile(t, dir+"/storage.conf", fmt.Sprintf(storageConf, dir))
		t.Setenv("PATH", wrapper(t, "podman", fmt.Sprintf(
			`exec %s env %s %s TMPDIR=%s $program --runtime %s --cgroup-manager systemd --tmpdir /run/podman-tmp "$@"`,
			inside, configuration, storage, dir, runtime)))
		t.Setenv("PATH", wrapper(t, "containerd", fmt.Sprintf(`exec %s $program "$@"`, inside)))
		address := startContainerd(t)
		t.Setenv("PATH", wrapper(t, "ctr", fmt.Sprintf(`case "$1" in run)
	shift; set -- run --runc-binary %s --runc-systemd-cgroup "$@"
esac
exec %s $program --address %s "$@"`, runtime, inside, address)))
		run(t, "podman", "load", "--input", os.Getenv(work)+"/lab.tar")
		run(t, "ctr", "image", "import", os.Getenv(work)+"/lab.tar")
		t.Run("all", func(t *testing.T) {
			scripts(t, "systemd", "PATH="+os.Getenv("PATH"), "PROC="+proc, "SCOPES="+world+"/machine.slice",
				"inside="+inside, "lab="+image)
		})
	})
	watch.compare(t)
}

// insideSystemd makes what systemd wants to find, in namespaces of its own, and becomes it. It has nothing to start
// but what it is made of.
const insideSystemd = `set -e
umount /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t proc proc /proc
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/system
echo 0123456789abcdef0123456789abcdef >/etc/machine-id
printf '[Unit]\nDefaultDependencies=no\n' >/run/systemd/system/nothing.target
exec env -i container=other PATH="$PATH" /lib/systemd/systemd --unit=nothing.target --log-target=null --show-status=no`

// world is the group that is systemd's root.
const world = "/sys/fs/cgroup/systemd"

// startSystemd starts one below a group of this world's root, and returns the words before a command that is to
// run inside, and where its /proc is seen from here.
func startSystemd(t *testing.T) (inside, proc string) {
	t.Helper()
	for _, dir := range []string{world, world + "/tests"} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		if err := cgroup.Remove(&kernel.Door{}, world); err != nil {
			t.Error(err)
		}
	})
	group, err := os.Open(world)
	if err != nil {
		t.Fatal(err)
	}
	defer group.Close()
	// The namespace of cgroups begins where the process is that makes it: unshare(1) is in the group already.
	command := exec.Command("unshare", "--cgroup", "--mount", "--propagation", "private", "sh", "-c", insideSystemd)
	command.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWPID, UseCgroupFD: true, CgroupFD: int(group.Fd()), Setsid: true,
	}
	command.Stderr = os.Stderr
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill() // all that is inside ends with it
		_ = command.Wait()
	})
	place := fmt.Sprintf("/proc/%d/root", command.Process.Pid)
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(place + "/run/systemd/private"); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("systemd does not listen")
		}
	}
	// v2 lets systemd move no process that comes from outside its namespace: each is born in a group within.
	script := fmt.Sprintf("#!/bin/sh\necho $$ >%s/tests/cgroup.procs\nexec %s --target %d --all \"$@\"\n",
		world, lookUp(t, "nsenter"), command.Process.Pid)
	inside = filepath.Join(t.TempDir(), "inside")
	if err := os.WriteFile(inside, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return inside, place + "/proc"
}

// lookUp finds a program for a script: busybox's shell has one of the name of some, which knows less.
func lookUp(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatal(err)
	}
	return path
}
