//go:build linux

package engines

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestMain starts this program three times over:
//
//	outside    makes what is needed, and cgroups; starts, in new namespaces,
//	init       process 1 there, which makes the mounts, reaps orphans, and starts
//	tests      the tests. When they end, so does process 1, and with it whatever is left.
func TestMain(m *testing.M) {
	switch os.Getenv(stage) {
	case "init":
		os.Exit(initWorld())
	case "tests":
		os.Exit(m.Run())
	}
	if os.Getuid() != 0 || len(installed()) == 0 {
		os.Exit(m.Run()) // need has the words
	}
	code, err := makeWorld()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// stage is the environment's variable that says which of the three this is; work the one for the directory
// that all of them share.
const stage, work = "ENGINES_STAGE", "ENGINES_WORK"

// inVM tells whether this is vagrant/microvm's machine: it is ours, on pure cgroup v2, with an emulated processor.
var inVM = os.Getenv("MICROVM") != ""

// programs are the ones that tests need, with their packages in Debian and Ubuntu.
var programs = map[string]string{
	"podman": "podman", "conmon": "conmon", "catatonit": "catatonit",
	"containerd": "containerd", "ctr": "containerd",
	"dockerd": "docker.io", "docker": "docker.io",
	"crun": "crun", "runc": "runc", "newuidmap": "uidmap",
}

func installed() (names []string) {
	for name := range programs {
		if _, err := exec.LookPath(name); err == nil {
			names = append(names, name)
		}
	}
	return names
}

// need is the rule for what a test calls: vagrant/provision.sh installs it, so on the machines that CI=true
// names it must be there. Docker is the exception: its package starts a daemon that takes the machine's packet
// forwarding over, so nobody gets it from us, and it is tested where it is.
func need(t *testing.T, names ...string) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skipf("engines need root: %v", unix.EPERM)
	}
	for _, name := range names {
		_, err := exec.LookPath(name)
		switch {
		case err == nil:
		case (inVM || os.Getenv("CI") == "true") && programs[name] != "docker.io":
			t.Fatalf("%v: CI=true and MICROVM=1 promise it: vagrant/provision.sh has to install %s", err, programs[name])
		default:
			t.Skipf("%v: install %s", err, programs[name])
		}
	}
}

// runtimeUnderTest is the runtime that the engines are given: RUNTIME says which. "final" is this tree's, built
// for engines; "whole" is the same with all that people type.
func runtimeUnderTest(t *testing.T) string {
	t.Helper()
	name := os.Getenv("RUNTIME")
	if name == "" {
		name = "final"
	}
	if name == "final" || name == "whole" || filepath.IsAbs(name) {
		return filepath.Join(os.Getenv(work), filepath.Base(name)) // makeWorld has put it there
	}
	need(t, name)
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatal(err)
	}
	return path
}
