//go:build linux

package engine

// These tests have a machine of their own: the test binary starts itself in new mount, PID and network namespaces,
// with an empty /run, where the data are too. It also stands in for the program: as `begin` and `end` for monitors,
// and as the lab in containers.

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/image"
	"github.com/simple-container/simple-container/final/internal/kernel"
	"github.com/simple-container/simple-container/final/internal/lab"
	"github.com/simple-container/simple-container/final/internal/runtime"
)

const (
	role    = "ENGINE_TEST"
	program = "engine-test" // its argv[0] as the program of monitors; the data root and the run directory follow
	trapEnv = "ENGINE_TEST_TRAP"
)

func TestMain(m *testing.M) {
	if code, ok := lab.Main(os.Args); ok {
		os.Exit(code)
	}
	switch {
	case os.Args[0] == program:
		os.Exit(beProgram(os.Args[1:]))
	case os.Getenv(role) == "world":
		os.Exit(inWorld(m))
	case os.Geteuid() != 0:
		fmt.Println("the tests make containers, so they must be root: sudo env PATH=$PATH go test")
		os.Exit(1)
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), role+"=world")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET, Pdeathsig: unix.SIGKILL,
	}
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		os.Exit(exit.ExitCode())
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

func inWorld(m *testing.M) int {
	err := errors.Join(
		unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""),
		unix.Mount("proc", "/proc", "proc", 0, ""),
		unix.Mount("tmpfs", "/run", "tmpfs", 0, "mode=755"),
		unix.Mount("", "/", "", unix.MS_REC|unix.MS_SHARED, ""), // as systemd has it
		os.Mkdir(dataRoot, 0o711),
	)
	if err != nil {
		fmt.Println("the tests' world:", err)
		return 1
	}
	return m.Run()
}

const dataRoot = "/run/data"

// beProgram carries out `begin ID` and `end ID`.
func beProgram(args []string) int {
	e := newEngine(args[0], args[1])
	verb, id := args[len(args)-2], args[len(args)-1]
	trap(e.Door, verb)
	do := map[string]func(string) error{"begin": e.Begin, "end": e.End}[verb]
	if err := do(id); err != nil {
		fmt.Fprintln(os.Stderr, verb, err)
		return 1
	}
	return 0
}

// trap makes the call fail that the environment names, as "VERB N", or with "VERB N kill" ends this process there.
func trap(door *kernel.Door, verb string) {
	fields := strings.Fields(os.Getenv(trapEnv))
	if len(fields) < 2 || fields[0] != verb {
		return
	}
	at, _ := strconv.Atoi(fields[1])
	door.Trap = func(n int, call kernel.Call) error {
		if n != at {
			return nil
		}
		if len(fields) > 2 {
			_ = unix.Kill(os.Getpid(), unix.SIGKILL)
			select {}
		}
		return errTrap
	}
}

var errTrap = errors.New("this call fails for a test")

func newEngine(root, run string) *Engine {
	door := &kernel.Door{}
	return &Engine{
		Root: root, Run: run, Door: door, Program: []string{program, root, run},
		OCI: &runtime.Runtime{Root: kernel.OCIStateDir, Door: door},
	}
}

// A world is a test's engine.
type world struct {
	*testing.T
	*Engine
	ids []string // of the containers that were made
}

// newWorld makes one. At the test's end its containers go, and nothing may be left of them.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{T: t, Engine: newEngine(dataRoot, RunDir)}
	t.Cleanup(func() {
		list, err := w.List(ListOptions{All: true})
		w.check(err)
		for _, c := range list {
			w.ids = append(w.ids, c.ID)
			w.check(c.Remove(RemoveOptions{Force: true, Volumes: true}))
		}
		found, _, err := w.Leftovers()
		w.check(err)
		for _, left := range found {
			w.check(left.Remove())
		}
		w.nothingLeft()
	})
	return w
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

// nothingLeft looks for what containers have on a machine.
func (w *world) nothingLeft() {
	w.Helper()
	left := func() (found []string) {
		patterns := []string{
			dataRoot + "/containers/*", dataRoot + "/containers/.[a-f0-9]*", dataRoot + "/names/*", RunDir + "/*", kernel.OCIStateDir + "/*",
		}
		for _, id := range w.ids { // the machine's cgroups are not ours alone
			patterns = append(patterns, "/sys/fs/cgroup/"+kernel.OCIPrefix+id, "/sys/fs/cgroup/*/"+kernel.OCIPrefix+id)
		}
		for _, pattern := range patterns {
			paths, err := filepath.Glob(pattern)
			w.check(err)
			found = append(found, paths...)
		}
		for _, pid := range w.processes() {
			found = append(found, pid)
		}
		mounts, err := (&kernel.Door{}).Mounts()
		w.check(err)
		return append(found, kernel.MountsBelow(mounts, dataRoot)...)
	}
	w.eventually("nothing is left of the containers", func() bool { return len(left()) == 0 }, func() any { return left() })
}

// processes are those in the world beside this one, zombies not counted.
func (w *world) processes() (list []string) {
	paths, _ := filepath.Glob("/proc/[0-9]*")
	for _, path := range paths {
		pid, _ := strconv.Atoi(filepath.Base(path))
		if pid == os.Getpid() {
			continue
		}
		if stat, err := kernel.Stat(pid); err == nil && stat.Alive() {
			line, _ := os.ReadFile(path + "/cmdline")
			list = append(list, strconv.Itoa(pid)+" "+string(bytes.ReplaceAll(line, []byte{0}, []byte{' '})))
		}
	}
	return list
}

// eventually polls: a machine with other work to do is slow.
func (w *world) eventually(what string, is func() bool, got func() any) {
	w.Helper()
	for deadline := time.Now().Add(30 * time.Second); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			w.Fatalf("want: %s; got: %v", what, got())
		}
	}
}

// create makes a container of the lab.
func (w *world) create(change func(*CreateOptions), args ...string) *Container {
	w.Helper()
	o := CreateOptions{Image: image.LabName}
	o.Args = args
	if change != nil {
		change(&o)
	}
	c, err := w.Create(context.Background(), o)
	w.must(err)
	w.ids = append(w.ids, c.ID)
	return c
}

// start makes one and starts it.
func (w *world) start(change func(*CreateOptions), args ...string) *Container {
	w.Helper()
	c := w.create(change, args...)
	_, err := c.Start(nil)
	w.must(err)
	return c
}

// run makes one and stays with it until its end.
func (w *world) run(change func(*CreateOptions), in string, args ...string) (out, errs string, code int) {
	w.Helper()
	c := w.create(change, args...)
	client, err := c.Start(&Streams{})
	w.must(err)
	var stdout, stderr bytes.Buffer
	streams := Streams{Out: &stdout, Err: &stderr}
	if c.Options.Stdin {
		file := filepath.Join(w.TempDir(), "in")
		w.must(os.WriteFile(file, []byte(in), 0o600))
		streams.In, err = os.Open(file)
		w.must(err)
		defer streams.In.Close()
	}
	code, err = c.Attend(client, streams)
	w.must(err)
	return stdout.String(), stderr.String(), code
}

// find reads a container anew.
func (w *world) find(name string) *Container {
	w.Helper()
	c, err := w.Find(name)
	w.must(err)
	return c
}

// log is what a container wrote.
func (w *world) log(c *Container, o LogOptions) (text []string) {
	w.Helper()
	w.check(c.Logs(o, func(e Entry) error { text = append(text, e.Stream+": "+e.Text); return nil }))
	return text
}

// awaitLog waits for a line.
func (w *world) awaitLog(c *Container, line string) {
	w.Helper()
	got := func() any { return w.log(c, LogOptions{Tail: -1}) }
	w.eventually(line, func() bool { return slices.Contains(w.log(c, LogOptions{Tail: -1}), line) }, got)
}
