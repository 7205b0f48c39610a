//go:build linux

package runtime

// These tests make containers, in a world of their own: a mount, a network and a PID namespace, made for the
// test binary, which starts itself in them. Nothing they do reaches the machine, and what they leave behind is
// easily seen.
//
// ROOTFS names a root file system with the lab in it; without, one is made.

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/cgroup"
	"github.com/simple-container/simple-container/final/internal/executor"
	"github.com/simple-container/simple-container/final/internal/kernel"
)

const (
	role  = "RUNTIME_TEST"       // what the test binary is: nothing, "world", or a helper
	group = "RUNTIME_TEST_GROUP" // the cgroup above those of the tests
	work  = "/run/work"          // a tmpfs
)

var (
	inVM    = os.Getenv("MICROVM") != ""
	patient = 30 * time.Second
)

func TestMain(m *testing.M) {
	switch helper, ok := helpers[os.Getenv(role)]; {
	case ok:
		os.Exit(helper())
	case os.Getenv(role) == "world":
		os.Exit(inWorld(m))
	}
	code, err := enterWorld()
	if err != nil {
		fmt.Println(err)
		code = 1
	}
	os.Exit(code)
}

// enterWorld starts this program again where the tests may do as they like.
func enterWorld() (code int, err error) {
	if os.Geteuid() != 0 {
		return 0, errors.New("the tests make containers, so they must be root: sudo env PATH=$PATH go test")
	}
	image := os.Getenv("ROOTFS")
	if image == "" {
		dir, err := os.MkdirTemp("", "runtime-test-")
		if err != nil {
			return 0, err
		}
		defer os.RemoveAll(dir)
		image = filepath.Join(dir, "rootfs")
		if out, err := exec.Command("go", "run", "../..", "rootfs", image).CombinedOutput(); err != nil {
			return 0, fmt.Errorf("go run ./final rootfs: %w\n%s", err, out)
		}
	}
	name := fmt.Sprintf("/final-runtime-test-%d", os.Getpid())
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), role+"=world", "ROOTFS="+image, group+"="+name)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWPID, Pdeathsig: unix.SIGKILL,
	}
	handed := handedDown()
	err = cmd.Run()
	if now := handedDown(); now != handed {
		err = errors.Join(err, fmt.Errorf("the tests changed what the machine's own cgroup hands down: %q, was %q", now, handed))
	}
	for _, dir := range groupDirs(name) {
		if e := cgroup.Remove(&kernel.Door{}, dir); !errors.Is(e, fs.ErrNotExist) { // also what a failed run left
			err = errors.Join(err, e)
		}
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode(), nil
	}
	return 0, err
}

// handedDown is what the root of v2 hands down on a hybrid machine, where nobody but a container's limit may ask
// for more: it would stay when the container is gone.
func handedDown() string {
	text, _ := os.ReadFile("/sys/fs/cgroup/unified/cgroup.subtree_control") // another kind of machine has none
	return string(text)
}

// groupDirs are the directories of a cgroup in all trees.
func groupDirs(name string) []string {
	dirs, _ := filepath.Glob("/sys/fs/cgroup/*" + name)
	more, _ := filepath.Glob("/sys/fs/cgroup" + name)
	return append(dirs, more...)
}

// inWorld is the test binary in its world.
func inWorld(m *testing.M) int {
	if inVM {
		patient = time.Minute // an emulated processor
	}
	_ = os.Unsetenv(role) // not for the programs that are started
	if err := furnish(); err != nil {
		fmt.Println("the tests' world:", err)
		return 1
	}
	return m.Run()
}

// furnish makes the world's mounts: away from the host's, then shared among our own, as systemd has it, and
// where a container that forgets to make its mounts private does harm.
func furnish() error {
	readOnly, writable := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}, unix.MountAttr{Attr_clr: unix.MOUNT_ATTR_RDONLY}
	temporary := os.TempDir()
	err := errors.Join(
		unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""),
		unix.Mount("", "/", "", unix.MS_REC|unix.MS_SHARED, ""),
		unix.Mount(temporary, temporary, "", unix.MS_BIND|unix.MS_REC, ""),
		unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""),
	)
	if err != nil {
		return err
	}
	err = unix.MountSetattr(-1, "/", unix.AT_RECURSIVE, &readOnly) // a program that is not right yet does no harm
	switch {
	case errors.Is(err, unix.ENOSYS): // before Linux 5.12
	case err != nil:
		return err
	default:
		for _, path := range []string{"/proc", "/sys", "/dev", temporary} {
			if err := unix.MountSetattr(-1, path, unix.AT_RECURSIVE, &writable); err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
		}
	}
	if err := unix.Mount("tmpfs", "/run", "tmpfs", 0, "mode=755"); err != nil {
		return err
	}
	return copyTree(os.Getenv("ROOTFS"), filepath.Join(work, "image"), copyFile)
}

func copyFile(from, to string) error {
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, text, info.Mode().Perm())
}

// copyTree copies directories and symbolic links, and files as file does.
func copyTree(from, to string, file func(from, to string) error) error {
	return filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		target := filepath.Join(to, strings.TrimPrefix(path, from))
		info, err := entry.Info()
		if err != nil {
			return err
		}
		switch {
		case entry.IsDir():
			return errors.Join(os.MkdirAll(target, 0o755), os.Chmod(target, info.Mode()))
		case info.Mode()&fs.ModeSymlink != 0:
			link, err := os.Readlink(path)
			return errors.Join(err, os.Symlink(link, target))
		}
		return file(path, target)
	})
}

// world is a test's own part of it.
type world struct {
	*testing.T
	*Runtime
	dir    string // has the bundles
	before []string
}

// newWorld makes one, and looks at the end for what is left in it.
func newWorld(t *testing.T, reexec bool) *world {
	t.Helper()
	dir, err := os.MkdirTemp(work, "test-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil { // the root of a user namespace is not root here
		t.Fatal(err)
	}
	w := &world{T: t, dir: dir, Runtime: &Runtime{Root: filepath.Join(dir, "state"), Door: &kernel.Door{}, Reexec: reexec}}
	w.before = w.belongings()
	t.Cleanup(func() {
		w.Door.Trap = nil
		list, _ := w.List()
		reapWhile(func() {
			for _, c := range list {
				w.check(w.Delete(c.ID, true))
			}
		})
		w.checkNothingLeft("the test")
		w.check(os.RemoveAll(dir))
	})
	return w
}

// reapWhile waits for children that end meanwhile: a PID namespace ends only when all that were in it are reaped, and
// some are our children.
func reapWhile(do func()) {
	done, gone := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		for ; ; time.Sleep(time.Millisecond) {
			select {
			case <-done:
				return
			default:
				reap()
			}
		}
	}()
	do()
	close(done)
	<-gone
}

// both runs a test with both executors. A test that makes a container and does without says why.
func both(t *testing.T, test func(w *world)) {
	t.Run("stub", func(t *testing.T) { test(newWorld(t, false)) })
	t.Run("reexec", func(t *testing.T) { test(newWorld(t, true)) })
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) check(err error) {
	w.Helper()
	if err != nil {
		w.Error(err)
	}
}

// belongings lists what a container could leave in this world: mounts, cgroups, processes, descriptors, links,
// states.
func (w *world) belongings() (list []string) {
	text, err := os.ReadFile("/proc/self/mountinfo")
	w.must(err)
	for _, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		list = append(list, "mount "+strings.Fields(line)[4])
	}
	for _, pattern := range []string{"/sys/fs/cgroup/*" + os.Getenv(group) + "/*", "/sys/fs/cgroup" + os.Getenv(group) + "/*"} {
		found, _ := filepath.Glob(pattern)
		for _, dir := range found {
			if info, err := os.Stat(dir); err == nil && info.IsDir() {
				list = append(list, "cgroup "+dir)
			}
		}
	}
	for _, dir := range []string{"/proc/self/fd", "/sys/class/net", filepath.Join(w.dir, "state")} {
		entries, _ := os.ReadDir(dir)
		for _, entry := range entries {
			name := dir + "/" + entry.Name()
			if dir == "/proc/self/fd" {
				link, err := os.Readlink(name)
				if err != nil || strings.HasPrefix(link, "/proc/") { // the look itself
					continue
				}
				name += " " + link
			}
			list = append(list, name)
		}
	}
	entries, err := os.ReadDir("/proc")
	w.must(err)
	for _, entry := range entries {
		if pid, err := strconv.Atoi(entry.Name()); err == nil {
			name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
			list = append(list, fmt.Sprintf("process %d %s", pid, bytes.TrimSpace(name)))
		}
	}
	return list
}

// checkNothingLeft compares with the beginning. What has been killed may take a moment to go.
func (w *world) checkNothingLeft(by string) {
	w.Helper()
	var left []string
	if !eventually(func() bool {
		reap()
		left = slices.DeleteFunc(w.belongings(), func(s string) bool { return slices.Contains(w.before, s) })
		return len(left) == 0
	}) {
		w.Errorf("left behind by %s: %q", by, left)
	}
}

// reap waits for children that have ended: containers, and what they left to us.
func reap() {
	for {
		if pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); pid <= 0 && err != unix.EINTR {
			return
		}
	}
}

// basic is a spec with everything usual; change may make it another.
func (w *world) basic(change ...func(*specs.Spec)) *specs.Spec {
	s := ExampleSpec(false)
	s.Process.Terminal, s.Process.Args = false, []string{"sleep", "1000"}
	s.Process.Rlimits, s.Root.Readonly = nil, false
	s.Root.Path = filepath.Join(w.dir, "rootfs")
	for _, c := range change {
		c(s)
	}
	return s
}

// args is the change that most tests make.
func args(args ...string) func(*specs.Spec) {
	return func(s *specs.Spec) { s.Process.Args = args }
}

func shell(script string) func(*specs.Spec) { return args("sh", "-c", script) }

// bundle makes a bundle. The files of its root are the image's, the directories its own.
func (w *world) bundle(id string, s *specs.Spec) string {
	w.Helper()
	if !exists(s.Root.Path) && strings.HasPrefix(s.Root.Path, w.dir) {
		w.must(copyTree(filepath.Join(work, "image"), s.Root.Path, os.Link))
	}
	if s.Linux != nil && s.Linux.CgroupsPath == "" {
		s.Linux.CgroupsPath = os.Getenv(group) + "/" + filepath.Base(w.dir) + "-" + id
	}
	dir := filepath.Join(w.dir, id)
	w.must(os.MkdirAll(dir, 0o755))
	w.rewrite(dir, s)
	return dir
}

func (w *world) rewrite(bundle string, s *specs.Spec) {
	w.Helper()
	text, err := json.Marshal(s)
	w.must(err)
	w.must(os.WriteFile(filepath.Join(bundle, configFile), text, 0o644))
}

// create makes a container that must come to be.
func (w *world) create(id string, change ...func(*specs.Spec)) *container {
	w.Helper()
	c, err := w.tryCreate(id, CreateOptions{}, change...)
	w.must(err)
	return c
}

// container is one of a test, with what it writes.
type container struct {
	*Container
	w      *world
	output *output
}

// streams is held by whoever has changed ours.
var streams_ sync.Mutex

func (w *world) tryCreate(id string, o CreateOptions, change ...func(*specs.Spec)) (*container, error) {
	w.Helper()
	if o.Bundle == "" {
		o.Bundle = w.bundle(id, w.basic(change...))
	}
	out := w.newOutput()
	c, err := withStreams(out, func() (*Container, error) { return w.Create(id, o) })
	out.begun()
	if err != nil {
		return nil, err
	}
	return &container{c, w, out}, nil
}

// withStreams lends a container side other standard streams than the tests have.
func withStreams[T any](out *output, do func() (T, error)) (T, error) {
	streams_.Lock()
	defer streams_.Unlock()
	stdin, stdout, stderr := os.Stdin, os.Stdout, os.Stderr
	defer func() { os.Stdin, os.Stdout, os.Stderr = stdin, stdout, stderr }()
	os.Stdin, os.Stdout, os.Stderr = out.stdin, out.w, out.w
	return do()
}

// output is a pipe that is read until its end.
type output struct {
	stdin, r, w *os.File
	text        bytes.Buffer
	done        chan struct{}
}

func (w *world) newOutput() *output {
	w.Helper()
	o := &output{done: make(chan struct{})}
	var err error
	o.stdin, err = os.Open("/dev/null")
	w.must(err)
	o.r, o.w, err = os.Pipe()
	w.must(err)
	return o
}

// begun closes our ends: the container has its own now, or never will.
func (o *output) begun() {
	o.w.Close()
	o.stdin.Close()
	go func() {
		_, _ = io.Copy(&o.text, o.r)
		o.r.Close()
		close(o.done)
	}()
}

func (o *output) String() string {
	<-o.done
	return strings.TrimSpace(o.text.String())
}

// run starts a container, waits for its end, and returns what it wrote and its exit code.
func (c *container) run() (text string, code int) {
	c.w.Helper()
	c.w.must(c.Start())
	return c.wait()
}

func (c *container) wait() (text string, code int) {
	c.w.Helper()
	code = waitFor(c.Pid)
	return c.output.String(), code
}

// waitFor waits for a child and returns its exit code, 128 more than the signal that ended it.
func waitFor(pid int) int {
	var status unix.WaitStatus
	for {
		_, err := unix.Wait4(pid, &status, 0, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return -1
		}
		break
	}
	if status.Signaled() {
		return 128 + int(status.Signal())
	}
	return status.ExitStatus()
}

// says runs a container's script to its end and compares what it writes.
func (w *world) says(id, want string, change ...func(*specs.Spec)) {
	w.Helper()
	got, code := w.create(id, change...).run()
	if got != want || code != 0 {
		w.Errorf("code %d, want 0\nwant: %s\ngot:  %s", code, want, got)
	}
	w.check(w.Delete(id, false))
}

// exec runs one more process to its end.
func (c *container) exec(change func(*ExecOptions)) (text string, code int, err error) {
	c.w.Helper()
	p, out, err := c.startExec(change)
	if err != nil {
		return "", 0, err
	}
	defer p.Pidfd.Close()
	code = waitFor(p.Pid)
	return out.String(), code, nil
}

func (c *container) startExec(change func(*ExecOptions)) (*executor.Process, *output, error) {
	c.w.Helper()
	process, err := c.Process()
	c.w.must(err)
	process.Args = []string{"true"}
	o := ExecOptions{Process: process}
	change(&o)
	out := c.w.newOutput()
	p, err := withStreams(out, func() (*executor.Process, error) { return c.Exec(o) })
	out.begun()
	return p, out, err
}

func execArgs(args ...string) func(*ExecOptions) {
	return func(o *ExecOptions) { o.Process.Args = args }
}

// status is the container's, by a look from scratch.
func (w *world) status(id string) string {
	w.Helper()
	c, err := w.Load(id)
	if err != nil {
		return err.Error()
	}
	status, err := c.Status()
	w.must(err)
	return string(status)
}

func (w *world) wantStatus(id string, want Status) {
	w.Helper()
	if got := w.status(id); got != string(want) {
		w.Errorf("status: %s, want %s", got, want)
	}
}

// refused checks an error's words.
func (w *world) refused(err error, words ...string) {
	w.Helper()
	for _, word := range words {
		if err == nil || !strings.Contains(err.Error(), word) {
			w.Errorf("error: %v, want %q in it", err, word)
		}
	}
}

// eventually tries until ok, and says whether it came to that.
func eventually(ok func() bool) bool {
	for deadline := time.Now().Add(patient); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if ok() {
			return true
		}
	}
	return ok()
}

// proc reads a file of a process.
func (w *world) proc(pid int, file string) string {
	w.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
	w.must(err)
	return strings.TrimSpace(string(text))
}

// field is the value of a line of /proc/PID/status.
func (w *world) field(pid int, name string) string {
	w.Helper()
	for line := range strings.SplitSeq(w.proc(pid, "status"), "\n") {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.Join(strings.Fields(value), " ")
		}
	}
	w.Fatalf("/proc/%d/status has no %s", pid, name)
	return ""
}

func (w *world) namespace(pid int, kind string) string {
	w.Helper()
	link, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", pid, kind))
	w.must(err)
	return link
}

// helpers are other programs that the test binary can be: RUNTIME_TEST=name.
var helpers = map[string]func() int{"create": helpCreate}

// order is what a helper is told to do.
type order struct {
	Root, ID string
	Reexec   bool
	CreateOptions
	Console bool // the console socket is the last descriptor
}

// helpCreate is a `create` of its own, to be killed, or with descriptors of its own.
func helpCreate() int { return createWith(&kernel.Door{}) }

func createWith(door *kernel.Door) int {
	var o order
	if err := json.Unmarshal([]byte(os.Getenv("ORDER")), &o); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	r := &Runtime{Root: o.Root, Door: door, Reexec: o.Reexec}
	if _, err := r.Create(o.ID, o.CreateOptions); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// helper is the command of a helper's.
func (w *world) helper(name string, o order, env ...string) *exec.Cmd {
	w.Helper()
	o.Root, o.Reexec = w.Root, w.Reexec
	text, err := json.Marshal(o)
	w.must(err)
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append([]string{role + "=" + name, "ORDER=" + string(text)}, env...)
	return cmd
}

func ptr[T any](v T) *T { return &v }
