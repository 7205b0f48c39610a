//go:build linux

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/executor"
	"github.com/simple-container/simple-container/final/internal/op"
	oci "github.com/simple-container/simple-container/final/internal/runtime"
)

// BenchmarkLifeCycle is how long an OCI runtime takes to create, start and delete a container whose command
// ends at once. All runtimes that are installed take turns on one bundle, so that whatever else the machine does
// hits them alike: the ratios count, not the times. Of final it is the build for engines.
//
//	go test ./final -run '^$' -bench LifeCycle -benchtime 200x
func BenchmarkLifeCycle(b *testing.B) {
	runtime.LockOSThread() // and never unlock: the thread, in its namespace, ends with this function
	dir := b.TempDir()
	if err := errors.Join(
		unix.Unshare(unix.CLONE_NEWNS),
		unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""),
		unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=755"),    // as /run is, where states are kept
		unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), // the containers' processes become our children
	); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) }) // or the directory cannot be removed
	_ = unix.Unmount("/sys/fs/cgroup/unified", 0)                // crun takes v1 or v2, and nothing between
	for name, tags := range map[string]string{"final": "engine", "whole": ""} {
		build := exec.Command("go", "build", "-tags", tags, "-o", dir+"/"+name, ".")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			b.Fatalf("%v\n%s", err, out)
		}
	}
	if err := writeBundle(dir); err != nil {
		b.Fatal(err)
	}
	contenders := []*contender{
		{name: "final", command: []string{dir + "/final", "--root", dir + "/stub"}},
		{name: "its re-exec", command: []string{dir + "/final", "--root", dir + "/reexec", "--executor", "reexec"}},
		{name: "whole program", command: []string{dir + "/whole", "--root", dir + "/whole-state"}},
	}
	for _, name := range []string{"crun", "runc"} {
		if path, err := exec.LookPath(name); err == nil {
			contenders = append(contenders, &contender{name: name, command: []string{path, "--root", dir + "/" + name}})
		}
	}
	for i := 0; b.Loop(); i++ {
		for _, turn := range rand.Perm(len(contenders)) { // who comes after whom must not matter
			if err := contenders[turn].cycle(dir, i); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(0, "ns/op") // of all together it says nothing
	fmt.Printf("\n%-16s %8s %8s %8s %8s   %s\n", "ms", "min", "p25", "median", "p95", "p25, final's by this one's")
	for _, c := range contenders {
		fmt.Printf("%-16s %8.1f %8.1f %8.1f %8.1f   %.2f\n", c.name, c.quantile(0), c.quantile(0.25), c.quantile(0.5), c.quantile(0.95),
			contenders[0].quantile(0.25)/c.quantile(0.25))
	}
}

// writeBundle makes a bundle whose command does nothing, confined as Docker has it.
func writeBundle(dir string) error {
	list := &op.List{}
	list.Add(op.Exit(0))
	list.Fail(op.Int(2), 1)
	nothing, err := executor.Program(list)
	if err != nil {
		return err
	}
	s := oci.ExampleSpec(false)
	s.Version = "1.0.2" // crun 1.8 knows no newer
	s.Process.Terminal, s.Process.Args = false, []string{"/nothing"}
	s.Linux.Seccomp = &specs.LinuxSeccomp{
		DefaultAction: specs.ActAllow, Architectures: []specs.Arch{specs.ArchX86_64},
		Syscalls: []specs.LinuxSyscall{{Names: []string{"reboot", "swapon", "kexec_load", "mount", "bpf"}, Action: specs.ActErrno}},
	}
	if runtime.GOARCH == "arm64" {
		s.Linux.Seccomp.Architectures = []specs.Arch{specs.ArchAARCH64}
	}
	limit, memory := int64(100), int64(64<<20)
	s.Linux.Resources.Pids = &specs.LinuxPids{Limit: &limit}
	s.Linux.Resources.Memory = &specs.LinuxMemory{Limit: &memory}
	text, err := json.Marshal(s)
	return errors.Join(err,
		os.Mkdir(dir+"/rootfs", 0o755), os.WriteFile(dir+"/rootfs/nothing", nothing, 0o755),
		os.WriteFile(dir+"/config.json", text, 0o644))
}

// A contender is a runtime, and the times it took.
type contender struct {
	name    string
	command []string
	times   []time.Duration
}

// cycle is one container's life.
func (c *contender) cycle(bundle string, round int) error {
	id := "bench-" + strings.Trim(filepath.Base(c.command[0]), "/") + "-" + strconv.Itoa(os.Getpid()) + "-" + strconv.Itoa(round)
	pidFile := bundle + "/pid"
	start := time.Now()
	if err := c.run("create", "--bundle", bundle, "--pid-file", pidFile, id); err != nil {
		return err
	}
	if err := c.run("start", id); err != nil {
		return err
	}
	text, err := os.ReadFile(pidFile)
	if err != nil {
		return err
	}
	pid, err := strconv.Atoi(string(text))
	if err != nil {
		return err
	}
	if _, err := unix.Wait4(pid, nil, 0, nil); err != nil {
		return fmt.Errorf("%s: wait for %d: %w", c.name, pid, err)
	}
	if err := c.run("delete", id); err != nil {
		return err
	}
	c.times = append(c.times, time.Since(start))
	return nil
}

func (c *contender) run(args ...string) error {
	cmd := exec.Command(c.command[0], append(slices.Clone(c.command[1:]), args...)...)
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s %s: %w", c.name, args[0], err)
	}
	return nil
}

// quantile is in milliseconds.
func (c *contender) quantile(q float64) float64 {
	sorted := slices.Sorted(slices.Values(c.times))
	if len(sorted) == 0 {
		return 0
	}
	return float64(sorted[int(q*float64(len(sorted)-1))].Microseconds()) / 1000
}
