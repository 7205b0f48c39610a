//go:build linux

package runtime

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// loadPolicy has the kernel enforce testdata/selinux.cil from now on, which is for as long as the micro-VM runs.
var loadPolicy = sync.OnceValue(func() error {
	policy := filepath.Join(os.TempDir(), "policy")
	// Version 31 is one that each of Debian's kernels takes; secilc alone would take its own newest.
	if out, err := exec.Command("secilc", "-c", "31", "-o", policy, "-f", os.DevNull, "testdata/selinux.cil").CombinedOutput(); err != nil {
		return fmt.Errorf("secilc: %w\n%s", err, out)
	}
	text, err := os.ReadFile(policy)
	if err != nil {
		return err
	}
	return errors.Join(os.WriteFile("/sys/fs/selinux/load", text, 0), os.WriteFile("/sys/fs/selinux/enforce", []byte("1"), 0))
})

func needSELinux(t *testing.T) {
	t.Helper()
	needModule(t, "selinux")
	if err := loadPolicy(); err != nil {
		t.Fatal(err)
	}
}

const (
	runtimeLabel   = "system_u:system_r:kernel_t:s0-s0:c1,c2"
	containerLabel = "system_u:system_r:container_t:s0:c1,c2"
	otherLabel     = "system_u:system_r:other_t:s0:c1,c2"
	filesLabel     = "system_u:object_r:container_file_t:s0:c1,c2"
)

// labelled is a change to a container that SELinux is told of.
func labelled(label string) func(*specs.Spec) {
	return func(s *specs.Spec) {
		s.Process.SelinuxLabel, s.Linux.MountLabel = label, filesLabel
		s.Process.Args = []string{"sh", "-c", tryWrite + "; sleep 1000"}
	}
}

const tryWrite = `cat /proc/self/attr/current; echo
for dir in /dev /dev/shm; do echo x > $dir/file && echo wrote; done 2>/dev/null
echo done`

// TestSELinux: the command runs under its label, as both sides see it, and what the policy forbids is refused; so does
// one more process. The file systems of the container have the label of the spec.
func TestSELinux(t *testing.T) {
	needSELinux(t)
	for name, change := range map[string]func(*specs.Spec){
		"plain":             func(s *specs.Spec) { s.Process.NoNewPrivileges = false },
		"user":              func(s *specs.Spec) { mapped(s); s.Process.NoNewPrivileges = false },
		"no new privileges": func(s *specs.Spec) { s.Process.NoNewPrivileges = true },
	} {
		t.Run(name, func(t *testing.T) {
			both(t, func(w *world) { w.testSELinux(change) })
		})
	}
}

func (w *world) testSELinux(change func(*specs.Spec)) {
	c := w.create("a", labelled(containerLabel), change)
	w.wantLabel(c.Pid, runtimeLabel) // it becomes the command at its start
	w.must(c.Start())
	w.untilCommand(c.Pid)
	w.wantLabel(c.Pid, containerLabel)
	w.checkFiles(c)
	for label, want := range map[string]string{
		"":         containerLabel + "\nwrote\nwrote\ndone", // the container's
		otherLabel: otherLabel + "\ndone",
	} {
		got, code, err := c.exec(func(o *ExecOptions) {
			o.Process.Args, o.Process.SelinuxLabel = []string{"sh", "-c", tryWrite}, label
			o.Process.NoNewPrivileges = o.Process.NoNewPrivileges && label == ""
		})
		if err != nil || code != 0 || strings.ReplaceAll(got, "\x00", "") != want {
			w.Errorf("exec %q: code %d, %v\n%s\nwant:\n%s", label, code, err, got, want)
		}
	}
	w.wantLabel(os.Getpid(), runtimeLabel)
	if next := w.attribute(os.Getpid(), "exec"); next != "" {
		w.Errorf("the runtime itself would become %q", next)
	}
}

// checkFiles looks at the file systems that were made for the container.
func (w *world) checkFiles(c *container) {
	w.Helper()
	for _, place := range []string{"/dev", "/dev/pts", "/dev/shm", "/dev/mqueue"} {
		path := fmt.Sprintf("/proc/%d/root%s", c.Pid, place)
		label := make([]byte, 256)
		n, err := unix.Getxattr(path, "security.selinux", label)
		if got := strings.TrimRight(string(label[:max(n, 0)]), "\x00"); err != nil || got != filesLabel {
			w.Errorf("%s has the label %q, %v; want %s", place, got, err, filesLabel)
		}
	}
	whole := map[string]bool{"/dev": true, "/dev/pts": true, "/dev/shm": true, "/dev/mqueue": false, "/proc": false, "/sys": false}
	for line := range strings.Lines(w.proc(c.Pid, "mountinfo")) {
		place := strings.Fields(line)[4]
		want, listed := whole[place]
		if got := strings.Contains(line, `context="`+filesLabel+`"`); listed && got != want {
			w.Errorf("context= on %s: %v, want %v: %s", place, got, want, line)
		}
	}
}

func (w *world) wantLabel(pid int, want string) {
	w.Helper()
	if got := w.attribute(pid, "current"); got != want {
		w.Errorf("label of process %d: %q, want %q", pid, got, want)
	}
}

func (w *world) attribute(pid int, name string) string {
	w.Helper()
	return strings.TrimRight(w.proc(pid, "attr/"+name), "\x00")
}

// TestSELinuxRefused: a label that the policy does not know fails the creation, in words by which engines tell it; one
// that the runtime may not give fails the start.
func TestSELinuxRefused(t *testing.T) {
	needSELinux(t)
	both(t, func(w *world) {
		_, err := w.tryCreate("a", CreateOptions{}, labelled("system_u:system_r:no_t:s0"))
		w.refused(err, `process.selinuxLabel: "system_u:system_r:no_t:s0": `+"`/proc/self/attr/keycreate`", "knows no such context")
		w.checkNothingLeft("create")
		_, err = w.tryCreate("a", CreateOptions{NoNewKeyring: true}, labelled("system_u:system_r:no_t:s0"))
		w.refused(err, `process.selinuxLabel: "system_u:system_r:no_t:s0": `+"`/proc/self/attr/exec`", "knows no such context")
		w.checkNothingLeft("create")
		_, err = w.tryCreate("a", CreateOptions{}, labelled(containerLabel), func(s *specs.Spec) { s.Linux.MountLabel = "no_t" })
		w.refused(err, "mounts[1]: destination /dev: mount: invalid argument", `linux.mountLabel "no_t"`)
		w.checkNothingLeft("create")
		c := w.create("b", labelled("system_u:system_r:forbidden_t:s0"), func(s *specs.Spec) { s.Process.NoNewPrivileges = false })
		w.refused(c.Start(), "exec sh", "permission denied")
		c = w.create("c", labelled(otherLabel), func(s *specs.Spec) { s.Process.NoNewPrivileges = true })
		w.refused(c.Start(), "exec sh", "operation not permitted")
	})
}
