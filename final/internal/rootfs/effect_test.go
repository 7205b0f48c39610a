//go:build linux

package rootfs

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/moby/sys/mountinfo"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/executor"
	"github.com/simple-container/simple-container/final/internal/kernel"
	"github.com/simple-container/simple-container/final/internal/op"
)

// A container is a process that has made its tree and waits.
type container struct {
	root string // /proc/PID/root: its tree, as the host sees it through the process
	pid  int
}

// A launch is a container to be started as the runtime would.
type launch struct {
	spec    *specs.Spec
	o       Options
	old     bool   // as on a kernel before 5.12
	hostNet bool   // no network namespace
	direct  bool   // the parent prepares no sources
	reexec  bool   // with the executor in Go
	swap    func() // what somebody changes after the parent has looked, before the container side does
}

const namespaces = unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWIPC | unix.CLONE_NEWNET |
	unix.CLONE_NEWUTS | unix.CLONE_NEWCGROUP

// start runs the tree of a spec up to where the container's program would begin. The error is what the parent
// finds, or what the container side reports: "mounts[0]: destination /proc: openat2: not a directory".
func (l launch) start(t *testing.T) (*container, error) {
	t.Helper()
	o, door := l.o, &kernel.Door{}
	o.NetNamespace, o.Bundle = !l.hostNet, filepath.Dir(o.Root)
	if err := Survey(l.spec, &o); err != nil {
		return nil, err
	}
	o.MountSetattr = o.MountSetattr && !l.old
	prepared := map[int]*os.File{}
	if !l.direct {
		var err error
		if prepared, err = Sources(door, l.spec, o, nil); err != nil {
			return nil, err
		}
	}
	stdin, proceed := pipe(t)
	out, stdout := pipe(t)
	report, stderr := pipe(t)
	files := []*os.File{stdin, stdout, stderr}
	o.Sources = map[int]int{}
	for _, i := range slices.Sorted(maps.Keys(prepared)) {
		o.Sources[i] = len(files)
		files = append(files, prepared[i])
		defer prepared[i].Close()
	}
	list, err := build(l.spec, o)
	if err != nil {
		return nil, err
	}
	waiting := []op.Op{op.Write(op.Int(1), "ready\n"), op.Read(op.Int(0), op.Zeros(1)), op.Exit(0)}
	first, flags := []op.Op{op.CloseRange(len(files), 0)}, uintptr(namespaces)
	if l.hostNet {
		flags &^= unix.CLONE_NEWNET
	}
	if o.UserNamespace {
		first, flags = append(first, newUserNamespace(flags)...), 0
	}
	list.Ops = slices.Concat(first, list.Ops, waiting)
	list.Fail(op.Int(2), 125)
	if l.swap != nil {
		l.swap()
	}

	command := &executor.Command{List: list, Name: "rootfs", Files: files, Cloneflags: flags, Reexec: l.reexec}
	process, err := command.Start()
	if err != nil {
		t.Fatal(err)
	}
	process.Pidfd.Close()
	for _, file := range []*os.File{stdin, stdout, stderr} {
		file.Close()
	}
	pids := []int{process.Pid}
	if o.UserNamespace {
		pids = append(pids, readPid(t, out))
	}
	t.Cleanup(func() {
		proceed.Close() // the end of the file ends it
		for _, pid := range pids {
			if _, err := syscall.Wait4(pid, nil, 0, nil); err != nil {
				t.Error(err)
			}
		}
	})
	pid := pids[len(pids)-1]
	if o.UserNamespace {
		mapIDs(t, pid, l.spec.Linux)
		_, _ = proceed.Write([]byte("\n")) // it waits for it
	}
	if line, _ := bufio.NewReader(out).ReadString('\n'); line == "ready\n" {
		return &container{fmt.Sprintf("/proc/%d/root", pid), pid}, nil
	}
	return nil, failure(t, list, report)
}

// must is start for what has to work.
func (l launch) must(t *testing.T) *container {
	t.Helper()
	c, err := l.start(t)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// failure reads what the container side reports.
func failure(t *testing.T, list *op.List, report io.Reader) error {
	t.Helper()
	text, err := io.ReadAll(report)
	if err != nil {
		t.Fatal(err)
	}
	index, errno, err := op.ParseReport(text, len(list.Ops))
	if err != nil {
		t.Fatal(err)
	}
	return list.Ops[index].Failed(errno)
}

// newUserNamespace makes a process in a user namespace, which is the caller's child too (CLONE_PARENT), tells
// its pid, waits for the mappings, and takes the root of it. An execve in between would cost it what it may do
// there.
func newUserNamespace(others uintptr) []op.Op {
	zero := []op.Arg{op.Int(0), op.Int(0), op.Int(0)}
	pid := op.NewVar("pid")
	flags := op.Int(unix.CLONE_NEWUSER | others | unix.CLONE_PARENT | uintptr(unix.SIGCHLD))
	return []op.Op{
		{Name: "clone", Nr: unix.SYS_CLONE, Args: []op.Arg{flags}, Result: pid, Zero: "child"},
		{Name: "write", Nr: unix.SYS_WRITE, Args: []op.Arg{op.Int(1), op.Addr(pid), op.Int(4)}},
		op.Exit(0),
		{Label: "child", Name: "read", Nr: unix.SYS_READ, Args: []op.Arg{op.Int(0), op.Ref(op.Zeros(1)), op.Int(1)}},
		{Name: "setresgid", Nr: unix.SYS_SETRESGID, Args: zero},
		{Name: "setresuid", Nr: unix.SYS_SETRESUID, Args: zero},
	}
}

// readPid reads which process newUserNamespace has made.
func readPid(t *testing.T, out io.Reader) int {
	t.Helper()
	var pid [4]byte
	if _, err := io.ReadFull(out, pid[:]); err != nil {
		t.Fatal(err)
	}
	return int(binary.NativeEndian.Uint32(pid[:]))
}

func mapIDs(t *testing.T, pid int, linux *specs.Linux) {
	t.Helper()
	for file, list := range map[string][]specs.LinuxIDMapping{"uid_map": linux.UIDMappings, "gid_map": linux.GIDMappings} {
		text := ""
		for _, m := range list {
			text += fmt.Sprintln(m.ContainerID, m.HostID, m.Size)
		}
		if err := os.WriteFile(fmt.Sprintf("/proc/%d/%s", pid, file), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// build puts the parts in their order.
func build(s *specs.Spec, o Options) (*op.List, error) {
	list := &op.List{}
	root, err := Prepare(list, s, o)
	if err != nil {
		return nil, err
	}
	return list, errors.Join(Sysctl(list, s), Protect(list, s, o, root), Enter(list, s, o, root))
}

func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	return r, w
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root: mounts")
	}
}

// image makes the root file system of a test: what most images have.
func image(t *testing.T) string {
	t.Helper()
	needRoot(t)
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil { // for users of a user namespace
		t.Fatal(err)
	}
	root := filepath.Join(dir, "rootfs")
	for _, name := range []string{"", "proc", "sys", "dev", "etc", "tmp", "run", "data"} {
		if err := os.Mkdir(filepath.Join(root, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(root, "etc/hosts"), "image\n")
	return root
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// mounts are the container's mounts by their mount points, the topmost of each.
func (c *container) mounts(t *testing.T) map[string]*mountinfo.Info {
	t.Helper()
	file, err := os.Open(fmt.Sprintf("/proc/%d/mountinfo", c.pid))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	list, err := mountinfo.GetMountsFromReader(file, nil)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]*mountinfo.Info{}
	for _, m := range list {
		found[m.Mountpoint] = m
	}
	return found
}

// table writes mounts as one line each, without what differs from run to run.
func table(mounts map[string]*mountinfo.Info) string {
	var b strings.Builder
	for _, point := range slices.Sorted(maps.Keys(mounts)) {
		m := mounts[point]
		optional, _, _ := strings.Cut(m.Optional, ":")
		fmt.Fprintf(&b, "%s %s %s %s\n", point, m.FSType, m.Options, optional)
	}
	return b.String()
}

// variants runs a test with both executors, and once more as on an old kernel.
func variants(t *testing.T, test func(t *testing.T, l launch)) {
	old := kernel.MountSetattr() != nil
	t.Run("stub", func(t *testing.T) { test(t, launch{old: old}) })
	t.Run("reexec", func(t *testing.T) { test(t, launch{old: old, reexec: true}) })
	t.Run("before 5.12", func(t *testing.T) { test(t, launch{old: true}) })
}

// TestTree makes what Docker asks for, and looks at all of it.
func TestTree(t *testing.T) {
	variants(t, func(t *testing.T, l launch) {
		l.spec, l.o.Root = docker(), image(t)
		l.spec.Root.Readonly = true
		l.spec.Linux.Sysctl = map[string]string{"net.ipv4.ip_unprivileged_port_start": "80"}
		c := l.must(t)
		got := table(c.mounts(t))
		for _, want := range []string{
			"/ ", "/proc proc rw,nosuid,nodev,noexec,relatime", "/dev tmpfs rw,nosuid",
			"/dev/pts devpts rw,nosuid,noexec,relatime", "/sys sysfs ro,nosuid,nodev,noexec,relatime",
			"/dev/mqueue mqueue rw,nosuid,nodev,noexec,relatime", "/dev/shm tmpfs rw,nosuid,nodev,noexec,relatime",
			"/proc/sys proc ro,nosuid,nodev,noexec,relatime", "/proc/interrupts devtmpfs ", "/proc/keys devtmpfs ",
			"/sys/firmware tmpfs ro,",
		} {
			if !strings.Contains("\n"+got, "\n"+want) {
				t.Errorf("no mount %q in\n%s", want, got)
			}
		}
		for line := range strings.Lines(got) { // a mask follows the mount of the host's /dev, and that is a file
			if strings.Contains(line, "shared") || strings.Contains(line, "master") && !strings.Contains(line, "devtmpfs") {
				t.Errorf("not private: %s", line)
			}
		}
		if m := c.mounts(t)["/"]; !strings.HasPrefix(m.Options, "ro") {
			t.Errorf("root: %s, want ro", m.Options)
		}
		for _, d := range defaultDevices {
			node(t, c.root+"/"+d.path, unix.S_IFCHR|0o666, unix.Mkdev(d.major, d.minor), 0)
		}
		for _, l := range deviceLinks {
			if target, err := os.Readlink(c.root + "/dev/" + l.name); target != l.target {
				t.Errorf("/dev/%s leads to %q, %v; want %q", l.name, target, err, l.target)
			}
		}
		if text := read(t, c.root+"/proc/interrupts"); text != "" {
			t.Errorf("/proc/interrupts is masked, and has %q", text)
		}
		if _, err := os.OpenFile(c.root+"/proc/sys/kernel/domainname", os.O_WRONLY, 0); !errors.Is(err, unix.EROFS) {
			t.Errorf("open a file of /proc/sys to write: %v, want %v", err, unix.EROFS)
		}
		if _, err := os.Create(c.root + "/sys/firmware/x"); !errors.Is(err, unix.EROFS) {
			t.Errorf("make a file in a masked directory: %v, want %v", err, unix.EROFS)
		}
		if got := c.parameter(t, "net/ipv4/ip_unprivileged_port_start"); got != "80" {
			t.Errorf("kernel parameter %q, want 80", got)
		}
		if got := c.descriptors(t); len(got) != 3 {
			t.Errorf("descriptors %q, want the 3 it began with", got)
		}
	})
}

// parameter reads a kernel parameter of the container's network namespace: which one /proc/sys/net shows goes
// by who reads.
func (c *container) parameter(t *testing.T, name string) (value string) {
	t.Helper()
	err := kernel.OnThread(func() error {
		namespace, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", c.pid))
		if err != nil {
			return err
		}
		defer namespace.Close()
		if err := unix.Setns(int(namespace.Fd()), unix.CLONE_NEWNET); err != nil {
			return err
		}
		text, err := os.ReadFile("/proc/sys/" + name)
		value = strings.TrimSpace(string(text))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func (c *container) descriptors(t *testing.T) (list []string) {
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", c.pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		target, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", c.pid, entry.Name()))
		list = append(list, entry.Name()+" "+target)
	}
	return list
}

// node checks a device node.
func node(t *testing.T, path string, mode uint32, device uint64, gid uint32) {
	t.Helper()
	var stat unix.Stat_t
	if err := unix.Lstat(path, &stat); err != nil {
		t.Errorf("%s: %v", path, err)
		return
	}
	if stat.Mode != mode || stat.Rdev != device || stat.Gid != gid {
		t.Errorf("%s: mode %#o, device %#x, group %d; want %#o, %#x, %d",
			path, stat.Mode, stat.Rdev, stat.Gid, mode, device, gid)
	}
}

// TestVariantsAgree: the executors, and the ways of old and new kernels, make the same tree.
func TestVariantsAgree(t *testing.T) {
	tables := map[string]string{}
	variants(t, func(t *testing.T, l launch) {
		l.spec, l.o.Root = docker(), image(t)
		source := t.TempDir()
		write(t, source+"/file", "x")
		l.spec.Mounts = append(l.spec.Mounts,
			mount("/data", "bind", source, "rbind,ro,rprivate"),
			mount("/etc/hosts", "bind", source+"/file", "bind,noexec,rslave"),
			mount("/atime", "bind", source, "bind,noatime,nosuid"), mount("/tmp", "tmpfs", "tmpfs", "ro,nosuid"))
		tables[t.Name()] = table(l.must(t).mounts(t))
	})
	first := ""
	for name, got := range tables {
		if first == "" {
			first = got
		}
		if got != first {
			t.Errorf("%s:\n%swhere others have\n%s", name, got, first)
		}
	}
}
