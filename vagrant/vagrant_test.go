//go:build linux

// Package vagrant tests what makes machines for the workshop: the Vagrantfile,
// lima.yaml, and the script that prepares a host.
package vagrant

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// need is the rule for tests that call a program: CI claims to have them all,
// so there a missing one is a failure.
func need(t *testing.T, program string) {
	t.Helper()
	_, err := exec.LookPath(program)
	switch {
	case err == nil:
	case os.Getenv("CI") == "true":
		t.Fatalf("%v: CI=true promises it: it belongs in vagrant/provision.sh", err)
	default:
		t.Skipf("%v: run make setup", err)
	}
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, out, stderr.String())
	}
	return string(out)
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// No provider is installed where tests run, so their own settings stay
// unchecked: Ruby's syntax and Vagrant's are not.
func TestVagrantfile(t *testing.T) {
	need(t, "vagrant")
	t.Setenv("VAGRANT_HOME", t.TempDir())
	t.Setenv("VAGRANT_DOTFILE_PATH", t.TempDir())
	t.Setenv("VAGRANT_CHECKPOINT_DISABLE", "1") // asks the network for a newer Vagrant
	if out := run(t, "vagrant", "validate", "--ignore-provider"); !strings.Contains(out, "validated successfully") {
		t.Errorf("vagrant validate: %s", out)
	}
}

// box finds the pinned boxes: ["bento/debian-12", "202510.26.0"].
var box = regexp.MustCompile(`\["([\w-]+)/([\w.-]+)", "(\d[\d.]+)"\]`)

func TestVagrantfileCoversTheProviders(t *testing.T) {
	text := read(t, "Vagrantfile")
	for _, provider := range []string{"virtualbox", "vmware_desktop", "parallels", "libvirt", "qemu"} {
		if !strings.Contains(text, `config.vm.provider "`+provider+`"`) {
			t.Errorf("Vagrantfile has nothing for provider %s", provider)
		}
	}
	if pinned := box.FindAllString(text, -1); len(pinned) != 2 {
		t.Errorf("pinned boxes = %q, want one for desktops and one for clouds", pinned)
	}
}

// limaConfig is the part of lima.yaml that has to agree with other files.
type limaConfig struct {
	Base   string
	CPUs   int
	Memory string
	Mounts []struct {
		Location string
		Writable bool
	}
	Message string
}

func TestLima(t *testing.T) {
	need(t, "ruby") // comes with vagrant, and reads YAML
	var lima limaConfig
	out := run(t, "ruby", "-ryaml", "-rjson", "-e", `puts JSON.generate(YAML.safe_load(File.read("lima.yaml")))`)
	if err := json.Unmarshal([]byte(out), &lima); err != nil {
		t.Fatal(err)
	}
	for _, pinned := range box.FindAllStringSubmatch(read(t, "Vagrantfile"), -1) {
		if !strings.HasSuffix(lima.Base, "/"+pinned[2]) {
			t.Errorf("base = %q, the Vagrantfile has %s: learners would see different kernels", lima.Base, pinned[2])
		}
	}
	if len(lima.Mounts) != 1 || !lima.Mounts[0].Writable {
		t.Errorf("mounts = %v, want one, and writable", lima.Mounts)
	}
	if !strings.Contains(lima.Message, "vagrant/guest.sh") {
		t.Errorf("message = %q, want it to say that vagrant/guest.sh comes next", lima.Message)
	}
}

// TestShellScripts has shellcheck read every shell script of the repository.
func TestShellScripts(t *testing.T) {
	need(t, "shellcheck")
	need(t, "git")
	listed := run(t, "git", "-C", "..", "ls-files", "--cached", "--others", "--exclude-standard")
	var scripts []string
	for name := range strings.Lines(listed) {
		if file := filepath.Join("..", strings.TrimSpace(name)); isShellScript(t, file) {
			scripts = append(scripts, file)
		}
	}
	if len(scripts) < 2 {
		t.Fatalf("scripts = %q, want provision.sh and guest.sh at least", scripts)
	}
	run(t, "shellcheck", scripts...)
}

func isShellScript(t *testing.T, file string) bool {
	text, err := os.ReadFile(file)
	if err != nil { // removed and not committed yet, or a link to a directory
		return false
	}
	first, _, _ := strings.Cut(string(text[:min(len(text), 100)]), "\n")
	return regexp.MustCompile(`^#!.*\b(ba|da)?sh\b`).MatchString(first)
}

// Bad calls of provision.sh end before anything is installed, with one line
// that helps.
func TestProvisionRefuses(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root: becomes another user, and mounts in a namespace of its own")
	}
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil { // for the other user
		t.Fatal(err)
	}
	script := filepath.Join(dir, "provision.sh")
	if err := os.WriteFile(script, []byte(read(t, "provision.sh")), 0o755); err != nil {
		t.Fatal(err)
	}
	fedora := filepath.Join(dir, "os-release")
	if err := os.WriteFile(fedora, []byte("ID=fedora\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, want string
		args       []string
		attr       *syscall.SysProcAttr
	}{
		{"argument", "provision: unknown argument --maximal: usage: provision.sh [--minimal]",
			[]string{script, "--maximal"}, nil},
		{"user", "provision: needs root: sudo " + script,
			[]string{script}, &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}},
		{"distribution", "provision: fedora is not Debian or Ubuntu: install these by hand: ",
			[]string{"-c", "mount --make-rprivate / && mount --bind " + fedora + " /etc/os-release && exec " + script},
			&syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}},
	} {
		cmd := exec.CommandContext(t.Context(), "bash", test.args...)
		cmd.SysProcAttr = test.attr
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.HasPrefix(string(out), test.want) || strings.Count(string(out), "\n") != 1 {
			t.Errorf("wrong %s: %v, %q, want %q", test.name, err, out, test.want)
		}
	}
}
