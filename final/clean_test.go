//go:build linux && !engine

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/simple-container/simple-container/final/internal/cgroup"
	"github.com/simple-container/simple-container/final/internal/kernel"
	"github.com/simple-container/simple-container/final/internal/network"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// The test binary stands in for other programs, as the variable says: final itself, or a process for a
// cgroup or a container.
const actAs = "TEST_ACT_AS"

func init() {
	switch role, dir, _ := strings.Cut(os.Getenv(actAs), " "); role {
	case "final":
		main()
		os.Exit(0)
	case "sleeper":
		time.Sleep(time.Minute)
		os.Exit(0)
	case "container", "runtime":
		be := map[string]func(string) error{"container": beContainer, "runtime": beRuntime}
		if err := be[role](dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Println("ready")
		time.Sleep(time.Minute)
		os.Exit(0)
	}
}

// beContainer does what the container side of step 02 does, as far as it shows on the host.
func beContainer(dir string) error {
	for _, m := range []struct {
		target, fstype string
		flags          uintptr
		data           string
	}{
		{"/", "", unix.MS_REC | unix.MS_PRIVATE, ""},
		{dir, "tmpfs", 0, ""},
	} {
		if err := unix.Mount(m.fstype, m.target, m.fstype, m.flags, m.data); err != nil {
			return fmt.Errorf("mount %s: %w", m.target, err)
		}
	}
	for _, name := range []string{"upper", "work", "root"} {
		if err := os.Mkdir(dir+"/"+name, 0o755); err != nil {
			return err
		}
	}
	layers := fmt.Sprintf("lowerdir=/etc,upperdir=%s/upper,workdir=%s/work", dir, dir)
	if err := unix.Mount("overlay", dir+"/root", "overlay", 0, layers); err != nil {
		return fmt.Errorf("mount overlay: %w", err)
	}
	return unix.Chroot(dir + "/root")
}

// beRuntime owns a container's directory, on a /run that nobody else sees.
func beRuntime(dir string) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", "/run", "tmpfs", 0, ""); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	before := time.Now().Add(-time.Minute)
	if err := os.Chtimes(dir, before, before); err != nil {
		return err
	}
	fd, err := unix.Open(dir, unix.O_DIRECTORY|unix.O_CLOEXEC, 0) // open as long as the process lives
	if err != nil {
		return err
	}
	return unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB)
}

// final runs the program with arguments and returns what it printed and its exit code.
func final(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", args...)
	cmd.Env = append(os.Environ(), actAs+"=final")
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return out.String(), complaint.String(), cmd.ProcessState.ExitCode()
}

// A world is a machine of a test's own: namespaces for mounts, processes, network and cgroups, an empty /run,
// and cgroup trees that end at groups made for the test. Programs started in it have no other.
const worldStage = "TEST_WORLD"

// inWorld runs the rest of the test in a world. It takes two more copies of the test binary: the first has
// most namespaces and enters the groups, the second has a cgroup namespace made there.
func inWorld(t *testing.T) (inside bool) {
	t.Helper()
	var again *exec.Cmd
	switch stage, groups, _ := strings.Cut(os.Getenv(worldStage), " "); stage {
	case "":
		if os.Geteuid() != 0 {
			t.Skipf("namespaces need root: %v", unix.EPERM)
		}
		again = nextStage(t, "enter "+strings.Join(makeGroups(t), ":"), unix.CLONE_NEWNS|unix.CLONE_NEWNET|unix.CLONE_NEWPID)
	case "enter":
		for group := range strings.SplitSeq(groups, ":") {
			write(t, group+"/cgroup.procs", strconv.Itoa(os.Getpid()))
		}
		again = nextStage(t, "inside", unix.CLONE_NEWCGROUP)
	case "inside":
		arrangeWorld(t)
		return true
	}
	runtime.LockOSThread() // Pdeathsig is about the thread, which nobody else may take and end
	defer runtime.UnlockOSThread()
	out, err := again.CombinedOutput()
	if os.Getenv(worldStage) != "" || testing.Verbose() || err != nil {
		fmt.Printf("%s", out)
	}
	if err != nil {
		t.Fatalf("in the world: %v", err)
	}
	return false
}

func nextStage(t *testing.T, stage string, flags uintptr) *exec.Cmd {
	args := []string{"-test.run=^" + t.Name() + "$", fmt.Sprintf("-test.v=%t", testing.Verbose())}
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", args...)
	cmd.Env = append(os.Environ(), worldStage+"="+stage)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags, Pdeathsig: syscall.SIGKILL}
	return cmd
}

// makeGroups makes a group in each tree of the machine that a container would use, for as long as the test runs.
func makeGroups(t *testing.T) (groups []string) {
	for _, h := range containerTrees(t) {
		group := filepath.Join(h.Dir, fmt.Sprintf("simple-container-test-%d-%s", os.Getpid(), t.Name())) // tests run side by side
		mkdir(t, group)
		groups = append(groups, group)
		if h.Version == 2 && os.Getenv("MICROVM") == "1" { // a machine that is ours
			write(t, h.Dir+"/cgroup.subtree_control", "+memory +cpu +pids")
		}
		t.Cleanup(func() {
			if err := cgroup.Remove(&kernel.Door{}, group); err != nil {
				t.Error(err)
			}
		})
	}
	return groups
}

// containerTrees are those that a container has groups in.
func containerTrees(t *testing.T) (trees cgroup.Layout) {
	t.Helper()
	used := []string{"memory", "cpu", "pids", "cpuacct", "blkio"}
	for _, h := range allTrees(t) {
		if h.Version == 2 || slices.ContainsFunc(h.Controllers, func(name string) bool { return slices.Contains(used, name) }) {
			trees = append(trees, h)
		}
	}
	if trees == nil {
		t.Fatal("no cgroup tree is mounted: a test without would prove nothing")
	}
	return trees
}

func allTrees(t *testing.T) cgroup.Layout {
	t.Helper()
	mounts, err := (&kernel.Door{}).Mounts()
	if err != nil {
		t.Fatal(err)
	}
	layout, err := cgroup.Find(mounts)
	if err != nil {
		t.Fatal(err)
	}
	return layout
}

// arrangeWorld mounts the world. Its / is shared, as systemd has it, between the mount namespaces in the
// world, and tied to nothing outside.
func arrangeWorld(t *testing.T) {
	all, trees := allTrees(t), containerTrees(t)
	mount(t, "", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
	for _, h := range all {
		unmount(t, h.Dir) // it shows the whole machine
	}
	for _, h := range trees {
		if h.Version == 2 {
			mount(t, "cgroup2", h.Dir, "cgroup2", 0, "")
		} else {
			mount(t, "cgroup", h.Dir, "cgroup", 0, strings.Join(h.Controllers, ","))
		}
	}
	mount(t, "proc", "/proc", "proc", 0, "")
	mount(t, "tmpfs", "/run", "tmpfs", 0, "")
	mount(t, "", "/", "", unix.MS_REC|unix.MS_SHARED, "")
	write(t, forwardSysctl, "0")
}

func mount(t *testing.T, source, target, fstype string, flags uintptr, data string) {
	t.Helper()
	if err := unix.Mount(source, target, fstype, flags, data); err != nil {
		t.Fatalf("mount %s on %s: %v", source, target, err)
	}
}

func unmount(t *testing.T, target string) {
	t.Helper()
	if err := unix.Unmount(target, unix.MNT_DETACH); err != nil {
		t.Fatalf("unmount %s: %v", target, err)
	}
}

func mkdir(t *testing.T, path string) {
	t.Helper()
	if err := os.MkdirAll(path, 0o755); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
}

// leaveTraces makes all that a container with this id leaves on the host when its runtime is killed at the
// worst moment: number is that of its link, variants are those that have its rules.
func leaveTraces(t *testing.T, id string, number int, variants ...kernel.Iptables) {
	t.Helper()
	name, dir, link := kernel.Prefix+id, kernel.StateDir+"/"+id, fmt.Sprintf("sc%d", number)

	mkdir(t, dir+"/layers")
	mount(t, "tmpfs", dir+"/layers", "tmpfs", 0, "")
	mkdir(t, dir+"/layers/root")
	mount(t, "tmpfs", dir+"/layers/root", "tmpfs", 0, "")
	age(t, dir)

	member := start(t, "sleeper", 0)
	for _, h := range containerTrees(t) {
		group := filepath.Join(h.Dir, name)
		mkdir(t, group+"/inner/most")
		write(t, group+"/inner/cgroup.procs", strconv.Itoa(member.Process.Pid))
	}

	addVeth(t, link, name)
	for _, v := range variants {
		run(t, v.Name, "-w", "-t", "nat", "-A", "POSTROUTING", "-s", "10.213.0.0/30",
			"-m", "comment", "--comment", name, "-j", "MASQUERADE")
		for _, direction := range []string{"-i", "-o"} {
			run(t, v.Name, "-w", "-I", "FORWARD", "-m", "comment", "--comment", name, direction, link, "-j", "ACCEPT")
		}
	}
}

// age makes a directory look as if it had been there for a while.
func age(t *testing.T, dir string) {
	t.Helper()
	before := time.Now().Add(-time.Minute)
	if err := os.Chtimes(dir, before, before); err != nil {
		t.Fatal(err)
	}
}

func addVeth(t *testing.T, name, alias string) {
	t.Helper()
	if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name}, PeerName: name + "p"}); err != nil {
		t.Fatalf("link add %s: %v", name, err)
	}
	link, err := netlink.LinkByName(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := netlink.LinkSetAlias(link, alias); err != nil {
		t.Fatal(err)
	}
}

// start starts a stand-in that ends with the test at the latest.
func start(t *testing.T, role string, flags uintptr) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), actAs+"="+role)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() }) // the test may have ended it
	if role != "sleeper" {
		if _, err := out.Read(make([]byte, 1)); err != nil {
			t.Fatalf("%s did not start: %v", role, err)
		}
	}
	go func() { _ = cmd.Wait() }() // a signal ends it
	return cmd
}

// lock does what a runtime does: it owns the container's directory.
func lock(t *testing.T, id string) (unlock func()) {
	t.Helper()
	file, err := os.Open(filepath.Join(kernel.StateDir, id))
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	return func() { file.Close() }
}

// traces lists what containers have in the world, as "kind name".
func traces(t *testing.T) (all []string) {
	t.Helper()
	found, err := findRemnants(&kernel.Door{})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range found {
		all = append(all, r.kind+" "+r.name)
	}
	slices.Sort(all)
	return all
}

// noEngine is one that has no containers.
var noEngine = (&session{dataRoot: "/run/none"}).engine()

const (
	deadID = "00000000dead"
	goneID = "0000000090e0" // has no directory any more
	liveID = "000000000a11"
)

func TestCleanRemovesTheDeadAndSparesTheLiving(t *testing.T) {
	if !inWorld(t) {
		return
	}
	mkdir(t, kernel.StateDir)
	write(t, savedForward, "0\n")
	write(t, forwardSysctl, "1")
	run(t, "ip", "link", "add", "sc77", "type", "veth", "peer", "name", "scary") // others', with names like ours
	both := kernel.IptablesVariants()
	leaveTraces(t, liveID, 1, both...)
	unlock := lock(t, liveID)
	living := traces(t)

	leaveTraces(t, deadID, 2, both...)
	leaveTraces(t, goneID, 3, both...)
	for _, m := range []string{"/layers/root", "/layers"} {
		unmount(t, kernel.StateDir+"/"+goneID+m)
	}
	if err := os.RemoveAll(kernel.StateDir + "/" + goneID); err != nil {
		t.Fatal(err)
	}
	before := traces(t)

	out, stderr, code := final(t, "clean", "--dry-run")
	if code != 0 || stderr != "" || !strings.Contains(out, "would remove directory "+kernel.StateDir+"/"+deadID+"\n") {
		t.Errorf("--dry-run: exit code %d, stderr %q, stdout:\n%s", code, stderr, out)
	}
	if diff := cmp.Diff(before, traces(t)); diff != "" {
		t.Fatalf("--dry-run changed something (-before +after):\n%s", diff)
	}

	out, stderr, code = final(t, "clean")
	if code != 0 || stderr != "" {
		t.Errorf("exit code %d, stderr %q", code, stderr)
	}
	if diff := cmp.Diff(living, traces(t)); diff != "" {
		t.Errorf("want what lives and nothing else (-want +got):\n%s", diff)
	}
	for _, line := range before {
		_, live := slices.BinarySearch(living, line)
		if said := strings.Contains(out, "removed "+line+"\n"); said == live {
			t.Errorf("%q: live %v, reported as removed %v", line, live, said)
		}
	}
	if want := "left container " + liveID + " alone: it is running\n"; !strings.Contains(out, want) {
		t.Errorf("want %q in:\n%s", want, out)
	}
	if got := read(t, forwardSysctl); got != "1" {
		t.Errorf("ip_forward: want 1, a container lives; got %s", got)
	}

	unlock() // its runtime dies
	out, stderr, code = final(t, "clean", "--explain")
	if code != 0 || !strings.Contains(out, "restored net.ipv4.ip_forward 0\n") {
		t.Errorf("exit code %d, want ip_forward restored in:\n%s", code, out)
	}
	for _, shell := range []string{"umount -l ", "rmdir ", "ip link delete sc1\n", "echo 0 > " + forwardSysctl} {
		if !strings.Contains(stderr, "  $ "+shell) {
			t.Errorf("--explain: want %q in:\n%s", shell, stderr)
		}
	}
	if diff := cmp.Diff([]string(nil), traces(t)); diff != "" {
		t.Errorf("still there (-want +got):\n%s", diff)
	}
	if got := read(t, forwardSysctl); got != "0" {
		t.Errorf("ip_forward: want 0 as before the first container, got %s", got)
	}
	if _, err := os.Stat(kernel.StateDir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("stat %s: want it gone, got %v", kernel.StateDir, err)
	}
	run(t, "ip", "link", "show", "sc77")

	if out, stderr, code = final(t, "clean"); out != "nothing to clean\n" || stderr != "" || code != 0 {
		t.Errorf("again: exit code %d, stdout %q, stderr %q", code, out, stderr)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

// A container without a cgroup is found by its root; its mounts are in no namespace but its own.
func TestCleanEndsProcessesWithoutCgroup(t *testing.T) {
	if !inWorld(t) {
		return
	}
	dir := kernel.StateDir + "/" + deadID
	mkdir(t, dir)
	inside := start(t, "container "+dir, unix.CLONE_NEWNS)
	age(t, dir)

	out, stderr, code := final(t, "clean")
	want := fmt.Sprintf("removed process %d\nremoved directory %s\n", inside.Process.Pid, dir)
	if out != want || stderr != "" || code != 0 {
		t.Errorf("exit code %d, stderr %q, stdout (-want +got):\n%s", code, stderr, cmp.Diff(want, out))
	}
	if diff := cmp.Diff([]string(nil), traces(t)); diff != "" {
		t.Errorf("still there (-want +got):\n%s", diff)
	}
}

// Two machines' worth of mounts can share one tree of cgroups: without a directory here, a container may still
// have one elsewhere.
func TestCleanSparesWhatLivesInOtherMountNamespaces(t *testing.T) {
	if !inWorld(t) {
		return
	}
	var groups []string
	for _, h := range containerTrees(t) {
		groups = append(groups, filepath.Join(h.Dir, kernel.Prefix+liveID))
		mkdir(t, groups[len(groups)-1])
	}
	owner := start(t, "runtime "+kernel.StateDir+"/"+liveID, unix.CLONE_NEWNS)
	before := traces(t)

	out, stderr, code := final(t, "clean")
	if want := "left container " + liveID + " alone: it is running\n"; out != want || stderr != "" || code != 0 {
		t.Errorf("exit code %d, stderr %q, stdout %q, want %q", code, stderr, out, want)
	}
	if diff := cmp.Diff(before, traces(t)); diff != "" {
		t.Fatalf("(-before +after):\n%s", diff)
	}

	if err := owner.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for { // until the kernel has taken the lock back, which is sure to come
		if _, err := os.Stat(fmt.Sprintf("/proc/%d", owner.Process.Pid)); err != nil {
			break
		}
		time.Sleep(interval)
	}
	if out, stderr, code = final(t, "clean"); code != 0 || strings.Count(out, "removed cgroup") != len(groups) {
		t.Errorf("its runtime is dead: exit code %d, stdout %q, stderr %q", code, out, stderr)
	}
}

// The process that shows another mount namespace may be a short one, as an iptables of a runtime's is.
func TestCleanKeepsHoldOfOtherMountNamespaces(t *testing.T) {
	if !inWorld(t) {
		return
	}
	dir := kernel.StateDir + "/" + liveID
	first := start(t, "runtime "+dir, unix.CLONE_NEWNS)
	second := exec.Command("nsenter", "--target", strconv.Itoa(first.Process.Pid), "--mount", "flock", dir, "sleep", "60")
	if err := second.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = second.Process.Kill() })
	isDead := func(dirs stateDirs) bool {
		dead, unlock, err := dirs.claim(liveID)
		unlock()
		if err != nil {
			t.Error(err)
		}
		return dead
	}
	for here, theirs := "", ""; here == theirs || theirs == ""; time.Sleep(interval) { // until nsenter is there
		here, _ = os.Readlink("/proc/self/ns/mnt")
		theirs, _ = os.Readlink(fmt.Sprintf("/proc/%d/ns/mnt", second.Process.Pid))
	}
	dirs, closeAll, err := findStateDirs()
	defer closeAll()
	if err != nil || isDead(dirs) {
		t.Fatalf("want it alive in %v: %v", dirs, err)
	}
	if err := first.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	begun := fmt.Sprintf("/proc/%d/task/%[1]d/children", second.Process.Pid)
	for text := ""; text == ""; time.Sleep(interval) { // until the second has the lock, and so its sleep
		children, err := os.ReadFile(begun)
		if err != nil {
			t.Fatal(err)
		}
		text = string(children)
	}
	if isDead(dirs) {
		t.Errorf("%v: the lock was not seen when the first of two processes in the mount namespace had ended", dirs)
	}
}

// Two cleans at a time, in two mount namespaces, each remove what the other does not see.
func TestCleanBesideAnother(t *testing.T) {
	if !inWorld(t) {
		return
	}
	dir := kernel.StateDir + "/" + deadID
	mkdir(t, dir)
	age(t, dir)
	other, closeAll, err := findStateDirs()
	defer closeAll()
	if err != nil {
		t.Fatal(err)
	}
	dead, unlock, err := other.claim(deadID)
	defer unlock()
	if !dead || err != nil {
		t.Fatalf("claim: %v, %v", dead, err)
	}
	if out, stderr, code := final(t, "clean"); out != "removed directory "+dir+"\n" || stderr != "" || code != 0 {
		t.Errorf("exit code %d, stderr %q, stdout %q", code, stderr, out)
	}
}

// A container that forgot to make its mounts private has them on the host as well. The lock is below them.
func TestCleanSeesTheLockBelowALeakedMount(t *testing.T) {
	if !inWorld(t) {
		return
	}
	dir := kernel.StateDir + "/" + liveID
	mkdir(t, dir)
	unlock := lock(t, liveID)
	for range 2 {
		mount(t, "tmpfs", dir, "tmpfs", 0, "")
	}
	mkdir(t, dir+"/upper")
	age(t, dir)
	before := traces(t)
	out, stderr, code := final(t, "clean")
	if want := "left container " + liveID + " alone: it is running\n"; out != want || stderr != "" || code != 0 {
		t.Errorf("exit code %d, stderr %q, stdout %q, want %q", code, stderr, out, want)
	}
	if diff := cmp.Diff(before, traces(t)); diff != "" {
		t.Errorf("(-before +after):\n%s", diff)
	}

	unlock()
	out, stderr, code = final(t, "clean")
	want := strings.Repeat("removed mount "+dir+"\n", 2) + "removed directory " + dir + "\n"
	if out != want || stderr != "" || code != 0 {
		t.Errorf("exit code %d, stderr %q, stdout %q, want %q", code, stderr, out, want)
	}
}

// A runtime makes the directory, then locks it: in between it must not be taken for dead.
func TestCleanSparesTheNewborn(t *testing.T) {
	if !inWorld(t) {
		return
	}
	dir := kernel.StateDir + "/" + liveID
	out, stderr, code := "", "", 0
	for inTime := false; !inTime; { // on a machine that halts for seconds we are no such runtime
		mkdir(t, dir)
		made, locked := time.Now(), make(chan bool, 1)
		time.AfterFunc(newborn/4, func() {
			file, err := os.Open(dir) // stays open
			locked <- err == nil && unix.Flock(int(file.Fd()), unix.LOCK_EX) == nil && time.Since(made) < newborn
		})
		out, stderr, code = final(t, "clean")
		inTime = <-locked
	}
	want := "left container " + liveID + " alone: it is running\n"
	if out != want || stderr != "" || code != 0 {
		t.Errorf("exit code %d, stdout %q, stderr %q; want %q", code, out, stderr, want)
	}
}

// Just after `kill -9` a runtime is not quite dead: it holds its lock until the kernel has taken it apart.
func TestCleanWaitsForTheDying(t *testing.T) {
	if !inWorld(t) {
		return
	}
	dir := kernel.StateDir + "/" + deadID
	out, stderr, code := "", "", 0
	for inTime := false; !inTime; { // on a machine that halts for seconds we are not dead soon
		mkdir(t, dir)
		unlock := lock(t, deadID)
		age(t, dir)
		began, unlocked := time.Now(), make(chan bool, 1)
		time.AfterFunc(dying/4, func() {
			unlock()
			unlocked <- time.Since(began) < dying
		})
		out, stderr, code = final(t, "clean", "-v")
		inTime = <-unlocked
	}
	if want := "removed directory " + dir + "\n"; out != want || code != 0 || !strings.Contains(stderr, "$ rmdir "+dir) {
		t.Errorf("exit code %d, stdout %q, stderr %q; want %q", code, out, stderr, want)
	}
}

func TestArgumentsOfVerbs(t *testing.T) {
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"clean", "x"}, `clean: "x": it takes no arguments`},
		{[]string{"doctor", "x"}, `doctor: "x": it takes no arguments`},
		{[]string{"rootfs"}, "want: final rootfs DIR [IMAGE]"},
	} {
		if _, stderr, code := final(t, tt.args...); code == 0 || !strings.Contains(stderr, tt.want) {
			t.Errorf("%q: exit code %d, stderr %q; want %q", tt.args, code, stderr, tt.want)
		}
	}
}

// A pair of links without an alias was left by a runtime that died between two requests, unless one holds
// the lock just now.
func TestCleanRemovesHalfMadeLinks(t *testing.T) {
	if !inWorld(t) {
		return
	}
	addVeth(t, "sc4", "")
	addVeth(t, "sc5", "mine")
	addVeth(t, "office", "")
	out, stderr, code := final(t, "clean")
	if want := "removed link sc4\n"; out != want || stderr != "" || code != 0 {
		t.Errorf("exit code %d, stdout %q, stderr %q; want %q", code, out, stderr, want)
	}
	run(t, "ip", "link", "show", "sc5")
	run(t, "ip", "link", "show", "office")
}

// Whichever call fails, clean says so, removes the rest, and the next clean finishes the work.
func TestCleanWithEveryCallFailing(t *testing.T) {
	if !inWorld(t) {
		return
	}
	cause := errors.New("trapped")
	variants := kernel.IptablesVariants()
	stride := 1
	if os.Getenv("MICROVM") == "1" {
		stride = 5 // emulation is slow, and the calls are the same
	}
	for n := 1; ; n += stride {
		leaveTraces(t, deadID, 1, variants[:min(1, len(variants))]...)
		write(t, savedForward, "0\n")
		write(t, forwardSysctl, "1")
		var failed kernel.Call
		door := &kernel.Door{Trap: func(i int, call kernel.Call) error {
			if i == n {
				failed = call
				return cause
			}
			return nil
		}}
		var out strings.Builder
		err := (&cleaner{door: door, out: &out, root: kernel.OCIStateDir, engine: noEngine}).clean()
		if door.Calls() < n {
			if err != nil {
				t.Errorf("no call failed, but: %v", err)
			}
			if n < 15 {
				t.Errorf("%d calls, want more for all that was there", n)
			}
			return
		}
		if !errors.Is(err, cause) || !strings.Contains(err.Error(), failed.String()) {
			t.Errorf("call %d, %s, failed: want an error that names it, got %v", n, failed, err)
		}
		var rest strings.Builder
		if err := (&cleaner{door: &kernel.Door{}, out: &rest, root: kernel.OCIStateDir, engine: noEngine}).clean(); err != nil {
			t.Errorf("after call %d, %s, failed: %v", n, failed, err)
		}
		if diff := cmp.Diff([]string(nil), traces(t)); diff != "" {
			t.Fatalf("after call %d, %s, failed and clean ran again (-want +got):\n%s\nfirst clean:\n%s\nsecond:\n%s",
				n, failed, diff, &out, &rest)
		}
		if got := read(t, forwardSysctl); got != "0" {
			t.Errorf("after call %d, %s, failed: ip_forward %s, want 0", n, failed, got)
		}
	}
}

func TestCleanNeedsPlace(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("the test gives up root itself")
	}
	want := "final: clean: user 65534 has no place for states in XDG_RUNTIME_DIR: it is not set: " +
		"sudo final clean ..., or final --root DIR clean ...\n"
	if got := asNobody(t, "clean"); got != want {
		t.Errorf("printed %q, want %q", got, want)
	}
}

// asNobody runs the program as an unprivileged user, sees it fail, and returns what it printed.
func asNobody(t *testing.T, args ...string) string {
	t.Helper()
	out, code := nobodysProgram(t)(args...)
	if code != 1 {
		t.Errorf("exit code %d, want 1: %s", code, out)
	}
	return out
}

// nobodysProgram is the program as an unprivileged user runs it. It is a copy: /proc/self/exe may be where only root
// can go.
func nobodysProgram(t *testing.T) (run func(args ...string) (out string, code int)) {
	t.Helper()
	program := filepath.Join(t.TempDir(), "final")
	copyProgram(t, program)
	return func(args ...string) (string, int) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), program, args...)
		cmd.Env = []string{actAs + "=final", "PATH=" + os.Getenv("PATH")}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: nobody()}
		out, err := cmd.CombinedOutput()
		if cmd.ProcessState == nil {
			t.Fatal(err)
		}
		return string(out), cmd.ProcessState.ExitCode()
	}
}

// copyProgram copies the test binary to where everybody may run it.
func copyProgram(t *testing.T, to string) {
	t.Helper()
	program, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	writeProgram(t, to, program)
	for dir := filepath.Dir(to); dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

// Rules are removed in the tables of both variants, and nobody else's.
func TestCleanSparesOtherRules(t *testing.T) {
	if !inWorld(t) {
		return
	}
	variants := kernel.IptablesVariants()
	if len(variants) == 0 {
		t.Skip("no iptables in PATH")
	}
	for _, v := range variants {
		for _, comment := range []string{"", "simple-container-mine", "about simple-container-" + deadID, "simple-container-" + deadID} {
			run(t, v.Name, "-w", "-A", "FORWARD", "-m", "comment", "--comment", comment, "-j", "ACCEPT")
		}
	}
	if out, stderr, code := final(t, "clean"); code != 0 || stderr != "" {
		t.Errorf("exit code %d, stdout %q, stderr %q", code, out, stderr)
	}
	for _, v := range variants {
		text, err := (&kernel.Door{}).IptablesSave(v)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Count(text, "-A FORWARD"); got != 3 {
			t.Errorf("%s: want the 3 other rules left, got:\n%s", v.Name, text)
		}
	}
	if rules, err := network.Rules(&kernel.Door{}); len(rules) != 0 || err != nil {
		t.Errorf("left: %v, %v", rules, err)
	}
}
