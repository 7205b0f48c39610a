//go:build linux

package metrics

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/simple-container/simple-container/final/internal/cgroup"
	"github.com/simple-container/simple-container/final/internal/kernel"
)

// deadline bounds every wait of these tests; a quiet machine needs a hundredth of it.
const deadline = 30 * time.Second

// until waits for something to become true.
func until(t testing.TB, what string, reached func() bool) {
	t.Helper()
	for end := time.Now().Add(deadline); !reached(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not so after %v", what, deadline)
		}
	}
}

func needRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("must be root: cgroups are made")
	}
}

// newGroup makes a cgroup with limits, in every tree of this machine, for as long as the test.
func newGroup(t testing.TB, name string, limits *specs.LinuxResources) *cgroup.Group {
	t.Helper()
	needRoot(t)
	door := &kernel.Door{}
	mounts, err := door.Mounts()
	if err != nil {
		t.Fatal(err)
	}
	layout, err := cgroup.Find(mounts)
	if err != nil {
		t.Fatal(err)
	}
	g, err := cgroup.New(layout, fmt.Sprintf("/simple-container-metrics-%d/%s", os.Getpid(), name), name, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Create(door, limits); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Remove(door); err != nil {
			t.Error(err)
		}
		for _, dir := range g.Paths() {
			_ = os.Remove(filepath.Dir(dir)) // not empty as long as another test's group is in it
		}
	})
	return g
}

// spawn starts a process in a group: none of its instructions are run outside.
func spawn(t testing.TB, g *cgroup.Group, flags uintptr, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("/bin/sh", append([]string{"-c", `read go; exec "$@"`, "sh"}, args...)...)
	cmd.Env = append(os.Environ(), "GOMAXPROCS=2")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	// No Pdeathsig: it comes when the thread ends that has started the process, and threads do end here.
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it may have been waited for
	})
	if err := g.Add(&kernel.Door{}, cmd.Process.Pid, false, false); err != nil {
		t.Fatal(err)
	}
	if _, err := in.Write([]byte("go\n")); err != nil {
		t.Fatal(err)
	}
	until(t, "it runs "+args[0], func() bool {
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", cmd.Process.Pid))
		if stat, err := kernel.Stat(cmd.Process.Pid); err == nil && !stat.Alive() {
			return true // and has ended
		}
		return len(text) > 0 && !strings.HasPrefix(string(text), "/bin/sh\x00-c\x00read go")
	})
	return cmd
}

func target(g *cgroup.Group, id string, pid int) Target {
	return Target{ID: id, Name: id, Pid: pid, Cgroups: g.Paths()}
}
