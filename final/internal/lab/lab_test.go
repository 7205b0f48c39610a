//go:build linux

package lab

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The tests run the lab as a container does: in a root file system that it made, with namespaces around it. The
// program is built twice, as `go run` may do it: with cgo, which makes it a dynamic program, and without.

var builds = map[string]func() (string, error){
	"cgo":    sync.OnceValues(func() (string, error) { return buildRoot("1") }),
	"static": sync.OnceValues(func() (string, error) { return buildRoot("0") }),
}

var work string

func TestMain(m *testing.M) {
	// A container has no variables of its host.
	code := func() int {
		var err error
		if work, err = os.MkdirTemp("", "lab-test-"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(work)
		return m.Run()
	}()
	os.Exit(code)
}

// buildRoot builds final and has it make a root file system.
func buildRoot(cgo string) (string, error) {
	program, root := filepath.Join(work, "final"+cgo), filepath.Join(work, "root"+cgo)
	build := exec.Command("go", "build", "-o", program, "github.com/simple-container/simple-container/final")
	build.Env = append(os.Environ(), "CGO_ENABLED="+cgo)
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build: %w\n%s", err, out)
	}
	if out, err := exec.Command(program, "rootfs", root).CombinedOutput(); err != nil {
		return "", fmt.Errorf("final rootfs: %w\n%s", err, out)
	}
	return root, nil
}

// eachBuild runs a test on both builds; without a C compiler, or without root, says why not.
func eachBuild(t *testing.T, test func(t *testing.T, root string)) {
	if os.Geteuid() != 0 {
		t.Skip("chroot needs root: EPERM for others")
	}
	for name, build := range builds {
		t.Run(name, func(t *testing.T) {
			if name == "cgo" {
				if _, err := exec.LookPath("gcc"); err != nil {
					t.Skipf("cgo needs a C compiler: %v", err)
				}
			}
			root, err := build()
			if err != nil {
				t.Fatal(err)
			}
			test(t, root)
		})
	}
}

// one is the build that most tests use: what they test does not depend on it.
func one(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("chroot needs root: EPERM for others")
	}
	root, err := builds["static"]()
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// inside prepares a command in a world of its own. Its first process is a shell that mounts /proc and runs
// the rest: process 1 itself would not be killed by its own signals.
func inside(t *testing.T, root string, args ...string) *exec.Cmd {
	t.Helper()
	script := `mount -t proc proc /proc && "$@"`
	cmd := exec.CommandContext(t.Context(), "/bin/sh", append([]string{"-c", script, "sh"}, args...)...)
	cmd.Env = []string{"PATH=/bin", "HOME=/root", "TERM=vt100"}
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Chroot:     root,
		Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC | syscall.CLONE_NEWNET,
		// Not a flag for clone: Go makes / private after this one, so that the mount of /proc stays in here.
		Unshareflags: syscall.CLONE_NEWNS,
		Pdeathsig:    syscall.SIGKILL,
	}
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// run runs a shell script inside and returns what it printed and its exit code.
func run(t *testing.T, root, script string) (stdout, stderr string, code int) {
	t.Helper()
	runtime.LockOSThread() // Pdeathsig watches the thread
	defer runtime.UnlockOSThread()
	cmd := inside(t, root, "sh", "-c", script)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s: %v\n%s", script, err, &errs)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// ignoredHere is the set of signals that whoever started the test has it ignore, in hexadecimal. It passes through
// every execve, so the lab's children have it too, and should have nothing more.
func ignoredHere(t *testing.T) string {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, set, _ := strings.Cut(string(status), "SigIgn:\t")
	set, _, _ = strings.Cut(set, "\n")
	return set
}

func TestBothBuildsRun(t *testing.T) {
	eachBuild(t, func(t *testing.T, root string) {
		out, errs, code := run(t, root, "echo hello | cat; hostname box; hostname; id -un; ls -d /bin/ls; ps -o comm=")
		if code != 0 || errs != "" {
			t.Errorf("exit code %d, errors %q", code, errs)
		}
		for _, want := range []string{"hello\n", "box\n", "root\n", "/bin/ls\n", "\nps\n"} {
			if !strings.Contains(out, want) {
				t.Errorf("printed %q, want %q in it", out, want)
			}
		}
	})
}

func TestEveryCommandIsLinked(t *testing.T) {
	root := one(t)
	for _, name := range names() {
		target, err := os.Readlink(filepath.Join(root, "bin", name))
		if name == "lab" {
			if info, err := os.Stat(filepath.Join(root, "bin", "lab")); err != nil || !info.Mode().IsRegular() {
				t.Errorf("/bin/lab: %v, %v; want a program", info, err)
			}
		} else if err != nil || target != "lab" {
			t.Errorf("/bin/%s points to %q, %v; want lab", name, target, err)
		}
	}
	info, err := os.Stat(filepath.Join(root, "tmp"))
	if err != nil || info.Mode()&(os.ModeSticky|0o777) != os.ModeSticky|0o777 {
		t.Errorf("/tmp has mode %v, want 1777", info.Mode())
	}
}

func TestNamesAreUnique(t *testing.T) {
	seen := map[string]bool{}
	for _, name := range names() {
		if seen[name] {
			t.Errorf("%s is in the table twice", name)
		}
		seen[name] = true
	}
}

// Each script is written as people write them. want is in the output, unless it is "".
func TestShell(t *testing.T) {
	root := one(t)
	for _, tt := range []struct {
		script string
		code   int
		want   string
	}{
		{"true", 0, ""},
		{"false", 1, ""},
		{"exit 42", 42, ""},
		{"nosuchcommand", 127, ""},
		{"/nosuch/command", 127, ""},
		{"/etc/passwd", 126, ""},
		{"/etc", 126, ""},
		{"sh -c 'kill -TERM $$'", 143, ""},
		{"sh -c 'kill -9 $$'; exit $?", 137, ""},
		{"lab exit 7", 7, ""},
		{"lab signal INT; echo $?", 0, "130\n"},
		{"lab signal SEGV; echo $?", 0, "139\n"},
		{"sh -c 'kill -SEGV $$'; echo $?", 0, "139\n"},
		{"sh -c 'kill -QUIT $$'; echo $?", 0, "131\n"},
		{"trap 'echo quit' QUIT; kill -QUIT $$; echo after", 0, "quit\nafter\n"},
		{"sh nosuchfile", 127, ""},
		{"sh -e -c 'false; echo no'", 1, ""},
		{"set -u; echo $nosuch; echo no", 1, ""},
		{"sh -c 'if'", 2, ""},
		{"ls --nosuch", 2, ""},
		{"echo a b | tr a-z A-Z", 0, "A B\n"},
		{"x=$(echo one; echo two); echo \"$x\" | wc -l", 0, "2\n"},
		{"cat <<E\nhere $((1+2))\nE", 0, "here 3\n"},
		{"sh -c 'echo $0 $1' zero one", 0, "zero one\n"},
		{"printf 'echo from stdin; cat\\nthe rest\\n' | sh", 0, "from stdin\nthe rest\n"},
		{"printf '#!/bin/sh\\necho script $1' > /tmp/s; chmod +x /tmp/s; /tmp/s x", 0, "script x\n"},
		{"printf 'echo no shebang $1' > /tmp/n; chmod +x /tmp/n; /tmp/n x", 0, "no shebang x\n"},
		{"exec echo replaced; echo no", 0, "replaced\n"},
		{"echo $$ > /tmp/p; exec sh -c 'test $$ = $(cat /tmp/p) && echo same'", 0, "same\n"},
		{"sleep 100 & kill $!; wait $!; echo $?", 0, "143\n"},
		{"lab exit 3 & wait $!; echo $?", 0, "3\n"},
		{"nosuchcommand & test $! -gt 0 && wait $!; echo $?", 0, "127\n"},
		{"true & kill -0 $! && wait $!; echo $?", 0, "0\n"},
		{"(exit 4) & wait; echo $?", 0, "0\n"},
		{"for i in 1 2 3; do sleep 0 & done; wait; echo done", 0, "done\n"},
		{"sleep 100 & kill %1; wait %1; echo $?", 0, "143\n"},
		{"eval 'lab exit 5 &'; wait $!; echo $?", 0, "5\n"},
		{"trap 'echo got it' TERM; kill -TERM $$; echo after", 0, "got it\nafter\n"},
		{"trap 'exit 9' TERM; sleep 5 & kill -TERM $$; wait; echo no", 9, ""},
		{"trap 'exit 9' TERM; (while :; do :; done) & kill -TERM $$; wait; echo no", 9, ""},
		{"trap 'echo bye' EXIT; exit 3", 3, "bye\n"},
		{"trap '' TERM; kill -TERM $$; sleep 0.1; echo alive", 0, "alive\n"},
		{"trap 'exit 6' USR1; kill -USR1 $$; while :; do :; done", 6, ""},
		{"trap x KILL", 1, ""},
		{"A=1 env | grep ^A=", 0, "A=1\n"},
		{"export B=2; env | grep ^B=", 0, "B=2\n"},
		{"export C=3; unset C; env | grep -c ^C=; true", 0, "0\n"},
		{"env -i D=4 env", 0, "D=4\n"},
		{"PATH=/nosuch; ls", 127, ""},
		{"cd /etc && pwd && cat hostname", 0, "/etc\nlab\n"},
		{"umask 077; touch /tmp/u; stat -c %a /tmp/u", 0, "600\n"},
		{"ulimit -n 99; sh -c 'ulimit -n'", 0, "99\n"},
		{"timeout 0.1 sleep 5; echo $?", 0, "124\n"},
		{"f() { return 5; }; f; echo $?", 0, "5\n"},
		{"a='one two'; printf '<%s>' \"$a\" 'three\nfour'", 0, "<one two><three\nfour>"},
		{"grep Ign /proc/self/status | cut -f 2", 0, ignoredHere(t) + "\n"},
		{"grep SigBlk /proc/self/status | cut -f 2", 0, "0000000000000000\n"},
		{"(echo sub; exit 3); echo $?", 0, "sub\n3\n"},
		{"echo hi > /tmp/o 2>&1; cat < /tmp/o", 0, "hi\n"},
		{"! false && echo not", 0, "not\n"},
	} {
		t.Run(tt.script, func(t *testing.T) {
			t.Parallel()
			out, errs, code := run(t, root, tt.script)
			if code != tt.code || !strings.Contains(out, tt.want) || strings.Contains(out, "no\n") {
				t.Errorf("exit code %d, printed %q, errors %q; want %d and %q", code, out, errs, tt.code, tt.want)
			}
		})
	}
}

func TestShellExplainsMissingInterpreters(t *testing.T) {
	root := one(t)
	_, errs, code := run(t, root, "printf '#!/usr/bin/perl\\n' > /tmp/perl; chmod +x /tmp/perl; /tmp/perl")
	if code != 127 || !strings.Contains(errs, "/tmp/perl") || !strings.Contains(errs, "needs /usr/bin/perl") {
		t.Errorf("exit code %d, errors %q; want 127 and both names", code, errs)
	}
}

func TestCommands(t *testing.T) {
	root := one(t)
	for _, tt := range []struct {
		script, want string
		code         int
	}{
		{"ls /nosuch", "ls: /nosuch: no such file or directory\n", 1},
		{"cat /nosuch /etc/hostname", "lab\n", 1},
		{"mkdir -p /tmp/a/b; echo x > /tmp/a/b/f; cp -r /tmp/a /tmp/c; cat /tmp/c/b/f; rm -r /tmp/a /tmp/c; ls /tmp", "x\n", 0},
		{"cd /tmp; echo 1 > x; ln -s x l; readlink l; ls -l l; mv x y; cat l", "l -> x", 1},
		{"cd /tmp; touch m; chmod u=rwx,go-rwx,+t m; stat -c '%a %F' m", "1700 regular empty file\n", 0},
		{"cd /tmp; mknod z c 1 5; stat -c '%t %T %F' z; head -c 4 z | hexdump -C", "1 5 character special file\n", 0},
		{"ps aux | head -1", "USER       PID", 0},
		{"sleep 5 & ps -o pid,ppid,comm,args | grep 'sleep 5'", "sleep           sleep 5\n", 0},
		{"ps -ef | head -1", "UID        PID  PPID", 0},
		{"mount -t tmpfs -o size=1m none /mnt && mount | grep /mnt; df -h /mnt | tail -1; umount /mnt; mountpoint /mnt", "none on /mnt type tmpfs (rw,relatime,size=1024k)\n", 1},
		{"mkdir -p /tmp/bm; mount --bind -o ro /etc /tmp/bm && touch /tmp/bm/x; umount /tmp/bm", "read-only file system", 0},
		{"seq 10 | tail -n 2; seq 10 | head -n 1", "9\n10\n1\n", 0},
		{"printf 'b\\na\\nb\\n' | sort | uniq -c", "      1 a\n      2 b\n", 0},
		{"printf 'a:b:c\\n' | cut -d : -f 1,3", "a:c\n", 0},
		{"echo foobar | grep -o 'o*b' ; echo x | grep -q y; echo $?", "oob\n1\n", 0},
		{"find / -maxdepth 1 -name 'e*' -type d", "/etc\n", 0},
		{"printf abc | sha256sum", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  -\n", 0},
		{"dd if=/proc/self/status of=/tmp/dd bs=4 count=1 2>/dev/null || true; wc -c < /tmp/dd", "4\n", 0},
		{"ip link set lo up && ip -br addr", "127.0.0.1/8", 0},
		{"ip link set lo up; ping -c 2 -i 0.05 127.0.0.1", "2 packets received, 0% packet loss", 0},
		{"ping -c 1 -W 1 192.0.2.1", "network is unreachable", 1},
		{"ip link set lo up; httpd -p 80 -t served & until wget -q -O - http://127.0.0.1/; do sleep 0.1; done; kill $!", "served\n", 0},
		{"ip link set lo up; nc -l -p 7 > /tmp/nc & until echo over | nc 127.0.0.1 7; do sleep 0.1; done; wait; cat /tmp/nc", "over\n", 0},
		{"ip link set lo up; lab connect 127.0.0.1:1", "connection refused", 1},
		{"nslookup localhost", "127.0.0.1", 0},
		{"ip link set nosuch up", `ip: device "nosuch"`, 1},
		{"unshare -u sh -c 'hostname inner; hostname'; hostname", "inner\n", 0},
		{"unshare -pf --mount-proc sh -c 'ps -o pid=,comm= | cat' | head -1", "", 0},
		{"id", "uid=0(root) gid=0(root)", 0},
		{"uname -s", "Linux\n", 0},
		{"lab nosuch", "lab: nosuch: no such command", 127},
		{"echo a b | xargs -n 1 echo item", "item a\nitem b\n", 0},
		{"test -d /etc && [ 1 -lt 2 ] && echo yes; /bin/test 1 = 2; echo $?", "yes\n1\n", 0},
		{"lab | grep -c .", "", 0},
		{"eat 12m", "ate 10M\nate 12M\n", 0},
		{"burn --threads 2 --for 200ms", "processors", 0},
		{"burn --threads x", `option '--threads': "x" is not a number`, 2},
		{"burn -t x", `option '-t': "x" is not a number`, 2},
		{"burn --help", "burn: use processors: burn [--threads N] [--for 5s]\n", 0},
		{"bomb --max 20", "killed and reaped 20 children\n", 0},
		{"zombies 3", "no zombies are left", 0},
		{"stubborn > /tmp/out & until grep -q ignores /tmp/out; do sleep 0.1; done; kill $!; until grep -q ? /tmp/out; do sleep 0.1; done; " +
			"kill -9 $!; wait $!; tail -n 1 /tmp/out; exit $?", "SIGTERM? no\n", 0},
		{"echo -n a; echo -ne 'b\\tc\\n'; echo -x -n; echo '%d\\n'", "ab\tc\n-x -n\n%d\\n\n", 0},
		{"printf '%s-%d\\n' a 1 b 2; /bin/printf '%03d%%\\n' 7; /bin/echo -e 'x\\ty'", "a-1\nb-2\n007%\nx\ty\n", 0},
		{"mknod /tmp/full c 1 7; echo x > /tmp/full", "echo: write error: /tmp/full: no space left on device\n", 1},
		{"escape", "escaped: / is", 0},
		{"syscalls 100 --missing 5", "getppid 100 times", 0},
		{"probe | grep 'namespace uts'", "uts:[", 0},
		{"probe --json | grep -c hostname", "1\n", 0},
	} {
		t.Run(tt.script, func(t *testing.T) {
			t.Parallel()
			// A /tmp of its own, so that the scripts can run side by side.
			out, errs, code := run(t, root, "mount -t tmpfs none /tmp; "+tt.script)
			if code != tt.code || !strings.Contains(out+errs, tt.want) {
				t.Errorf("exit code %d, printed %q, errors %q; want %d and %q", code, out, errs, tt.code, tt.want)
			}
		})
	}
}

// A line is one write, or the lines of two shells that append to one file would be torn.
func TestEchoWritesOnce(t *testing.T) {
	root := one(t)
	var ends [2]int
	if err := syscall.Pipe2(ends[:], syscall.O_CLOEXEC|syscall.O_DIRECT); err != nil { // each write is a packet
		t.Fatal(err)
	}
	r, w := os.NewFile(uintptr(ends[0]), "packets"), os.NewFile(uintptr(ends[1]), "packets")
	defer r.Close()
	cmd := inside(t, root, "sh", "-c", "echo one two three; /bin/echo four five; printf '%s\n' six seven")
	cmd.Stdout = w
	err := cmd.Run()
	_ = w.Close()
	if err != nil {
		t.Fatal(err)
	}
	packet := make([]byte, os.Getpagesize())
	for _, want := range []string{"one two three\n", "four five\n", "six\nseven\n"} {
		n, err := r.Read(packet)
		if got := string(packet[:n]); err != nil || got != want {
			t.Errorf("one write is %q, %v; want %q", got, err, want)
		}
	}
}

// The lab works in a container with few tasks: a shell and two commands fit into 32 with a Go program as process 1.
func TestTasks(t *testing.T) {
	root := one(t)
	out, errs, _ := run(t, root, "sleep 3 | sleep 3 & sleep 0.3; cat /proc/[0-9]*/status | grep Threads | cut -f 2")
	sum := 0
	for line := range strings.Lines(out) {
		n := 0
		if _, err := fmt.Sscan(line, &n); err != nil {
			t.Fatalf("%q: %v, errors %q", out, err, errs)
		}
		sum += n
	}
	// The shell, two sleeps, and the three of the pipeline that counts.
	if sum == 0 || sum > 6*7 {
		t.Errorf("a shell and five commands have %d threads, want at most 7 each", sum)
	}
}

// Whoever has put a user into a directory need not let them in: the shell stays where it is, and so do its commands.
func TestStaysWhereItIs(t *testing.T) {
	root := one(t)
	open, shut := t.TempDir(), t.TempDir()
	if err := errors.Join(
		os.Chmod(filepath.Dir(open), 0o755), os.Chmod(open, 0o755), os.Chmod(shut, 0o700),
		exec.Command("cp", filepath.Join(root, "bin/lab"), open+"/lab").Run(),
	); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlock: the thread stays in the directory
		if err := errors.Join(unix.Unshare(unix.CLONE_FS), unix.Chdir(shut)); err != nil {
			t.Error(err)
			return
		}
		cmd := exec.Command(open+"/lab", "sh", "-c", "/bin/echo one; exec /bin/echo two")
		cmd.Env = []string{}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 1000, Gid: 1000}}
		if out, err := cmd.CombinedOutput(); string(out) != "one\ntwo\n" || err != nil {
			t.Errorf("printed %q, %v; want one, two", out, err)
		}
	}()
	<-done
}
