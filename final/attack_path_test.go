//go:build linux

package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// This file has the attacks with paths: links in the image, and links that somebody exchanges while the
// container is made.

// CVE-2019-19921, CVE-2023-27561, CVE-2023-28642, CVE-2026-41579: where /proc, /sys or /dev is a symbolic link,
// what is mounted and made there lands elsewhere: on the host, or where the image wants to fake it.
func TestSymlinkedProcSysDev(t *testing.T) {
	byUsers(t, func(t *testing.T, v *victim) {
		outside := filepath.Join(v.dir, "outside")
		if err := os.MkdirAll(outside+"/pts", 0o777); err != nil {
			t.Fatal(err)
		}
		v.configure("true")
		for _, name := range []string{"proc", "sys", "dev"} {
			place := v.image(name)
			for _, target := range []string{outside, "/tmp", "../outside"} {
				if err := os.Remove(place); err != nil {
					t.Fatal(err)
				}
				if err := os.Symlink(target, place); err != nil {
					t.Fatal(err)
				}
				v.refused("too many levels of symbolic links")
			}
			if err := os.Remove(place); err != nil {
				t.Fatal(err)
			}
			if err := os.Mkdir(place, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		// Without a mount on it, the image's own /dev is where the devices go.
		v.spec.Mounts = v.spec.Mounts[:1]
		v.configure("true")
		if err := os.Remove(v.image("dev")); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(outside, v.image("dev")); err != nil {
			t.Fatal(err)
		}
		v.refused("too many levels of symbolic links")
		isEmpty(t, outside+"/pts")
		if names, _ := filepath.Glob(outside + "/*"); len(names) != 1 {
			t.Errorf("outside of the image: %v; want nothing new", names)
		}
	})
}

func isEmpty(t *testing.T, dir string) {
	t.Helper()
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("%s: %v, %v; want it empty", dir, entries, err)
	}
}

// CVE-2021-30465, CVE-2024-45310, crun's CVE-2019-18837: somebody who shares a volume with the container that
// is made exchanges a directory in it for a link, between the look and the mount, or the mkdir.
func TestMountTargetSwapped(t *testing.T) {
	byBoth(t, func(t *testing.T, v *victim) {
		outside, volume := filepath.Join(v.dir, "outside"), filepath.Join(v.dir, "volume")
		for _, dir := range []string{outside, volume, volume + "/a"} {
			if err := os.Mkdir(dir, 0o777); err != nil {
				t.Fatal(err)
			}
		}
		// The same attack for a link that is absolute, one that goes up, and one through /proc.
		for i, target := range []string{outside, strings.Repeat("../", 20) + outside[1:], "/proc/1/root" + outside} {
			link := filepath.Join(volume, fmt.Sprint("link", i))
			if err := os.Symlink(target, link); err != nil {
				t.Fatal(err)
			}
			swapper := hostCommand("swap", volume+"/a", link)
			if err := swapper.Start(); err != nil {
				t.Fatal(err)
			}
			v.spec.Mounts = append(v.spec.Mounts[:7:7],
				specs.Mount{Destination: "/volume", Type: "bind", Source: volume, Options: []string{"rbind"}},
				specs.Mount{Destination: "/volume/a/b/c", Type: "tmpfs", Source: "tmpfs"},
				specs.Mount{Destination: "/volume/a/d", Type: "bind", Source: volume, Options: []string{"rbind"}},
			)
			v.configure("sleep", "60")
			made := 0
			for range 15 {
				if _, _, code := v.final("create", "--bundle", v.dir, v.id); code == 0 {
					made++
				}
				v.final("delete", "--force", v.id)
			}
			_ = swapper.Process.Kill()
			_ = swapper.Wait()
			t.Logf("link to %s: %d of 15 containers were made", target, made)
			isEmpty(t, outside)
		}
	})
}

// The kernel gives up on a path with .. in it, EAGAIN, while anybody renames a file anywhere. A container that
// does nothing else would keep others from being made.
func TestRenamesElsewhere(t *testing.T) {
	byBoth(t, func(t *testing.T, v *victim) {
		elsewhere := []string{filepath.Join(v.dir, "a"), filepath.Join(v.dir, "b")}
		for _, dir := range append(elsewhere, v.image("real")) {
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Symlink("../../real", v.image("link")); err != nil {
			t.Fatal(err)
		}
		swapper := hostCommand("swap", elsewhere[0], elsewhere[1])
		if err := swapper.Start(); err != nil {
			t.Fatal(err)
		}
		defer func() {
			_ = swapper.Process.Kill()
			_ = swapper.Wait()
		}()
		v.spec.Linux.ReadonlyPaths = append(v.spec.Linux.ReadonlyPaths, slices.Repeat([]string{"/link"}, 20)...)
		v.spec.Process.Cwd = "/link"
		for range 8 {
			if out := v.run("echo", "made"); out != "made\n" {
				t.Errorf("run: %q", out)
			}
		}
	})
}

// swapForever exchanges two paths.
func swapForever(args []string) error {
	for {
		if err := unix.Renameat2(unix.AT_FDCWD, args[0], unix.AT_FDCWD, args[1], unix.RENAME_EXCHANGE); err != nil {
			return err
		}
	}
}

// A masked path is masked where it leads, and no link hides what is behind it from the mask.
func TestMaskedPathThroughLink(t *testing.T) {
	byBoth(t, func(t *testing.T, v *victim) {
		for _, dir := range []string{"real", "real/directory"} {
			if err := os.Mkdir(v.image(dir), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		for _, file := range []string{"real/file", "real/directory/file"} {
			if err := os.WriteFile(v.image(file), []byte("secret\n"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Symlink("../../real", v.image("link")); err != nil {
			t.Fatal(err)
		}
		v.spec.Linux.MaskedPaths = append(v.spec.Linux.MaskedPaths, "/link/file", "/link/directory")
		out := v.run("sh", "-c", "cat /real/file /link/file; ls /real/directory; echo x > /real/directory/y; cat /proc/kcore; echo end")
		if strings.Contains(out, "secret") || out != "end\n" {
			t.Errorf("what is masked: %q; want nothing", out)
		}
		if err := os.Symlink("/loop", v.image("loop")); err != nil {
			t.Fatal(err)
		}
		v.spec.Linux.MaskedPaths = append(v.spec.Linux.MaskedPaths, "/loop/file")
		v.configure("true")
		v.refused("too many levels of symbolic links")
	})
}

// CVE-2025-31133: an image with a /dev of its own, and a /dev/null in it that is a link: the mask of a path
// would be a bind mount of a file that the container chooses, such as core_pattern, to be written to.
func TestDevNullReplaced(t *testing.T) {
	byBoth(t, func(t *testing.T, v *victim) {
		v.spec.Mounts = v.spec.Mounts[:1] // /proc, and nothing on /dev
		v.spec.Linux.MaskedPaths = append(v.spec.Linux.MaskedPaths, "/etc/hosts")
		v.configure("true")
		if err := os.Symlink("/proc/sys/kernel/core_pattern", v.image("dev/null")); err != nil {
			t.Fatal(err)
		}
		v.refused("another file is there")
		for mode, device := range map[uint32]int{unix.S_IFREG | 0o666: 0, unix.S_IFCHR | 0o666: int(unix.Mkdev(1, 8))} {
			if err := os.Remove(v.image("dev/null")); err != nil {
				t.Fatal(err)
			}
			if err := unix.Mknod(v.image("dev/null"), mode, device); err != nil {
				t.Fatal(err)
			}
			v.refused("another file is there")
		}
	})
}

// CVE-2025-52881: parameters of the kernel are written before anything of the container can stand in their
// place, and only those that a namespace of the container's own has.
func TestSysctlOfTheHost(t *testing.T) {
	byBoth(t, func(t *testing.T, v *victim) {
		v.caller = func(cmd *exec.Cmd) { // the host is a machine of the test's own: the attack may get through
			cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS}
		}
		host := func(kind string) string { return "/proc/self/ns/" + kind }
		without := func(kind specs.LinuxNamespaceType) []specs.LinuxNamespace {
			var list []specs.LinuxNamespace
			for _, n := range v.spec.Linux.Namespaces {
				if n.Type != kind {
					list = append(list, n)
				}
			}
			return list
		}
		all := v.spec.Linux.Namespaces
		hosts := func(kind specs.LinuxNamespaceType, file string) []specs.LinuxNamespace {
			return append(without(kind), specs.LinuxNamespace{Type: kind, Path: host(file)})
		}
		for _, attack := range []struct {
			name       string
			namespaces []specs.LinuxNamespace
		}{
			{"kernel.core_pattern", all}, {"kernel.hostname", all}, {"vm.overcommit_memory", all}, {"fs.file-max", all},
			{"kernel.modprobe", all}, {"user.max_user_namespaces", all}, {"kernel/core_pattern", all}, {"", all}, {".", all},
			{"net/../kernel/core_pattern", all}, {"net/ipv4/../../kernel/core_pattern", all}, {"/net/ipv4/ip_forward", all},
			{"net..", all}, {"net/", all}, {"net", all}, {"../proc/sys/kernel/core_pattern", all}, {"kernel.msgmax.x", all},
			{"kernel.msgmax", without("ipc")}, {"fs.mqueue.msg_max", without("ipc")}, {"net.ipv4.ip_forward", without("network")},
			{"kernel.domainname", without("uts")},
			{"net.ipv4.ip_forward", hosts("network", "net")}, {"kernel.msgmax", hosts("ipc", "ipc")},
		} {
			t.Run(attack.name, func(t *testing.T) {
				w := *v
				w.T = t
				w.spec.Hostname = ""
				w.spec.Linux.Namespaces = attack.namespaces
				w.spec.Linux.Sysctl = map[string]string{attack.name: "0"}
				w.configure("true")
				w.refused("linux.sysctl")
			})
		}
		v.spec.Linux.Sysctl = nil
		v.spec.Hostname, v.spec.Linux.Namespaces = "of-the-container", hosts("uts", "uts")
		v.configure("true")
		v.refused("hostname")
	})
}

// CVE-2022-0492, CVE-2023-25809: who can write to cgroup files sets limits, or with release_agent of v1 has a
// program run on the host.
func TestCgroupFilesAreReadOnly(t *testing.T) {
	byBoth(t, func(t *testing.T, v *victim) {
		const script = `
			cd /sys/fs/cgroup || exit 1
			for d in . */; do
				for f in release_agent cgroup.procs tasks memory.max memory.limit_in_bytes pids.max notify_on_release; do
					[ -e $d/$f ] && (echo 1 > $d/$f) 2>/dev/null && echo $d/$f can be written to
				done
				mkdir $d/new 2>/dev/null && echo $d/new can be made
				[ -e $d/release_agent ] && echo $d has a release_agent
			done
			mount -o remount,rw /sys/fs/cgroup 2>/dev/null && echo remounted
			echo end`
		all := []string{"CAP_DAC_OVERRIDE", "CAP_CHOWN", "CAP_FOWNER", "CAP_SETUID"}
		v.spec.Process.Capabilities.Bounding = all
		v.spec.Process.Capabilities.Permitted, v.spec.Process.Capabilities.Effective = all, all
		if out := v.run("sh", "-c", script); out != "end\n" {
			t.Errorf("with a cgroup namespace: %s", out)
		}
		v.spec.Linux.Namespaces = v.spec.Linux.Namespaces[:5] // the cgroup namespace is the last
		if out := v.run("sh", "-c", script); out != "end\n" {
			t.Errorf("without a cgroup namespace: %s", out)
		}
	})
}

// CVE-2025-52565: the devpts of the image, and its /dev/console, lead elsewhere. (Package console has the swaps
// of single names; here a terminal is asked for from the outside.)
func TestTerminalOfAnotherPlace(t *testing.T) {
	byBoth(t, func(t *testing.T, v *victim) {
		outside := filepath.Join(v.dir, "outside")
		if err := os.MkdirAll(outside, 0o777); err != nil {
			t.Fatal(err)
		}
		v.spec.Process.Terminal = true
		v.spec.Mounts = v.spec.Mounts[:1]
		if err := os.MkdirAll(v.image("dev/pts"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("/proc/1/fd/0", v.image("dev/pts/ptmx")); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(outside+"/console", v.image("dev/console")); err != nil {
			t.Fatal(err)
		}
		v.configure("true")
		socket := filepath.Join(v.dir, "console.sock")
		listener, err := net.Listen("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		_, complaint, code := v.final("create", "--bundle", v.dir, "--console-socket", socket, v.id)
		if code != 1 || !strings.Contains(complaint, "too many levels") {
			t.Errorf("create: exit code %d, %s; want the link refused", code, complaint)
		}
		isEmpty(t, outside)
	})
}

// A chain of links that is too long ends with an error, and soon.
func TestDeepLinks(t *testing.T) {
	byBoth(t, func(t *testing.T, v *victim) {
		for i := range 60 {
			if err := os.Symlink(fmt.Sprintf("/link%d/x/..", i+1), v.image(fmt.Sprintf("link%d", i))); err != nil {
				t.Fatal(err)
			}
		}
		v.spec.Mounts = append(v.spec.Mounts, specs.Mount{Destination: "/link0/mount", Type: "tmpfs", Source: "tmpfs"})
		v.configure("true")
		v.refused("too many levels of symbolic links")
		v.spec.Mounts[7].Destination = "/" + strings.Repeat("d/", 2050) + "x"
		v.configure("true")
		_, complaint, code := v.final("run", "--bundle", v.dir, v.id)
		if code == 0 || !strings.Contains(complaint, "too long") {
			t.Errorf("a path of 4102 bytes: exit code %d, %s; want it refused: name too long", code, complaint)
		}
	})
}

// CVE-2020-15257: a socket of the abstract namespace is reached by every container with the host's network.
func TestAbstractSockets(t *testing.T) {
	byBoth(t, func(t *testing.T, v *victim) {
		v.spec.Linux.Namespaces = append(v.spec.Linux.Namespaces[:1:1], v.spec.Linux.Namespaces[2:]...) // no network namespace
		v.configure("true")
		if _, complaint, code := v.final("create", "--bundle", v.dir, v.id); code != 0 {
			t.Fatal(complaint)
		}
		links, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", v.pid()))
		if err != nil || len(links) == 0 {
			t.Fatalf("descriptors of the container side: %v, %v", links, err)
		}
		sockets, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/unix", v.pid()))
		if err != nil {
			t.Fatal(err)
		}
		for _, link := range links {
			name, _ := os.Readlink(link)
			inode, ok := strings.CutPrefix(name, "socket:[")
			if !ok {
				continue
			}
			for line := range strings.Lines(string(sockets)) { // ...: 00000002 00000000 00010000 0005 01 86541 @name
				fields := strings.Fields(line)
				if len(fields) > 7 && fields[6] == strings.TrimSuffix(inode, "]") && strings.HasPrefix(fields[7], "@") {
					t.Errorf("an abstract socket: %s", line)
				}
			}
		}
	})
}

// Who is on the host, but not root, must not start a container, or read what is in it: also if the caller's
// umask is 0, as containerd's shim has it.
func TestStateIsPrivate(t *testing.T) {
	byBoth(t, func(t *testing.T, v *victim) {
		v.through("umask")
		v.configure("true")
		if _, complaint, code := v.final("create", "--bundle", v.dir, v.id); code != 0 {
			t.Fatal(complaint)
		}
		dir := filepath.Join(v.dir, "state", v.id)
		for _, name := range []string{"start.sock", "config.json", "state.json"} {
			cmd := hostCommand("connect", dir+"/"+name)
			asNobodyElse(cmd)
			out, err := cmd.CombinedOutput()
			if err != nil || !strings.Contains(string(out), "EACCES") {
				t.Errorf("%s, for another user: %s, %v; want EACCES", name, out, err)
			}
		}
		if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v, %v; want 0700", dir, info.Mode(), err)
		}
	})
}

// connectTo opens a file, or connects to a socket.
func connectTo(args []string) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET, 0)
	if err != nil {
		return err
	}
	if strings.HasSuffix(args[0], ".sock") {
		err = unix.Connect(fd, &unix.SockaddrUnix{Name: args[0]})
	} else {
		_, err = unix.Open(args[0], unix.O_RDONLY, 0)
	}
	errno, _ := err.(unix.Errno)
	fmt.Println(unix.ErrnoName(errno), err)
	return nil
}

func asNobodyElse(cmd *exec.Cmd) { cmd.SysProcAttr.Credential = nobody() }
