//go:build linux

// Package probe checks from inside what the micro-VM promises its tests. It
// is in testdata because it is for that machine only: vm_test.go sends it
// there, go test ./... does not see it.
package probe

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	if os.Getenv("MICROVM") != "1" {
		os.Stderr.WriteString("probe: for the micro-VM only: go run ./vagrant/microvm -append security=selinux -rootfs=false ./vagrant/microvm/testdata/probe\n")
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func TestIsRoot(t *testing.T) {
	if uid := os.Getuid(); uid != 0 {
		t.Errorf("uid = %d, want 0", uid)
	}
}

// The host's test has asked for this module, in place of AppArmor: so the parameters arrive, and both files are there.
func TestSecurityModule(t *testing.T) {
	if modules := strings.Split(read(t, "/sys/kernel/security/lsm"), ","); !slices.Contains(modules, "selinux") {
		t.Errorf("security modules: %q, want selinux among them", modules)
	}
	if enforce := read(t, "/sys/fs/selinux/enforce"); enforce != "0" {
		t.Errorf("SELinux enforces a policy: %q, want none", enforce)
	}
}

// The controllers are there, and none is enabled: that is the step's job.
func TestControllers(t *testing.T) {
	const dir = "/sys/fs/cgroup"
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil || fs.Type != unix.CGROUP2_SUPER_MAGIC {
		t.Fatalf("statfs %s: type %#x, %v, want cgroup2", dir, fs.Type, err)
	}
	have := strings.Fields(read(t, dir+"/cgroup.controllers"))
	for _, want := range []string{"cpu", "io", "memory", "pids"} {
		if !slices.Contains(have, want) {
			t.Errorf("cgroup.controllers = %q, want %s in it", have, want)
		}
	}
	if enabled := read(t, dir+"/cgroup.subtree_control"); enabled != "" {
		t.Errorf("cgroup.subtree_control = %q, want none", enabled)
	}
}

// A shared root is what systemd leaves: leaks must show here as they do there.
func TestRootIsShared(t *testing.T) {
	for line := range strings.Lines(read(t, "/proc/self/mountinfo")) {
		// 21 1 0:2 / / rw shared:1 - rootfs rootfs rw
		if fields := strings.Fields(line); fields[4] == "/" && strings.Contains(line, " shared:") {
			return
		}
	}
	t.Error("/ is not shared")
}

// pivot_root fails on the kernel's own rootfs, so this proves that init has left it.
func TestPivotRoot(t *testing.T) {
	inMountNamespace(t, func() error {
		root := t.TempDir()
		if err := unix.Mount(root, root, "", unix.MS_BIND, ""); err != nil {
			return err
		}
		if err := unix.Chdir(root); err != nil {
			return err
		}
		return unix.PivotRoot(".", ".")
	})
}

func TestOverlay(t *testing.T) {
	inMountNamespace(t, func() error {
		dir := t.TempDir()
		for _, name := range []string{"lower", "upper", "work", "merged"} {
			if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
				return err
			}
		}
		return unix.Mount("overlay", dir+"/merged", "overlay", 0,
			"lowerdir="+dir+"/lower,upperdir="+dir+"/upper,workdir="+dir+"/work")
	})
}

// inMountNamespace calls f on a thread of its own in a private mount namespace.
func inMountNamespace(t *testing.T, f func() error) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends in its namespace
		if err := unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_FS); err != nil {
			done <- err
			return
		}
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			done <- err
			return
		}
		done <- f()
	}()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// The kernel loads the modules for these by itself, through /sbin/modprobe.
func TestCommands(t *testing.T) {
	for _, command := range []string{
		"ip link add sc0 type veth peer name sc0p && ip link del sc0",
		"ip link add br0 type bridge && ip link del br0",
		"iptables -t nat -A POSTROUTING -s 10.213.0.0/30 -m comment --comment x -j MASQUERADE",
		"iptables -t nat -C POSTROUTING -s 10.213.0.0/30 -m comment --comment x -j MASQUERADE",
		"iptables -A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
		"iptables -t nat -A PREROUTING -p tcp -m addrtype --dst-type LOCAL --dport 80 -j DNAT --to 10.213.0.2:80",
		"iptables-legacy -t nat -A POSTROUTING -s 10.213.0.0/30 -m comment --comment x -j MASQUERADE",
		"ping -c 1 -W 20 127.0.0.1",
		"ps && hostname && id && sleep 0 && mount && kill -0 1 && cat /etc/passwd",
		"test $(hostname) = microvm",
		"test $(cat /proc/sys/net/ipv4/ip_forward) = 0",
	} {
		if out, err := exec.Command("sh", "-c", command).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", command, err, out)
		}
	}
}

// Process 1 waits for processes whose parent has ended: none stays a zombie.
func TestOrphansAreReaped(t *testing.T) {
	out, err := exec.Command("sh", "-c", "sleep 0.1 & echo $!").Output()
	if err != nil {
		t.Fatal(err)
	}
	status := "/proc/" + strings.TrimSpace(string(out))
	for start := time.Now(); time.Since(start) < time.Minute; time.Sleep(20 * time.Millisecond) {
		if _, err := os.Stat(status); os.IsNotExist(err) {
			return
		}
	}
	t.Errorf("%s is still there", status)
}

func TestTestdataIsThere(t *testing.T) {
	if got, want := read(t, "testdata/hello"), "hello\n"; got != want {
		t.Errorf("testdata/hello = %q, want %q", got, want)
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
