//go:build linux

package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/simple-container/simple-container/final/internal/kernel"
	"golang.org/x/sys/unix"
)

// trees returns the trees of this machine that groups can be made in.
func trees(t *testing.T) (found Layout) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skipf("cgroups need root: %v", unix.EPERM)
	}
	mounts, err := (&kernel.Door{}).Mounts()
	if err != nil {
		t.Fatal(err)
	}
	layout, err := Find(mounts)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range layout {
		_, pids := layout.Controller("pids")
		if h.Version == 2 || pids && strings.Contains(strings.Join(h.Controllers, ","), "pids") {
			found = append(found, h)
		}
	}
	if found == nil {
		t.Fatal("no cgroup tree is mounted")
	}
	return found
}

// Processes that multiply all the time, in groups within groups, are no match for it.
func TestRemoveEndsForkingProcesses(t *testing.T) {
	for _, h := range trees(t) {
		t.Run(fmt.Sprintf("v%d", h.Version), func(t *testing.T) {
			group := filepath.Join(h.Dir, fmt.Sprintf("simple-container-test-remove-%d", os.Getpid()))
			inner := filepath.Join(group, "a", "b")
			if err := os.MkdirAll(inner, 0o755); err != nil {
				t.Fatal(err)
			}
			for _, dir := range []string{group, inner} {
				start(t, dir, "while :; do sleep 60 & sleep 0.01; done")
			}
			if err := Remove(&kernel.Door{}, group); err != nil {
				t.Error(err)
			}
			if _, err := os.Stat(group); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("stat: %v, want it gone", err)
			}
			if err := Remove(&kernel.Door{}, group); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("again: %v, want %v", err, fs.ErrNotExist)
			}
		})
	}
}

// A container may make threaded groups below its own, or its own one, which list no processes: it can be removed
// all the same.
func TestRemoveThreaded(t *testing.T) {
	for _, h := range trees(t) {
		if h.Version != 2 {
			continue
		}
		above := filepath.Join(h.Dir, fmt.Sprintf("simple-container-test-threaded-%d", os.Getpid()))
		group := &Group{parts: []*part{{Hierarchy: h, dir: above + "/own"}}}
		inner := above + "/own/inner"
		if err := os.MkdirAll(inner, 0o755); err != nil {
			t.Fatal(err)
		}
		for _, threaded := range [][]string{{inner}, {above + "/own", inner}} {
			for _, dir := range threaded {
				if err := os.WriteFile(dir+"/cgroup.type", []byte("threaded"), 0); err != nil && !errors.Is(err, unix.EINVAL) {
					t.Fatal(err) // it is the second time
				}
			}
			if _, err := group.Pids(true); err != nil {
				t.Errorf("%q threaded: %v", threaded, err)
			}
			if err := group.Kill(&kernel.Door{}, unix.SIGKILL); err != nil {
				t.Errorf("%q threaded: %v", threaded, err)
			}
		}
		if err := Remove(&kernel.Door{}, above); err != nil {
			t.Error(err)
		}
	}
}

// start runs a shell script in a group.
func start(t *testing.T, group, script string) {
	t.Helper()
	cmd := exec.Command("sh", "-c", "read go; "+script)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		select {
		case err := <-ended:
			if err == nil || !strings.Contains(err.Error(), "killed") {
				t.Errorf("the process in %s ended with %v, want it killed", group, err)
			}
		case <-time.After(patient):
			t.Errorf("the process in %s lives", group)
			_ = cmd.Process.Kill()
		}
	})
	pid := strconv.Itoa(cmd.Process.Pid)
	if err := os.WriteFile(filepath.Join(group, "cgroup.procs"), []byte(pid), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := in.Write([]byte("go\n")); err != nil {
		t.Fatal(err)
	}
}

func TestRemoveNarrates(t *testing.T) {
	h := trees(t)[0]
	group := filepath.Join(h.Dir, fmt.Sprintf("simple-container-test-explain-%d", os.Getpid()))
	if err := os.MkdirAll(group+"/inner", 0o755); err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	if err := Remove(&kernel.Door{Explain: &said}, group); err != nil {
		t.Error(err)
	}
	want := strings.ReplaceAll("rmdir G/inner\n  $ rmdir G/inner\nrmdir G\n  $ rmdir G\n", "G", group)
	if diff := cmp.Diff(want, said.String()); diff != "" {
		t.Errorf("deepest first, rmdir only (-want +got):\n%s", diff)
	}
}

// What the kernel would say in groups whose processes are not to be killed, in directories that only look
// like groups.
func TestRemoveRefuses(t *testing.T) {
	for _, test := range []struct{ name, procs, want string }{
		{"processes of another PID namespace", "17\n0\n", errForeign.Error()},
		{"this program", fmt.Sprintf("%d\n", os.Getpid()), "that is this program"},
		{"nonsense", "many\n", "invalid syntax"},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			inner := filepath.Join(dir, "inner")
			if err := os.Mkdir(inner, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(inner+"/cgroup.procs", []byte(test.procs), 0o600); err != nil {
				t.Fatal(err)
			}
			door := &kernel.Door{Trap: func(_ int, call kernel.Call) error {
				t.Errorf("it called: %s", call)
				return errors.ErrUnsupported
			}}
			if err := Remove(door, dir); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an error with %q", err, test.want)
			}
		})
	}
}

// Where the kernel has cgroup.kill, one write there does it: no signal is sent to a number.
func TestRemoveUsesCgroupKill(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"cgroup.procs": "999999999\n", "cgroup.kill": "", "cgroup.events": "populated 1\nfrozen 0\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	enough := errors.New("enough")
	var calls []string
	door := &kernel.Door{Trap: func(n int, call kernel.Call) error {
		calls = append(calls, call.String())
		return enough
	}}
	if err := Remove(door, dir); !errors.Is(err, enough) {
		t.Error(err)
	}
	if diff := cmp.Diff([]string{"write " + dir + `/cgroup.kill "1"`}, calls); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A group that somebody else removes while its processes are killed has gone, and that is all it was to do.
func TestRemoveWhatGoesMeanwhile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "group")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/cgroup.procs", []byte("999999999\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	door := &kernel.Door{Trap: func(_ int, call kernel.Call) error {
		if call.Object == dir+"/cgroup.kill" {
			return errors.Join(os.RemoveAll(dir), unix.ENODEV) // the kernel's word, if it goes between open and write
		}
		return nil
	}}
	if err := Remove(door, dir); err != nil {
		t.Error(err)
	}
}

func TestPopulated(t *testing.T) {
	for text, want := range map[string]bool{
		"populated 1\nfrozen 0\n": true,
		"populated 0\nfrozen 0\n": false,
		"frozen 0\npopulated 1\n": true,
	} {
		dir := t.TempDir()
		if err := os.WriteFile(dir+"/cgroup.events", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := populated(dir); got != want {
			t.Errorf("%q: got %v, want %v", text, got, want)
		}
	}
	if populated(t.TempDir()) {
		t.Error("v1 has no cgroup.events: want false")
	}
}
