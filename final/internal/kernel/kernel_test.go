//go:build linux

package kernel

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/sys/mountinfo"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func TestDoorSaysCallsBeforeItMakesThem(t *testing.T) {
	file := filepath.Join(t.TempDir(), "cpu.max")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	door := &Door{Explain: &said}
	door.Trap = func(int, Call) error {
		if text, _ := os.ReadFile(file); said.Len() == 0 || len(text) > 0 {
			t.Errorf("at the call: said %q, file %q; want the words first", &said, text)
		}
		return nil
	}
	if err := door.Write(file, "50000 100000"); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("write %s \"50000 100000\"\n  $ echo '50000 100000' > %s\n", file, file)
	if diff := cmp.Diff(want, said.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestDoorFailsTheNthCall(t *testing.T) {
	dir := t.TempDir()
	cause := errors.New("trapped")
	var seen []int
	door := &Door{Trap: func(n int, call Call) error {
		seen = append(seen, n)
		if n == 2 {
			return cause
		}
		return nil
	}}
	for i, name := range []string{"a", "b", "c"} {
		path := filepath.Join(dir, name)
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
		err := door.Rmdir(path)
		_, gone := os.Stat(path)
		if trapped := i == 1; errors.Is(err, cause) != trapped || errors.Is(gone, fs.ErrNotExist) == trapped {
			t.Errorf("call %d: error %v, directory %v", i+1, err, gone)
		}
	}
	if diff := cmp.Diff([]int{1, 2, 3}, seen); diff != "" || door.Calls() != 3 {
		t.Errorf("numbers of the calls, %d in all (-want +got):\n%s", door.Calls(), diff)
	}
}

func TestErrorsNameCallObjectValueAndCause(t *testing.T) {
	door := &Door{}
	missing := filepath.Join(t.TempDir(), "none")
	for _, test := range []struct {
		err   error
		want  string
		cause error
	}{
		{door.Write(missing, "1"), "write " + missing + ` "1": no such file or directory`, fs.ErrNotExist},
		{door.Write("/proc/self/oom_score_adj", "much"), `write /proc/self/oom_score_adj "much": invalid argument`, unix.EINVAL},
		{door.Rmdir(missing), "rmdir " + missing + ": no such file or directory", unix.ENOENT},
		{door.Rmdir("/proc"), "rmdir /proc: device or resource busy", unix.EBUSY},
		{door.Unlink(missing), "unlink " + missing + ": no such file or directory", fs.ErrNotExist},
		{door.Iptables(Iptables{Name: "no-such-iptables"}, "-S"), "execve no-such-iptables -w -S: ", exec.ErrNotFound},
	} {
		if test.err == nil || !strings.HasPrefix(test.err.Error(), test.want) || !errors.Is(test.err, test.cause) {
			t.Errorf("got %v\nwant %s (%v)", test.err, test.want, test.cause)
		}
	}
}

func TestSetReadsBack(t *testing.T) {
	door := &Door{}
	own := "/proc/self/coredump_filter" // takes 0x33 and gives 00000033
	before, err := os.ReadFile(own)
	if err != nil {
		t.Skipf("a kernel without core dumps: %v", err)
	}
	value := strings.TrimSpace(string(before))
	if err := door.Set(own, "0x"+value); err == nil || !strings.Contains(err.Error(), fmt.Sprintf(`the kernel made it "%s"`, value)) {
		t.Errorf("want an error with what the kernel made of it, got %v", err)
	}
	if err := door.Set("/proc/self/oom_score_adj", "500"); err != nil {
		t.Error(err)
	}
	if err := door.Set("/proc/self/oom_score_adj", "0"); err != nil {
		t.Error(err)
	}
}

func TestWriteEach(t *testing.T) {
	var said strings.Builder
	door := &Door{Explain: &said}
	file := filepath.Join(t.TempDir(), "devices.allow")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := door.WriteEach(file, "c 1:3 rwm", "c 1:5 rwm"); err != nil {
		t.Fatal(err)
	}
	want := strings.ReplaceAll(`write FILE "c 1:3 rwm"
  $ echo 'c 1:3 rwm' > FILE
write FILE "c 1:5 rwm"
  $ echo 'c 1:5 rwm' > FILE
`, "FILE", file)
	if diff := cmp.Diff(want, said.String()); diff != "" || door.Calls() != 2 {
		t.Errorf("%d calls (-want +got):\n%s", door.Calls(), diff)
	}
	if got, err := ReadFile(file); got != "c 1:3 rwmc 1:5 rwm" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	if err := door.WriteEach(file + "/none"); err != nil || door.Calls() != 2 {
		t.Errorf("no values: %d calls, %v; want nothing to happen", door.Calls(), err)
	}
}

func TestSetAs(t *testing.T) {
	door := &Door{}
	own := "/proc/self/coredump_filter" // takes 0x33 and gives 00000033
	before, err := ReadFile(own)
	if err != nil {
		t.Skipf("a kernel without core dumps: %v", err)
	}
	if err := door.SetAs(own, "0x"+before, func(got string) bool { return got == before }); err != nil {
		t.Error(err)
	}
}

// A file longer than one read.
func TestReadFile(t *testing.T) {
	want := strings.Repeat("0123456789", 3000)
	file := filepath.Join(t.TempDir(), "long")
	if err := os.WriteFile(file, []byte(want+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := ReadFile(file); got != want || err != nil {
		t.Errorf("got %d bytes, %v, want %d", len(got), err, len(want))
	}
	if _, err := ReadFile(file + "/x"); !errors.Is(err, unix.ENOTDIR) || err.Error() != "read "+file+"/x: not a directory" {
		t.Errorf("got %v", err)
	}
}

func TestDirectories(t *testing.T) {
	var said strings.Builder
	door := &Door{Explain: &said}
	dir := filepath.Join(t.TempDir(), "a b")
	if err := errors.Join(door.Mkdir(dir), door.Chown(dir, os.Getuid())); err != nil {
		t.Fatal(err)
	}
	if err := door.Mkdir(dir); !errors.Is(err, fs.ErrExist) {
		t.Errorf("again: got %v, want %v", err, fs.ErrExist)
	}
	door.Skip("linux.resources.memory.kernel: 64", "memory.limit counts it")
	want := fmt.Sprintf("mkdir D\n  $ mkdir 'D'\nfchownat D %[1]d AT_SYMLINK_NOFOLLOW\n  $ chown -h %[1]d 'D'\n"+
		"mkdir D\n  $ mkdir 'D'\nskip linux.resources.memory.kernel: 64: memory.limit counts it\n", os.Getuid())
	if diff := cmp.Diff(strings.ReplaceAll(want, "D", dir), strings.ReplaceAll(said.String(), "DIR", "D")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestSignal(t *testing.T) {
	sleep := exec.Command("sleep", "60")
	if err := sleep.Start(); err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	if err := (&Door{Explain: &said}).Signal(sleep.Process.Pid, unix.SIGTERM, nil); err != nil {
		t.Error(err)
	}
	_ = sleep.Wait() // it says "signal: terminated"
	if got := sleep.ProcessState.Sys().(syscall.WaitStatus).Signal(); got != syscall.SIGTERM {
		t.Errorf("want SIGTERM, got %v", got)
	}
	if want := fmt.Sprintf("pidfd_send_signal %d SIGTERM\n  $ kill -TERM %[1]d\n", sleep.Process.Pid); said.String() != want {
		t.Errorf("it said %q, want %q", &said, want)
	}
}

func TestKill(t *testing.T) {
	door := &Door{}
	sleep := exec.Command("sleep", "60")
	if err := sleep.Start(); err != nil {
		t.Fatal(err)
	}
	pid := sleep.Process.Pid
	if err := door.Kill(pid, func() bool { return false }); !errors.Is(err, unix.ESRCH) {
		t.Errorf("another process by now: want ESRCH, got %v", err)
	}
	if err := unix.Kill(pid, 0); err != nil {
		t.Fatalf("it should live: %v", err)
	}
	if err := door.Kill(pid, func() bool { return true }); err != nil {
		t.Error(err)
	}
	_ = sleep.Wait() // it says "signal: killed"
	if got := sleep.ProcessState.Sys().(syscall.WaitStatus).Signal(); got != syscall.SIGKILL {
		t.Errorf("want SIGKILL, got %v", got)
	}
	if err := door.Kill(pid, nil); !errors.Is(err, unix.ESRCH) {
		t.Errorf("gone: want ESRCH, got %v", err)
	}
}

func TestMountsBelow(t *testing.T) {
	text := `22 1 254:0 / / rw - ext4 /dev/vda rw
30 22 0:30 / /run rw - tmpfs tmpfs rw
31 30 0:31 / /run/simple-container/00000000dead/layers rw shared:3 - tmpfs tmpfs rw
32 31 0:32 / /run/simple-container/00000000dead/layers/root rw - overlay overlay rw
33 31 0:33 / /run/simple-container/00000000dead/layers rw - tmpfs second rw
34 30 0:34 / /run/simple-container/00000000deadbeef rw - tmpfs other rw
35 30 0:35 / /run/simple-container/00000000dead/a\040b rw - tmpfs tmpfs rw
`
	mounts, err := mountinfo.GetMountsFromReader(strings.NewReader(text), nil)
	if err != nil {
		t.Fatal(err)
	}
	const dir = "/run/simple-container/00000000dead"
	want := []string{dir + "/layers/root", dir + "/a b", dir + "/layers", dir + "/layers"}
	if diff := cmp.Diff(want, MountsBelow(mounts, dir)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestID(t *testing.T) {
	for name, want := range map[string]bool{
		"simple-container-0123456789ab":      true,
		"simple-container-0123456789aB":      false,
		"simple-container-0123456789abc":     false,
		"simple-container-":                  false,
		"simple-container-test-42":           false,
		"simple-container-0123456789ab/evil": false,
		"0123456789ab":                       false,
	} {
		if _, got := ID(name); got != want {
			t.Errorf("ID(%q): got %v, want %v", name, got, want)
		}
	}
}

func TestParseVersion(t *testing.T) {
	for release, want := range map[string]Version{
		"6.1.0-18-cloud-amd64":               {6, 1},
		"5.15.153.1-microsoft-standard-WSL2": {5, 15},
		"5.10.0-28-arm64":                    {5, 10},
		"7.0-rc1":                            {7, 0},
	} {
		if got, err := ParseVersion(release); got != want || err != nil {
			t.Errorf("%s: got %v, %v, want %v", release, got, err, want)
		}
	}
	if _, err := ParseVersion("linux"); err == nil {
		t.Error("linux: want an error")
	}
	if (Version{5, 10}).Compare(Version{5, 9}) != 1 || (Version{4, 19}).Compare(Version{5, 0}) != -1 {
		t.Error("5.9 < 5.10 and 4.19 < 5.0 must hold")
	}
}

func TestDumpIsRepeatedButNotForEver(t *testing.T) {
	tries := 0
	all, err := dump(func() ([]int, error) {
		if tries++; tries < 3 {
			return []int{1}, netlink.ErrDumpInterrupted
		}
		return []int{1, 2}, nil
	})
	if len(all) != 2 || err != nil || tries != 3 {
		t.Errorf("got %v, %v after %d tries", all, err, tries)
	}
	tries = 0
	_, err = dump(func() ([]int, error) { tries++; return nil, netlink.ErrDumpInterrupted })
	if !errors.Is(err, netlink.ErrDumpInterrupted) || tries != 10 {
		t.Errorf("a storm: got %v after %d tries", err, tries)
	}
}

// What is done on a thread of its own stays there, whichever thread the goroutine begins on.
func TestOnThreadKeepsNamespacesApart(t *testing.T) {
	needRoot(t)
	before := namespacesOf(t)
	for range 20 {
		inside := ""
		err := OnThread(func() error {
			if err := unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_NEWUTS); err != nil {
				return err
			}
			var err error
			inside, err = os.Readlink("/proc/thread-self/ns/uts")
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(before, inside) {
			t.Fatalf("unshare made no namespace: %s", inside)
		}
	}
	after := namespacesOf(t)
	for deadline := time.Now().Add(30 * time.Second); after != before && time.Now().Before(deadline); after = namespacesOf(t) {
		time.Sleep(time.Millisecond) // a thread takes a moment to end
	}
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("a thread has kept a namespace (-before +after):\n%s", diff)
	}
}

// namespacesOf returns the namespaces that the threads of this process are in, each once.
func namespacesOf(t *testing.T) string {
	t.Helper()
	links, err := filepath.Glob("/proc/self/task/*/ns/*")
	if err != nil {
		t.Fatal(err)
	}
	set := map[string]bool{}
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil { // else the thread has just ended
			set[target] = true
		}
	}
	return fmt.Sprint(set) // in order
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skipf("unshare needs root: %v", unix.EPERM)
	}
}

// The probes may find that something does not work; here it must, where the kernel's version promises it.
func TestFeatures(t *testing.T) {
	needRoot(t)
	release, err := Release()
	if err != nil {
		t.Fatal(err)
	}
	version, err := ParseVersion(release)
	if err != nil {
		t.Fatal(err)
	}
	before := descriptors(t)
	for _, f := range Features() {
		err := f.Probe()
		if version.Compare(f.Since) >= 0 && err != nil {
			t.Errorf("%s is in Linux since %s, this is %s: %v", f.Name, f.Since, release, err)
		}
		if version.Compare(f.Since) < 0 && err == nil {
			t.Errorf("%s is in Linux since %s, and said to work on %s", f.Name, f.Since, release)
		}
	}
	for _, n := range Namespaces {
		if err := n.Create(); err != nil {
			t.Error(err)
		}
	}
	if diff := cmp.Diff(before, descriptors(t)); diff != "" {
		t.Errorf("descriptors are left (-before +after):\n%s", diff)
	}
	if pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); !errors.Is(err, unix.ECHILD) {
		t.Errorf("a child is left: %d, %v", pid, err)
	}
}

func descriptors(t *testing.T) (open []string) {
	t.Helper()
	links, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil && !strings.HasPrefix(target, "anon_inode:") { // the runtime's own
			open = append(open, target)
		}
	}
	return open
}

func TestOverlayProbeLeavesNothing(t *testing.T) {
	needRoot(t)
	before, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	if err := Overlay(); err != nil {
		t.Skipf("this kernel mounts no overlay here: %v", err)
	}
	after, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(before), string(after)); diff != "" {
		t.Errorf("(-before +after):\n%s", diff)
	}
	if _, err := os.Stat("/run/upper"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("/run/upper: %v", err)
	}
}

func TestQuote(t *testing.T) {
	for word, want := range map[string]string{
		"":           "''",
		"/sys/fs":    "/sys/fs",
		"a b":        "'a b'",
		"it's":       `'it'\''s'`,
		"$(reboot)":  "'$(reboot)'",
		"10.0.0.0/8": "10.0.0.0/8",
	} {
		if got := quote(word); got != want {
			t.Errorf("quote(%q): got %s, want %s", word, got, want)
		}
	}
}
