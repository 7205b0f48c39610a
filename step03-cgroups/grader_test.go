//go:build linux

package main

// The grader: it runs the program as a learner would and looks at the kernel from both sides of the
// container. CONTAINER=/path/to/another/program go test grades that one instead of this folder's.
//
// Every test has a world: a mount namespace and a network namespace made for it, so that nothing it does
// reaches the machine it runs on.

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
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

	"golang.org/x/sys/unix"
)

var (
	graded  string // the program
	final   string // the last step, for the image and for cleaning up
	image   string // a root file system: the lab
	patient = 20 * time.Second
)

// helpers are other programs that the test binary can be, started with GRADER_HELPER=name.
var helpers = map[string]func() int{}

func TestMain(m *testing.M) {
	if help, ok := helpers[os.Getenv("GRADER_HELPER")]; ok {
		os.Exit(help())
	}
	os.Exit(grade(m))
}

func grade(m *testing.M) int {
	if os.Geteuid() != 0 {
		fmt.Println("the grader makes containers, so it must be root: sudo env PATH=$PATH go test ./" + program)
		return 1
	}
	if os.Getenv("MICROVM") != "" {
		patient = time.Minute // an emulated processor
	}
	dir, err := os.MkdirTemp("", "grader-")
	if err == nil {
		defer os.RemoveAll(dir)
		err = errors.Join(os.Chmod(dir, 0o755), prepare(dir)) // open: one test is not root
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	_ = flag.Set("test.parallel", "4") // containers wait more than they work
	before := emptyCgroups()           // of an earlier crash, which this program is not to blame for
	code := m.Run()
	for _, group := range abandonedCgroups(before) {
		fmt.Printf("left behind: %s: remove it with: go run ./final clean\n", group)
		code = 1
	}
	return code
}

// prepare finds or builds the programs and the image.
func prepare(dir string) error {
	graded, final, image = os.Getenv("CONTAINER"), os.Getenv("FINAL"), os.Getenv("ROOTFS")
	if graded == "" {
		graded = filepath.Join(dir, program)
		if err := command("go", "build", "-o", graded, "."); err != nil {
			return err
		}
	}
	if _, err := exec.LookPath(graded); err != nil {
		return fmt.Errorf("CONTAINER, wanted as a full path: %w", err)
	}
	if final == "" {
		final = filepath.Join(dir, "final")
		if err := command("go", "build", "-o", final, "../final"); err != nil {
			return err
		}
	}
	if image == "" {
		image = filepath.Join(dir, "rootfs")
		return command(final, "rootfs", image)
	}
	return nil
}

func command(name string, args ...string) error {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out)
	}
	return nil
}

// clean removes what only a killed program may leave.
func (w *world) clean() {
	w.Helper()
	w.must(command(final, "clean"))
}

// emptyCgroups returns groups of ours that no process is in.
func emptyCgroups() (groups []string) {
	name := "simple-container-" + strings.Repeat("[0-9a-f]", 12) // other tests give their groups other names
	for _, pattern := range []string{"/sys/fs/cgroup/" + name, "/sys/fs/cgroup/*/" + name} {
		found, _ := filepath.Glob(pattern)
		for _, group := range found {
			if procs, err := os.ReadFile(group + "/cgroup.procs"); err == nil && len(procs) == 0 {
				groups = append(groups, group)
			}
		}
	}
	return groups
}

// abandonedCgroups returns groups that are empty and stay so, and were not there before. Others may be testing at
// the same time: theirs get processes, or go.
func abandonedCgroups(before []string) (left []string) {
	left = slices.DeleteFunc(emptyCgroups(), func(group string) bool { return slices.Contains(before, group) })
	eventually(func() bool {
		still := emptyCgroups()
		left = slices.DeleteFunc(left, func(group string) bool { return !slices.Contains(still, group) })
		return len(left) == 0
	})
	return left
}

// world is a test's own machine, as far as mounts and the network go.
type world struct {
	*testing.T
	dir    string   // the working directory: it has the image as ./rootfs
	before []string // what was mounted and connected at the beginning
}

// newWorld moves the test to a thread with namespaces of its own. The thread is never unlocked, so it ends
// with the test. Everything started from the test inherits them; subtests would not.
func newWorld(t *testing.T) *world {
	t.Helper()
	t.Parallel()
	dir := t.TempDir()
	runtime.LockOSThread()
	w := &world{T: t, dir: dir}
	w.must(unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_NEWNET))
	// First away from the host's mounts, then shared among our own: as systemd has it, and where a
	// container that forgets to make its mounts private does harm.
	w.must(unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	w.must(unix.Mount("", "/", "", unix.MS_REC|unix.MS_SHARED, ""))
	w.protectHost()
	w.must(unix.Mount("tmpfs", "/run", "tmpfs", 0, "mode=755"))
	w.must(os.Symlink(image, filepath.Join(dir, "rootfs")))
	w.before = w.belongings()
	t.Cleanup(w.checkNothingLeft)
	return w
}

// protectHost makes every file of the host read-only in this world, but for temporary ones: a program that is not
// right yet may run what is meant for a container where it should not. The kernel's own file systems stay as they
// are; there is no container without writing to them.
func (w *world) protectHost() {
	w.Helper()
	temporary := os.TempDir()
	w.must(unix.Mount(temporary, temporary, "", unix.MS_BIND|unix.MS_REC, ""))
	readOnly, writable := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}, unix.MountAttr{Attr_clr: unix.MOUNT_ATTR_RDONLY}
	err := unix.MountSetattr(-1, "/", unix.AT_RECURSIVE, &readOnly)
	if errors.Is(err, unix.ENOSYS) { // before Linux 5.12
		w.must(unix.Mount("", "/", "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, ""))
		return
	}
	w.must(err)
	for _, path := range []string{temporary, "/proc", "/sys", "/dev"} {
		w.must(unix.MountSetattr(-1, path, unix.AT_RECURSIVE, &writable))
	}
}

// belongings lists what a container could leave in this world.
func (w *world) belongings() (list []string) {
	for _, line := range lines(w.read("/proc/thread-self/mountinfo")) {
		list = append(list, "mount "+strings.Fields(line)[4])
	}
	for _, line := range lines(w.read("/proc/thread-self/net/dev"))[2:] {
		name, _, _ := strings.Cut(line, ":")
		list = append(list, "link "+strings.TrimSpace(name))
	}
	entries, _ := os.ReadDir("/run/simple-container")
	for _, entry := range entries {
		if entry.IsDir() {
			list = append(list, "directory "+entry.Name())
		}
	}
	return list
}

// checkNothingLeft runs when the test is over, still in the world.
func (w *world) checkNothingLeft() {
	var left []string
	if !eventually(func() bool {
		left = slices.DeleteFunc(w.belongings(), func(s string) bool { return slices.Contains(w.before, s) })
		return len(left) == 0
	}) {
		w.Errorf("left on the host after the container's end: %q", left)
	}
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) read(file string) string {
	w.Helper()
	text, err := os.ReadFile(file)
	w.must(err)
	return string(text)
}

// writeProgram writes what will be executed. Nobody is forked meanwhile: until its execve, a child has open for writing
// what we have, and the kernel executes no such file (ETXTBSY).
func (w *world) writeProgram(path string, text []byte) {
	w.Helper()
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	w.must(os.WriteFile(path, text, 0o755))
}

// wrong says what was wanted, what was found, the likely cause, and the README section that helps.
func (w *world) wrong(what string, want, got any, cause, section string) {
	w.Helper()
	w.Errorf("%s\n  want: %v\n  got:  %v\n  likely cause: %s\n  see: README.md, %q", what, want, got, cause, section)
}

// result is how a run of the program ended.
type result struct {
	code           int
	stdout, stderr string
}

func (r result) String() string {
	return strings.TrimSpace(fmt.Sprintf("code %d\n%s%s", r.code, r.stdout, r.stderr))
}

// process is a run of the program that goes on.
type process struct {
	*exec.Cmd
	w      *world
	out    bytes.Buffer
	errors bytes.Buffer
	done   chan struct{}
}

// run runs the program to its end, with nothing on its standard input.
func (w *world) run(args ...string) result {
	w.Helper()
	return w.start(args...).wait()
}

// start starts the program.
func (w *world) start(args ...string) *process {
	w.Helper()
	return w.startWith(func(*exec.Cmd) {}, args...)
}

// startWith starts the program with other streams, environment or credentials.
func (w *world) startWith(change func(*exec.Cmd), args ...string) *process {
	w.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 4*patient)
	p := &process{Cmd: exec.CommandContext(ctx, graded, args...), w: w, done: make(chan struct{})}
	p.Dir = w.dir
	p.Stdout, p.Stderr = &p.out, &p.errors
	p.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL}
	p.WaitDelay = patient // what it has written is read first, however slow that is
	change(p.Cmd)
	w.must(p.Cmd.Start())
	w.Cleanup(p.end)
	go func() {
		defer cancel()
		_ = p.Cmd.Wait()
		close(p.done)
	}()
	return p
}

// end ends what a test has left running, as a person would.
func (p *process) end() {
	_ = p.Process.Signal(unix.SIGTERM) // most have ended
	select {
	case <-p.done:
	case <-time.After(patient):
		_ = p.Process.Kill()
		<-p.done
	}
}

func (p *process) wait() result {
	p.w.Helper()
	<-p.done
	code := p.ProcessState.ExitCode()
	if code < 0 {
		p.w.Errorf("%q: %v", p.Args, p.ProcessState)
	}
	return result{code, p.out.String(), p.errors.String()}
}

// init waits for the program to have a child in another PID namespace, and returns its number on the host.
// (Go's os package starts a child of its own for a moment, to find out what the kernel can do.)
func (p *process) init() (pid int) {
	p.w.Helper()
	ours, err := os.Readlink("/proc/self/ns/pid")
	p.w.must(err)
	if !eventually(func() bool {
		select {
		case <-p.done:
			p.w.Fatalf("%q ended early: %v\nstderr: %s", p.Args, p.ProcessState, p.errors.String())
		default:
		}
		for _, pid = range children(p.Process.Pid) {
			if theirs, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", pid)); err == nil && theirs != ours {
				return true
			}
		}
		return false
	}) {
		p.w.Fatalf("%q: no child in a PID namespace of its own: does clone have CLONE_NEWPID?", p.Args)
	}
	return pid
}

// started returns the command's process, when the command has been executed.
func (p *process) started() (pid int) {
	p.w.Helper()
	init := p.init()
	self, err := os.Stat(fmt.Sprintf("/proc/%d/exe", p.Process.Pid))
	p.w.must(err)
	if !eventually(func() bool {
		// A child of process 1, or process 1 itself if it has become the command.
		for _, pid = range append(children(init), init) {
			if exe, err := os.Stat(fmt.Sprintf("/proc/%d/exe", pid)); err == nil && !os.SameFile(exe, self) {
				return true
			}
		}
		return false
	}) {
		p.w.Fatalf("%q: the command did not start\nstderr: %s", p.Args, p.errors.String())
	}
	return pid
}

// children returns a process's children, those of all its threads.
func children(pid int) (list []int) {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, file := range files {
		text, _ := os.ReadFile(file)
		for _, word := range strings.Fields(string(text)) {
			if child, err := strconv.Atoi(word); err == nil {
				list = append(list, child)
			}
		}
	}
	return list
}

// eventually tries until ok, and says whether it came to that.
func eventually(ok func() bool) bool {
	for deadline := time.Now().Add(patient); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if ok() {
			return true
		}
	}
	return ok()
}

func lines(text string) []string { return strings.Split(strings.TrimRight(text, "\n"), "\n") }

// randomName is a host name nobody could have guessed.
func randomName() string { return fmt.Sprintf("host-%08x", rand.Uint32()) }
