//go:build linux

package cgroup

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// buildFinal gives the program of ./final and a root file system. The micro-VM has the one, and the other where
// systemd's world has a mount over it.
func buildFinal(t *testing.T) (program, image string) {
	t.Helper()
	dir := t.TempDir()
	if program = os.Getenv("FINAL"); program == "" {
		program = filepath.Join(dir, "final")
		build := exec.Command("go", "build", "-o", program, "../..")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("go build ./final: %v\n%s", err, out)
		}
	}
	image = filepath.Join(dir, "rootfs")
	if out, err := exec.Command(program, "rootfs", image).CombinedOutput(); err != nil {
		t.Fatalf("final rootfs: %v\n%s", err, out)
	}
	return program, image
}

// scopes is what an engine sees of the runtime with systemd's groups.
type scopes struct {
	*testing.T
	dir string
}

// try runs a verb. What it says goes to a file: a container keeps it open.
func (s *scopes) try(args ...string) (string, error) {
	s.Helper()
	out, err := os.CreateTemp(s.dir, "output-")
	if err != nil {
		s.Fatal(err)
	}
	defer out.Close()
	cmd := exec.Command(os.Getenv("FINAL"), append([]string{"--root", s.dir + "/state", "--systemd-cgroup"}, args...)...)
	cmd.Stdout, cmd.Stderr = out, out
	err = cmd.Run()
	return readFile(out.Name()), err
}

func (s *scopes) final(args ...string) string {
	s.Helper()
	out, err := s.try(args...)
	if err != nil {
		s.Fatalf("final %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return out
}

// state is what `final state` says, and the group that the process is in.
func (s *scopes) state(id string) (state specs.State) {
	s.Helper()
	if err := json.Unmarshal([]byte(s.final("state", id)), &state); err != nil {
		s.Fatal(err)
	}
	return state
}

func (s *scopes) wantState(id string, want specs.ContainerState) {
	s.Helper()
	if got := s.state(id).Status; got != want {
		s.Errorf("%s is %s, want %s", id, got, want)
	}
}

// bundle makes one: an example of a container with its group in that slice.
func (s *scopes) bundle(path string) string {
	s.Helper()
	dir, err := os.MkdirTemp(s.dir, "bundle-")
	if err != nil {
		s.Fatal(err)
	}
	s.final("spec", "--bundle", dir)
	var spec specs.Spec
	if err := json.Unmarshal([]byte(readFile(dir+"/config.json")), &spec); err != nil {
		s.Fatal(err)
	}
	spec.Process.Terminal, spec.Process.Args = false, []string{"sleep", "60"}
	spec.Process.Rlimits = nil // not everybody may raise them
	spec.Root.Path = os.Getenv("ROOTFS")
	spec.Linux.CgroupsPath, spec.Linux.Resources = path, typical()
	spec.Annotations = map[string]string{
		PropertyPrefix + "KillSignal": "10", PropertyPrefix + "TimeoutStopUSec": "uint64 7000000", // as Podman
		PropertyPrefix + "CollectMode": "'inactive-or-failed'", // as CRI-O
	}
	cgroups := specs.LinuxNamespace{Type: specs.CgroupNamespace}
	if !slices.Contains(spec.Linux.Namespaces, cgroups) { // where there is v1 too
		spec.Linux.Namespaces = append(spec.Linux.Namespaces, cgroups)
	}
	text, err := json.Marshal(spec)
	if err != nil {
		s.Fatal(err)
	}
	if err := os.WriteFile(dir+"/config.json", text, 0o600); err != nil {
		s.Fatal(err)
	}
	return dir
}

// wantUnit waits for properties of a unit: systemd forgets one that has ended when it has nothing else to do.
func (s *scopes) wantUnit(name string, want ...string) {
	s.Helper()
	until(s.T, fmt.Sprintf("%s has %q", name, want), func() bool {
		out, err := exec.Command("systemctl", "show", name).CombinedOutput()
		if err != nil {
			s.Errorf("systemctl show %s: %v: %s", name, err, out)
		}
		return !slices.ContainsFunc(want, func(property string) bool {
			return !strings.Contains("\n"+string(out), "\n"+property+"\n")
		})
	})
}

// The life of a container whose group is a scope of systemd's, by the verbs that an engine calls.
func TestFinalInsideSystemd(t *testing.T) {
	if os.Getenv(insideSystemd) == "" {
		return // it is not a test of its own
	}
	s := &scopes{t, t.TempDir()}
	const path, scope = "test-final.slice:test:life", "test-life.scope"
	layout, own := machine(t)
	g, err := New(layout, path, "life", true, own)
	if err != nil {
		t.Fatal(err)
	}
	s.final("create", "--bundle", s.bundle(path), "life")
	defer s.try("delete", "--force", "life") // after a failure
	s.wantState("life", specs.StateCreated)
	s.wantUnit(scope, "ActiveState=active", "Slice=test-final.slice", "TasksMax=20", "CPUQuotaPerSecUSec=500ms",
		"KillSignal=10", "TimeoutStopUSec=7s", "CollectMode=inactive-or-failed")
	for _, p := range g.parts {
		text := readFile("/proc/" + strconv.Itoa(s.state("life").Pid) + "/cgroup")
		if got := ParseMembership(text).in(p.Hierarchy); got != "/test.slice/test-final.slice/"+scope {
			t.Errorf("%s: the process is in %s", p.Dir, got)
		}
	}
	s.final("start", "life")
	s.wantState("life", specs.StateRunning)
	for line := range strings.SplitSeq(s.final("exec", "life", "cat", "/proc/self/cgroup"), "\n") {
		if !strings.HasSuffix(line, ":/") { // the root of the container's cgroup namespace
			t.Errorf("a second process is in %s", line)
		}
	}
	s.final("update", "--pids-limit", "30", "--memory", "96m", "life")
	s.wantUnit(scope, "TasksMax=30")
	if out, err := exec.Command("systemctl", "daemon-reload").CombinedOutput(); err != nil {
		t.Errorf("daemon-reload: %v: %s", err, out)
	}
	pids, memory := g.one(t, "pids", "pids.max", "pids.max"), g.one(t, "memory", "memory.limit_in_bytes", "memory.max")
	if pids != "30" || memory != strconv.Itoa(96<<20) {
		t.Errorf("after the update: %s pids, %s bytes of memory", pids, memory)
	}
	s.final("pause", "life")
	s.wantState("life", "paused")
	s.final("resume", "life")
	s.wantState("life", specs.StateRunning)
	s.final("kill", "life", "KILL")
	until(t, "the container ends", func() bool { return s.state("life").Status == specs.StateStopped })
	s.final("delete", "life")
	if g.Exists() {
		t.Error("the group is there after delete")
	}
	s.wantUnit(scope, "LoadState=not-found")
}

// Without linux.cgroupsPath it is a scope of system.slice, and a running container goes by force.
func TestDefaultScopeInsideSystemd(t *testing.T) {
	if os.Getenv(insideSystemd) == "" {
		return // it is not a test of its own
	}
	s := &scopes{t, t.TempDir()}
	const scope = "simple-container-usual.scope"
	for range 2 { // the second time under the same name
		s.final("run", "--detach", "--bundle", s.bundle(""), "usual")
		defer s.try("delete", "--force", "usual") // after a failure
		s.wantState("usual", specs.StateRunning)
		s.wantUnit(scope, "ActiveState=active", "Slice=system.slice")
		s.final("delete", "--force", "usual")
		s.wantUnit(scope, "LoadState=not-found")
	}
}
