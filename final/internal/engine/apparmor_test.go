//go:build linux

package engine

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/kernel"
	"github.com/simple-container/simple-container/final/internal/ocispec"
	"github.com/simple-container/simple-container/final/internal/runtime"
)

// needProfiles skips a test where AppArmor can be given no profile. A profile is the whole machine's: only that of the
// micro-VM, which has AppArmor unless its command line says otherwise, is ours to change.
func needProfiles(t *testing.T) {
	t.Helper()
	if os.Getenv("MICROVM") == "" {
		t.Skip("a profile is the machine's: this test needs the micro-VM")
	}
	line, _ := os.ReadFile("/proc/cmdline")
	if strings.Contains(string(line), "security=selinux") {
		t.Skip("AppArmor is off, as the kernel's command line has it")
	}
	if err := kernel.LoadsProfiles(); err != nil {
		t.Fatal(err)
	}
}

// tryAll does what the default profile forbids, and root with these options may do without it.
const tryAll = `cat /proc/self/attr/apparmor/current
mount -t tmpfs tmpfs /mnt && echo mount
cat /proc/sys/vm/swappiness > /tmp/value && cat /tmp/value > /proc/sys/vm/swappiness && echo setting
cat /sys/kernel/mm/ksm/run > /tmp/value && cat /tmp/value > /sys/kernel/mm/ksm/run && echo device
cat /sys/kernel/security/lsm > /dev/null && echo security
sleep 100 & kill $! && echo kill
echo x > /tmp/file && rm /tmp/file && echo file`

// open leaves nothing but AppArmor between the container and the machine.
func open(o *CreateOptions) {
	o.CapAdd = []string{"ALL"}
	o.Security.Seccomp, o.Security.SystemPaths = ocispec.Unconfined, true
	o.Mounts = []ocispec.Mount{{Type: ocispec.Bind, Source: "/sys", Target: "/sys"}, {Type: ocispec.Tmpfs, Target: "/mnt"}}
}

// TestDefaultProfile: a container that is told no AppArmor profile has ours, which holds back root with all
// capabilities, and nobody who does what programs do.
func TestDefaultProfile(t *testing.T) {
	needProfiles(t)
	w := newWorld(t)
	const confined, free = DefaultProfile + " (enforce)\nkill\nfile\n", "unconfined\nmount\nsetting\ndevice\nsecurity\nkill\nfile\n"
	for _, test := range []struct {
		name   string
		change func(*CreateOptions)
		want   string
	}{
		{"default", open, confined},
		{"unconfined", func(o *CreateOptions) { open(o); o.Security.AppArmor = ocispec.Unconfined }, free},
		{"privileged", func(o *CreateOptions) { open(o); o.CapAdd, o.Privileged = nil, true }, free},
		{"by name", func(o *CreateOptions) { open(o); o.Privileged, o.Security.AppArmor = true, DefaultProfile }, confined},
	} {
		out, errs, code := w.run(test.change, "", "sh", "-c", tryAll)
		if out != test.want || code != 0 {
			t.Errorf("%s: code %d\n%s\nwant:\n%s\nstderr: %s", test.name, code, out, test.want, errs)
		}
	}
}

// TestProfileOfLife: the profile is loaded once, and under it a container lives as any: it is seen from the host, has
// more processes, stops, ends by a signal of the host's.
func TestProfileOfLife(t *testing.T) {
	needProfiles(t)
	w := newWorld(t)
	c := w.start(nil, "sh", "-c", "trap 'echo stopped; exit 3' TERM; echo ready; while true; do sleep 0.1; done")
	w.awaitLog(c, "stdout: ready\n")
	c = w.find(c.ID)
	if got := profileOf(c.State.Pid); got != DefaultProfile+" (enforce)" {
		t.Errorf("the first process has the profile %q", got)
	}
	if got := profileOf(c.State.Monitor); got != "unconfined" {
		t.Errorf("the monitor has the profile %q", got)
	}
	seen, err := c.Inspect()
	w.must(err)
	if seen.AppArmorProfile != DefaultProfile {
		t.Errorf("inspect has the profile %q", seen.AppArmorProfile)
	}
	p, err := c.ExecProcess(ExecOptions{Args: []string{"sleep", "1000"}, Privileged: true}) // as Docker: it keeps the profile
	w.must(err)
	child, err := c.Exec(runtime.ExecOptions{Process: p})
	w.must(err)
	w.eventually("one more process is under the profile", func() bool {
		return profileOf(child.Pid) == DefaultProfile+" (enforce)"
	}, func() any { return profileOf(child.Pid) })
	w.must(unix.Kill(child.Pid, unix.SIGKILL))
	_, err = unix.Wait4(child.Pid, nil, 0, nil) // it is our child
	w.must(errors.Join(err, child.Pidfd.Close()))
	w.must(c.Stop(unix.SIGTERM, nil))
	w.awaitLog(c, "stdout: stopped\n")

	var said bytes.Buffer
	door := &kernel.Door{Explain: &said}
	w.must(door.LoadProfile(DefaultProfile, profileText))
	if said.Len() > 0 {
		t.Errorf("it is loaded once more: %s", &said)
	}
}

// TestProfileMissing: a profile that nobody has loaded fails the start, and the error says how it is loaded.
func TestProfileMissing(t *testing.T) {
	needProfiles(t)
	w := newWorld(t)
	c := w.create(func(o *CreateOptions) { o.Security.AppArmor = "no-such-profile" }, "true")
	_, err := c.Start(nil)
	if err == nil || !strings.Contains(err.Error(), "apparmor_parser -r") {
		t.Errorf("start: %v; want the remedy in it", err)
	}
}

func profileOf(pid int) string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/attr/apparmor/current", pid))
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(text))
}
