//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// This file has the attacks on the process that becomes the container's: on what it inherits, and on the
// moments before it is confined.

// CVE-2016-9962, CVE-2024-21626: a directory of the host that the caller left open would be a way out of the
// container.
func TestInheritedDescriptors(t *testing.T) {
	byBoth(t, func(t *testing.T, v *victim) {
		root, err := os.Open(v.dir)
		if err != nil {
			t.Fatal(err)
		}
		defer root.Close()
		v.caller = func(cmd *exec.Cmd) { // descriptors 3 to 12, none closed on exec
			cmd.ExtraFiles = slices.Repeat([]*os.File{root}, 10)
		}
		const list = "cd /proc/$$/fd; for f in *; do [ -e $f/config.json ] && echo $f is the host; done; echo end"
		if out := v.run("sh", "-c", list); out != "end\n" {
			t.Errorf("open in the container: %s", out)
		}
		v.start("sleep", "60")
		if out := v.exec("sh", "-c", list); out != "end\n" {
			t.Errorf("open in an exec: %s", out)
		}
		if names, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*/config.json", v.pid())); err != nil || len(names) > 0 {
			t.Errorf("open in the container, seen from outside: %v, %v", names, err)
		}
	})
}

// CVE-2024-21626: a working directory of /proc/self/fd/7 would be wherever descriptor 7 of the container side
// is, which was a directory of the host.
func TestWorkingDirectoryThroughDescriptor(t *testing.T) {
	byBoth(t, func(t *testing.T, v *victim) {
		root, err := os.Open("/")
		if err != nil {
			t.Fatal(err)
		}
		defer root.Close()
		v.caller = func(cmd *exec.Cmd) { cmd.ExtraFiles = slices.Repeat([]*os.File{root}, 5) }
		if err := os.Symlink("/proc/self/fd", v.image("places")); err != nil {
			t.Fatal(err)
		}
		for _, dir := range []string{"/proc/self/fd/7", "/proc/self/cwd", "/proc/1/root/etc", "/places/5/tmp", "/places/3/a/new/one"} {
			v.spec.Process.Cwd = dir
			v.configure("true")
			v.refused("process.cwd: " + dir)
		}
		v.spec.Process.Cwd = "/"
		v.start("sleep", "60")
		for _, dir := range []string{"/proc/self/fd/7", "/places/4", "/proc/1/cwd/new"} {
			if _, complaint, code := v.final("exec", "--cwd", dir, v.id, "true"); code != 255 {
				t.Errorf("exec in %s: exit code %d, %s; want 255", dir, code, complaint)
			}
		}
	})
}

// The parents of a working directory that is missing are made by the container side while it is root: through
// a link of /proc it would make them on the host.
func TestWorkingDirectoryIsMadeInside(t *testing.T) {
	byBoth(t, func(t *testing.T, v *victim) {
		if err := os.Symlink("../../../home", v.image("link")); err != nil {
			t.Fatal(err)
		}
		v.spec.Process.Cwd = "/link/a/b"
		if out := v.run("pwd"); out != "/home/a/b\n" {
			t.Errorf("working directory: %q; want /home/a/b", out)
		}
	})
}

// CVE-2019-5736: an image whose command leads to /proc/self/exe has the runtime execute itself inside, where
// /proc/PID/exe is the program on the host, to be written to by root.
func TestOverwriteRuntime(t *testing.T) {
	byBoth(t, func(t *testing.T, v *victim) {
		content, err := os.ReadFile(v.program)
		if err != nil {
			t.Fatal(err)
		}
		own := filepath.Join(v.dir, "final") // should it be overwritten, then not the other tests'
		// Not by us: what another test starts meanwhile would have it open for writing for a moment (ETXTBSY).
		if out, err := exec.Command("cp", v.program, own).CombinedOutput(); err != nil {
			t.Fatalf("cp: %v\n%s", err, out)
		}
		v.program = own
		writeProgram(t, v.image("bin/script"), []byte("#!/proc/self/exe\n"))
		if err := os.Symlink("/proc/self/exe", v.image("bin/link")); err != nil {
			t.Fatal(err)
		}
		v.spec.Process.Capabilities.Bounding = append(v.spec.Process.Capabilities.Bounding, "CAP_DAC_OVERRIDE", "CAP_SYS_PTRACE")
		v.spec.Process.Capabilities.Permitted = v.spec.Process.Capabilities.Bounding
		v.spec.Process.Capabilities.Effective = v.spec.Process.Capabilities.Bounding
		v.start("/attack", "overwrite", "/overwritten")
		found := func() bool {
			text, _ := os.ReadFile(v.image("overwritten"))
			return strings.Contains(string(text), "found ")
		}
		for end, rounds := time.Now().Add(30*time.Second), 0; rounds < 10 || !found() && time.Now().Before(end); rounds++ {
			v.final("exec", v.id, "/bin/script", "--version")
			v.final("exec", v.id, "/bin/link")
		}
		if log := v.stop("overwritten"); strings.Contains(log, "open for writing") {
			t.Errorf("inside: %s; want nothing that can be opened for writing", log)
		} else if !strings.Contains(log, "not permitted") && !strings.Contains(log, "read-only") {
			t.Errorf("inside: %s; the attack has not found the program", log)
		}
		sameBytes(t, v.program, content)
	})
}

// stop ends an attacker in the container and returns what it has logged.
func (v *victim) stop(log string) string {
	v.Helper()
	if err := os.WriteFile(v.image("stop"), nil, 0o644); err != nil {
		v.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		text, err := os.ReadFile(v.image(log))
		if err == nil && strings.HasSuffix(string(text), "done\n") || time.Now().After(deadline) {
			return string(text)
		}
	}
}

// overwritePrograms opens the programs of all processes that come up, and tries to write to them when they
// are not executed any more, which is when the kernel allows it.
func overwritePrograms(args []string) error {
	log, err := os.Create(args[0])
	if err != nil {
		return err
	}
	var own unix.Stat_t
	if err := unix.Stat("/proc/self/exe", &own); err != nil {
		return err
	}
	var lab unix.Stat_t
	_ = unix.Stat("/bin/lab", &lab)
	held := map[string]int{}
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		if unix.Access("/stop", unix.F_OK) == nil {
			break
		}
		eachProcess(func(pid string) {
			var stat unix.Stat_t
			fd, err := unix.Open("/proc/"+pid+"/exe", unix.O_PATH, 0)
			if err != nil {
				return
			}
			err = unix.Fstat(fd, &stat)
			key := fmt.Sprint(stat.Dev, stat.Ino)
			if _, known := held[key]; known || err != nil || stat.Ino == own.Ino || stat.Ino == lab.Ino {
				unix.Close(fd)
				return
			}
			name, _ := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
			fmt.Fprintf(log, "found %s\n", name)
			held[key] = fd
		})
	}
	for _, fd := range held {
		path := "/proc/self/fd/" + strconv.Itoa(fd)
		name, _ := os.Readlink(path)
		for range 1000 {
			program, err := os.OpenFile(path, os.O_WRONLY, 0)
			if errors.Is(err, unix.ETXTBSY) {
				time.Sleep(time.Millisecond)
				continue
			}
			if err == nil {
				_, err = program.WriteAt([]byte("overwritten"), 0)
			}
			if err == nil {
				fmt.Fprintf(log, "%s: open for writing, and written to\n", name)
			} else {
				fmt.Fprintf(log, "%s: %v\n", name, err)
			}
			break
		}
	}
	fmt.Fprintln(log, "done")
	return nil
}

// eachProcess calls do for the processes but the first and this one.
func eachProcess(do func(pid string)) {
	dir, err := os.Open("/proc")
	if err != nil {
		return
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(0)
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil && pid > 1 && pid != os.Getpid() {
			do(name)
		}
	}
}

// CVE-2016-9962: a process that enters a container is visible there before it is confined. Whoever may look
// into it, or trace it, has what it has: the host's files, environment and capabilities. Even CAP_SYS_PTRACE
// must not help.
func TestWatchExec(t *testing.T) {
	byUsers(t, func(t *testing.T, v *victim) {
		for _, set := range []*[]string{
			&v.spec.Process.Capabilities.Bounding, &v.spec.Process.Capabilities.Permitted, &v.spec.Process.Capabilities.Effective,
		} {
			*set = append(*set, "CAP_SYS_PTRACE", "CAP_DAC_OVERRIDE", "CAP_SYS_CHROOT")
		}
		mark := filepath.Join(v.dir, "config.json") // on the host
		v.start("/attack", "watch", mark, "/seen")
		for range 25 {
			if v.final("exec", "--env", "HOST_ARGUMENT=secret", v.id, "true"); t.Failed() {
				break
			}
		}
		if text := v.stop("seen"); text != "done\n" {
			t.Errorf("seen from inside:\n%s", text[:min(len(text), 2000)])
		}
	})
}

// watchProcesses looks into all processes that come up for what is not the container's.
func watchProcesses(args []string) error {
	log, err := os.Create(args[1])
	if err != nil {
		return err
	}
	own, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return err
	}
	capabilities := func(status string) uint64 {
		_, rest, _ := strings.Cut(status, "CapEff:\t")
		line, _, _ := strings.Cut(rest, "\n")
		n, _ := strconv.ParseUint(line, 16, 64)
		return n
	}
	mine := capabilities(string(own))
	seen := map[string]bool{}
	say := func(format string, args ...any) {
		if text := fmt.Sprintf(format, args...); !seen[text] {
			seen[text] = true
			fmt.Fprintln(log, text)
		}
	}
	for end := time.Now().Add(time.Minute); time.Now().Before(end) && unix.Access("/stop", unix.F_OK) != nil; {
		eachProcess(func(pid string) {
			dir := "/proc/" + pid
			if unix.Access(dir+"/root"+args[0], unix.F_OK) == nil {
				say("the host's files, through %s", "/proc/PID/root")
			}
			if unix.Access(dir+"/cwd/config.json", unix.F_OK) == nil {
				say("the host's files, through %s", "/proc/PID/cwd")
			}
			if text, err := os.ReadFile(dir + "/cmdline"); err == nil && strings.Contains(string(text), "--root") {
				say("the command line: %q", text)
			}
			if text, err := os.ReadFile(dir + "/environ"); err == nil && strings.Contains(string(text), "HOST_SECRET") {
				say("the environment: %q", text)
			}
			if text, err := os.ReadFile(dir + "/status"); err == nil && capabilities(string(text))&^mine != 0 {
				name, _, _ := strings.Cut(string(text), "\n")
				if n, err := strconv.Atoi(pid); err == nil {
					err = unix.PtraceSeize(n) // it stays ours, and may hang: one is enough
					say("%s has more capabilities: %#x; ptrace: %v", name, capabilities(string(text))&^mine, err)
				}
			}
			names, _ := filepath.Glob(dir + "/fd/*")
			for _, name := range names {
				if info, err := os.Stat(name); err == nil && info.IsDir() && unix.Access(name+"/config.json", unix.F_OK) == nil {
					say("a directory of the host, as a descriptor")
				}
			}
		})
	}
	fmt.Fprintln(log, "done")
	return nil
}

// The hooks of startContainer run in the container while its first process waits: that one is not confined yet, and
// whoever could write to it would have a process without a filter.
func TestHookTakesOverWhoWaits(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(v *victim)
		more   string // a capability
	}{
		{"root", func(*victim) {}, "CAP_DAC_OVERRIDE"},
		{"user", func(v *victim) { v.rootless() }, "CAP_SYS_PTRACE"}, // in a user namespace, which is not the program's
	} {
		t.Run(test.name, func(t *testing.T) {
			byBoth(t, func(t *testing.T, v *victim) {
				test.change(v)
				all := append(v.spec.Process.Capabilities.Bounding, test.more)
				v.spec.Process.Capabilities = &specs.LinuxCapabilities{Bounding: all, Permitted: all, Effective: all}
				hook := specs.Hook{Path: "/attack", Args: []string{"/attack", "take", "1"}, Env: []string{attackerEnv}}
				v.spec.Hooks = &specs.Hooks{StartContainer: []specs.Hook{hook, hook}}
				v.run("true")
			})
		})
	}
}

// takeOver tries all that leads into another process.
func takeOver(args []string) (err error) {
	pid, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	pidfd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return err
	}
	file := func(name string) func() error {
		return func() error {
			fd, err := unix.Open(fmt.Sprintf("/proc/%d/%s", pid, name), unix.O_RDONLY, 0)
			unix.Close(fd)
			return err
		}
	}
	for _, try := range []struct {
		name string
		do   func() error
	}{
		{"mem", func() error { _, err := os.OpenFile(fmt.Sprintf("/proc/%d/mem", pid), os.O_RDWR, 0); return err }},
		{"ptrace", func() error { return unix.PtraceSeize(pid) }},
		{"pidfd_getfd", func() error { _, err := unix.PidfdGetfd(pidfd, 3, 0); return err }},
		{"setns", func() error { return unix.Setns(pidfd, unix.CLONE_NEWUTS) }},
		{"root", file("root")}, {"cwd", file("cwd")}, {"exe", file("exe")}, {"fd/3", file("fd/3")}, {"ns/mnt", file("ns/mnt")},
		{"environ", file("environ")}, {"maps", file("maps")},
	} {
		if try.do() == nil {
			err = errors.Join(err, fmt.Errorf("%s lets me in", try.name))
		}
	}
	return err
}

// beCaller calls a program the way that a careless caller does. What it gives, the container must not have.
func beCaller(args []string) error {
	what, args := args[0], args[1:]
	runtime.LockOSThread()
	switch what {
	case "capabilities": // CVE-2022-29162
		err := raiseAmbient(unix.CAP_NET_RAW, unix.CAP_SYS_ADMIN)
		if err != nil {
			return err
		}
	case "umask":
		unix.Umask(0)
	case "attributes":
		unix.Umask(0o077)
		if err := ignoreAndBlock(); err != nil {
			return err
		}
		var one unix.CPUSet
		one.Set(0)
		if err := unix.SchedSetaffinity(0, &one); err != nil {
			return err
		}
		const whoProcess, idle = 1, 3 << 13
		if _, _, errno := unix.RawSyscall(unix.SYS_IOPRIO_SET, whoProcess, 0, idle|7); errno != 0 {
			return errno
		}
	case "keys":
		ring, err := unix.KeyctlJoinSessionKeyring("caller")
		if err == nil {
			_, err = unix.AddKey("user", "callers-key", []byte("secret"), ring)
		}
		if err != nil {
			return err
		}
	}
	return syscall.Exec(args[0], args, os.Environ())
}

func raiseAmbient(list ...int) error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return err
	}
	for _, number := range list {
		data[number/32].Inheritable |= 1 << (number % 32)
	}
	if err := unix.Capset(&header, &data[0]); err != nil {
		return err
	}
	for _, number := range list {
		if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, uintptr(number), 0, 0); err != nil {
			return err
		}
	}
	return nil
}

// ignoreAndBlock does it to signals, by system calls: package signal would keep Go's own handlers.
func ignoreAndBlock() error {
	var set unix.Sigset_t
	for _, signal := range []unix.Signal{unix.SIGTERM, unix.SIGUSR1} {
		set.Val[0] |= 1 << (signal - 1)
	}
	if err := unix.PthreadSigmask(unix.SIG_BLOCK, &set, nil); err != nil {
		return err
	}
	ignore := [4]uintptr{1} // struct sigaction of the kernel: SIG_IGN
	for _, signal := range []unix.Signal{unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGPIPE, unix.SIGCHLD, 32, 33, 34, 40} {
		if err := sigaction(signal, &ignore); err != nil {
			return err
		}
	}
	return nil
}

// CVE-2022-24769, CVE-2022-27650, CVE-2022-29162: capabilities that the caller has as inheritable or ambient
// would be those of programs in the container that have file capabilities.
func TestCallersCapabilities(t *testing.T) {
	byBoth(t, func(t *testing.T, v *victim) {
		v.through("capabilities")
		v.spec.Process.NoNewPrivileges = false
		check := func(what, text string, want string) {
			t.Helper()
			for _, set := range []string{"CapInh", "CapAmb"} {
				if got := fieldOf(t, text, set); got != "0000000000000000" {
					t.Errorf("%s: %s %s; want none", what, set, got)
				}
			}
			for _, set := range []string{"CapPrm", "CapEff", "CapBnd"} {
				if got := fieldOf(t, text, set); got != want {
					t.Errorf("%s: %s %s; want %s", what, set, got, want)
				}
			}
		}
		const example, withChown = "0000000020000420", "0000000020000421"
		check("run", v.run("cat", "/proc/self/status"), example)
		v.start("sleep", "60")
		check("exec", v.exec("cat", "/proc/self/status"), example)
		out, _, _ := v.final("exec", "--cap", "CAP_CHOWN", v.id, "cat", "/proc/self/status")
		check("exec --cap", out, withChown)
		out, _, _ = v.final("exec", "--user", "1000", v.id, "cat", "/proc/self/status")
		for _, set := range []string{"CapInh", "CapAmb", "CapEff", "CapPrm"} {
			if got := fieldOf(t, out, set); got != "0000000000000000" {
				t.Errorf("exec --user 1000: %s %s; want none", set, got)
			}
		}
	})
}

// exec --cap gives what the container lets its processes inherit to any user, and nothing else to anybody but root.
func TestExecCapabilities(t *testing.T) {
	byBoth(t, func(t *testing.T, v *victim) {
		list := []string{"CAP_CHOWN", "CAP_KILL"}
		v.spec.Process.Capabilities = &specs.LinuxCapabilities{Bounding: list, Permitted: list, Inheritable: list[:1]}
		v.start("sleep", "60")
		for name, want := range map[string]string{"CAP_CHOWN": "0000000000000001", "CAP_KILL": "0000000000000000"} {
			out, _, _ := v.final("exec", "--user", "1000", "--cap", name, v.id, "cat", "/proc/self/status")
			for _, set := range []string{"CapAmb", "CapEff"} {
				if got := fieldOf(t, out, set); got != want {
					t.Errorf("--cap %s: %s %s, want %s", name, set, got, want)
				}
			}
		}
	})
}

// A caller that ignores signals, has a strange umask, or is bound to a processor, would pass that on: a
// container that does not end at SIGTERM, and one whose files others cannot read.
func TestCallersAttributes(t *testing.T) {
	byBoth(t, func(t *testing.T, v *victim) {
		all, err := os.ReadFile("/proc/self/status")
		if err != nil {
			t.Fatal(err)
		}
		v.through("attributes")
		check := func(what, text string) {
			t.Helper()
			for name, want := range map[string]string{
				"SigBlk": "0000000000000000", "SigIgn": "0000000000000000", "Umask": "0022",
				"Cpus_allowed_list": fieldOf(t, string(all), "Cpus_allowed_list"),
			} {
				if got := fieldOf(t, text, name); got != want {
					t.Errorf("%s: %s %s; want %s", what, name, got, want)
				}
			}
		}
		adjust := 300
		v.spec.Process.OOMScoreAdj = &adjust
		v.spec.Process.Rlimits = nil
		const script = "read x < /proc/self/oom_score_adj; echo oom: $x; exec /attack caller nothing /bin/cat /proc/self/status"
		first := v.run("sh", "-c", script)
		check("run", first)
		v.start("sleep", "60")
		second := v.exec("sh", "-c", script)
		check("exec", second)
		for _, text := range []string{first, second} {
			if got := fieldOf(t, text, "oom"); got != "300" {
				t.Errorf("oom_score_adj %s; want 300", got)
			}
		}
		priority, _, _ := unix.RawSyscall(unix.SYS_IOPRIO_GET, 1, uintptr(v.pid()), 0)
		if priority>>13 == 3 {
			t.Errorf("the container has the caller's I/O priority: %#x", priority)
		}
	})
}

// The caller's session keyring holds the caller's keys: tickets, and the secrets of encrypted directories.
func TestCallersKeys(t *testing.T) {
	byBoth(t, func(t *testing.T, v *victim) {
		v.through("keys")
		for what, out := range map[string]string{"run": v.run("/attack", "keys"), "exec": func() string {
			v.start("sleep", "60")
			return v.exec("/attack", "keys")
		}()} {
			if strings.Contains(out, "ENOSYS") {
				t.Skip("the kernel has no keys")
			}
			if strings.Contains(out, "callers-key") {
				t.Errorf("%s: the container finds %s", what, out)
			}
		}
	})
}

// listKeys looks for the key that beCaller has added.
func listKeys([]string) error {
	id, err := unix.KeyctlSearch(unix.KEY_SPEC_SESSION_KEYRING, "user", "callers-key", 0)
	if err != nil {
		fmt.Println(unix.ErrnoName(err.(unix.Errno)))
		return nil
	}
	text, err := unix.KeyctlString(unix.KEYCTL_DESCRIBE, id)
	fmt.Println(text, err)
	return nil
}

// CVE-2016-3697: a user of the image's passwd whose name is a number. CVE-2026-30892: what was no number was
// taken for 0. Users are numbers here, and nothing in the image says which.
func TestOddUsers(t *testing.T) {
	byBoth(t, func(t *testing.T, v *victim) {
		text := "1000:x:0:0::/:/bin/sh\nroot:x:0:0::/:/bin/sh\n"
		if err := os.WriteFile(v.image("etc/passwd.new"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(v.image("etc/passwd.new"), v.image("etc/passwd")); err != nil {
			t.Fatal(err)
		}
		v.start("sleep", "60")
		out, _, _ := v.final("exec", "--user", "1000:1001", v.id, "cat", "/proc/self/status")
		if uid, gid := fieldOf(t, out, "Uid"), fieldOf(t, out, "Gid"); uid != "1000\t1000\t1000\t1000" || gid != "1001\t1001\t1001\t1001" {
			t.Errorf("exec --user 1000:1001: uid %q, gid %q", uid, gid)
		}
		for _, user := range []string{
			"root", "-1", "4294967295", "4294967296", "18446744073709551616", "0x0", "1000 ", " 0", "+0", ":", "1000:", ":0", "1:2:3", "1,0", "1000\n",
		} {
			out, complaint, code := v.final("exec", "--user", user, v.id, "cat", "/proc/self/status")
			if code != 255 || out != "" {
				t.Errorf("exec --user %q: exit code %d, %s%s; want it refused", user, code, out, complaint)
			}
		}
	})
}

// Without the filter, a process that was executed into the container could make the calls that the container
// itself may not, and without no_new_privs gain what the container has given up.
func TestExecIsConfined(t *testing.T) {
	byBoth(t, func(t *testing.T, v *victim) {
		v.spec.Linux.Seccomp = &specs.LinuxSeccomp{
			DefaultAction: specs.ActAllow,
			// What the container side calls itself is forbidden too: the filter comes last.
			Syscalls: []specs.LinuxSyscall{{Action: specs.ActKillProcess, Names: []string{
				"close_range", "capset", "setsid", "setresuid", "setresgid", "setgroups", "setns", "unshare", "mount",
				"move_mount", "open_tree", "pivot_root", "mount_setattr", "keyctl", "umask", "sethostname", "accept4",
			}}},
		}
		check := func(what, text, nnp string) {
			t.Helper()
			if got := fieldOf(t, text, "Seccomp"); got != "2" {
				t.Errorf("%s: Seccomp %s; want 2", what, got)
			}
			if got := fieldOf(t, text, "NoNewPrivs"); got != nnp {
				t.Errorf("%s: NoNewPrivs %s; want %s", what, got, nnp)
			}
		}
		check("run", v.run("cat", "/proc/self/status"), "1")
		v.spec.Process.NoNewPrivileges = false
		v.start("sleep", "60")
		check("exec", v.exec("cat", "/proc/self/status"), "0")
		out, _, _ := v.final("exec", "--no-new-privs", v.id, "cat", "/proc/self/status")
		check("exec --no-new-privs", out, "1")
		if _, _, code := v.final("exec", v.id, "hostname", "other"); code != 128+int(unix.SIGSYS) {
			t.Errorf("a call that the filter forbids: exit code %d; want %d", code, 128+int(unix.SIGSYS))
		}
	})
}

// A file of the host that the caller passes for reading must stay its owner's: else the user of the container
// opens it again, for writing, through /proc/self/fd/0.
func TestStandardInputKeepsItsOwner(t *testing.T) {
	byBoth(t, func(t *testing.T, v *victim) {
		path := filepath.Join(v.dir, "input")
		if err := os.WriteFile(path, []byte("the host's\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		file, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		v.caller = func(cmd *exec.Cmd) { cmd.Stdin = file }
		v.spec.Process.User.UID = 1000
		out := v.run("sh", "-c", "echo changed > /proc/self/fd/0; exit 0")
		sameBytes(t, path, []byte("the host's\n"))
		var stat unix.Stat_t
		if err := unix.Stat(path, &stat); err != nil || stat.Uid != 0 {
			t.Errorf("it belongs to %d, %v: %s", stat.Uid, err, out)
		}
	})
}

func sigaction(signal unix.Signal, action *[4]uintptr) error {
	_, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(signal), uintptr(unsafe.Pointer(action)), 0, 8, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}
