//go:build linux

package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const walk, problem = "A walk through the code", "See the problem first"

func TestHostname(t *testing.T) {
	w := newWorld(t)
	host, err := os.Hostname()
	w.must(err)
	name := randomName()
	if r := w.run("run", "--hostname", name, "hostname"); strings.TrimSpace(r.stdout) != name {
		w.wrong("host name in the container", name, r, "sethostname was not called in the child", walk)
	}
	if now, _ := os.Hostname(); now != host {
		w.must(unix.Sethostname([]byte(host)))
		w.wrong("host name of the host", host, now, "CLONE_NEWUTS is missing, or the parent called sethostname", problem)
	}
}

// namespacesOf reads what a process's namespaces are called: uts:[4026531838].
func namespacesOf(w *world, task string, kinds ...string) (list []string) {
	w.Helper()
	for _, kind := range kinds {
		link, err := os.Readlink(fmt.Sprintf("/proc/%s/ns/%s", task, kind))
		w.must(err)
		list = append(list, link)
	}
	return list
}

func TestNamespaces(t *testing.T) {
	w := newWorld(t)
	pid := w.start("run", "sleep", "1000").started()
	kinds := []string{"uts", "pid", "mnt", "ipc"}
	host, inside := namespacesOf(w, "thread-self", kinds...), namespacesOf(w, strconv.Itoa(pid), kinds...)
	for i, kind := range kinds {
		if host[i] == inside[i] {
			w.wrong(kind+" namespace", "one of its own", "the host's, "+inside[i], "Cloneflags lacks it", walk)
		}
	}
}

func TestProcessesAlone(t *testing.T) {
	w := newWorld(t)
	r := w.run("run", "ps", "-ef")
	if n := len(lines(r.stdout)); n < 2 || n > 4 {
		w.wrong("ps -ef in the container", "a heading, process 1 and ps", r.stdout+r.stderr,
			"/proc is still the host's: mount a new one, from inside the PID namespace", walk)
	}
	if r = w.run("run", "sh", "-c", "readlink /proc/self"); len(strings.TrimSpace(r.stdout)) > 3 {
		w.wrong("a process's number", "a small one", r.stdout, "CLONE_NEWPID is missing", walk)
	}
}

func TestMountsStayInside(t *testing.T) {
	w := newWorld(t)
	p := w.start("run", "sleep", "1000")
	p.started()
	var news []string
	for _, item := range w.belongings() {
		if strings.HasPrefix(item, "mount ") && !slices.Contains(w.before, item) {
			news = append(news, item)
		}
	}
	proc := 0
	for _, item := range w.belongings() {
		if item == "mount /proc" {
			proc++
		}
	}
	if news != nil || proc != 1 {
		w.wrong("mounts on the host, while a container runs", "those of before, /proc once",
			fmt.Sprintf("new: %q, /proc: %d times", news, proc),
			`mount("", "/", "", MS_REC|MS_PRIVATE) must come before any other mount`, problem)
		for ; proc > 1; proc-- {
			_ = unix.Unmount("/proc", unix.MNT_DETACH) // so that the grader can go on
		}
	}
}

func TestExitCodes(t *testing.T) {
	w := newWorld(t)
	code := 1 + rand.IntN(100)
	for _, c := range []struct {
		args  []string
		want  int
		cause string
	}{
		{[]string{"run", "true"}, 0, "the child's code is not the program's"},
		{[]string{"run", "sh", "-c", fmt.Sprintf("exit %d", code)}, code, "the child's code is not the program's"},
		{[]string{"run", "sh", "-c", "kill -9 $$"}, 137, "a signal counts as 128 plus its number"},
		{[]string{"run", "sh", "-c", "kill -TERM $$"}, 143, "a signal counts as 128 plus its number"},
		{[]string{"run", "no-such-command"}, 127, "the command was not found"},
		{[]string{"run", "/no/such/command"}, 127, "the command was not found"},
		{[]string{"run", "/etc/passwd"}, 126, "the command is not executable"},
		{[]string{"run", "/etc"}, 126, "a directory is not executable"},
		{[]string{"run", "--no-such-flag"}, 125, "the program's own errors are 125"},
	} {
		if r := w.run(c.args...); r.code != c.want {
			w.wrong(fmt.Sprintf("exit code of %q", c.args), c.want, r, c.cause, walk)
		}
	}
}

func TestErrorsNameTheThing(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"run", "no-such-command"}, `"no-such-command"`},
		{[]string{"run", "--no-such-flag"}, "no-such-flag"},
		{[]string{"run", "--hostname", strings.Repeat("x", 65), "true"}, "hostname"},
		{[]string{"run", "--hostname", "a\n1.2.3.4 b", "true"}, "hostname"}, // it goes into /etc/hosts in step 04
		{[]string{"walk"}, `"walk"`},
	} {
		r := w.run(c.args...)
		if r.code == 0 || !strings.Contains(r.stderr, c.want) || len(lines(r.stderr)) > 2 {
			w.wrong(fmt.Sprintf("error of %q", c.args), "a line with "+c.want, r.stderr, "the error does not name its object", walk)
		}
	}
}

func TestStreams(t *testing.T) {
	w := newWorld(t)
	p := w.startWith(func(cmd *exec.Cmd) { cmd.Stdin = strings.NewReader("in") },
		"run", "sh", "-c", "cat; echo out; echo err >&2")
	if r := p.wait(); r.stdout != "inout\n" || !strings.Contains(r.stderr, "err\n") {
		w.wrong("stdout and stderr", `"inout\n" and "err\n"`, fmt.Sprintf("%q and %q", r.stdout, r.stderr),
			"the child does not have the three streams", walk)
	}
}

func TestArgumentsIntact(t *testing.T) {
	w := newWorld(t)
	args := []string{"", "two words", "a\nline", `"quoted"`, "'", `back\slash`, "$HOME", "*", randomName()}
	want := "[" + strings.Join(args, "][") + "]"
	r := w.run(append([]string{"run", "sh", "-c", `printf "[%s]" "$@"`, "sh"}, args...)...)
	if r.stdout != want {
		w.wrong("arguments", want, r.stdout+r.stderr, "arguments were joined to a string and split again", walk)
	}
}

func TestEnvironmentIsItsOwn(t *testing.T) {
	w := newWorld(t)
	secret := "SECRET=" + randomName()
	p := w.startWith(func(cmd *exec.Cmd) { cmd.Env = append(os.Environ(), secret, "PATH="+os.Getenv("PATH")+":/opt/host") },
		"run", "sh", "-c", "env; cat /proc/1/environ")
	r := p.wait()
	if strings.Contains(r.stdout, secret) {
		w.wrong("environment, and that of process 1", "nothing of the host's", secret, "Env was left nil", walk)
	}
	if !strings.Contains(r.stdout, "PATH=/") || strings.Contains(r.stdout, "/opt/host") {
		w.wrong("PATH", "the container's own", r.stdout, "Env was left nil", walk)
	}
}

func TestUmaskIsItsOwn(t *testing.T) {
	w := newWorld(t)
	p := w.startWith(func(cmd *exec.Cmd) {
		cmd.Path, cmd.Args = "/bin/sh", append([]string{"sh", "-c", `umask 077; exec "$@"`, "sh"}, cmd.Args...)
	}, "run", "sh", "-c", "umask")
	if r := p.wait(); strings.TrimSpace(r.stdout) != "0022" {
		w.wrong("umask", "0022", r, "it was inherited: in step 02 nobody but root may enter / then", walk)
	}
}

func TestDescriptorsStayOutside(t *testing.T) {
	w := newWorld(t)
	root, err := os.Open("/")
	w.must(err)
	defer root.Close()
	p := w.startWith(func(cmd *exec.Cmd) { cmd.ExtraFiles = []*os.File{nil, nil, root} }, "run", "sleep", "1000")
	dir := fmt.Sprintf("/proc/%d/fd/", p.started())
	entries, err := os.ReadDir(dir)
	w.must(err)
	for _, entry := range entries {
		if fd, _ := strconv.Atoi(entry.Name()); fd <= 2 {
			continue
		}
		// The command may open files of its own, but no directory, and no socket.
		if info, err := os.Stat(dir + entry.Name()); err == nil && !info.Mode().IsRegular() {
			target, _ := os.Readlink(dir + entry.Name())
			w.wrong("descriptors of the command", "0, 1 and 2", entry.Name()+" -> "+target,
				"what is above 2 was not marked close-on-exec", walk)
		}
	}
}

func TestSignalsReachTheCommand(t *testing.T) {
	w := newWorld(t)
	for _, signal := range []syscall.Signal{unix.SIGTERM, unix.SIGINT, unix.SIGHUP} {
		p := w.start("run", "sleep", "1000")
		p.started()
		w.must(p.Process.Signal(signal))
		if r := p.wait(); r.code != 128+int(signal) {
			w.wrong(fmt.Sprintf("exit code after %v to the program", signal), 128+int(signal), r.code,
				"signals are not handed on, or the command is process 1 and the kernel drops them", walk)
		}
	}
	// Only a small number is a container's: the host's process 1 is to be left alone.
	if r := w.run("run", "sh", "-c", "[ $$ -lt 100 ] || exit 99; kill -TERM 1; sleep 1000"); r.code != 143 {
		w.wrong("exit code after SIGTERM to process 1", 143, r.code, "process 1 ignores what it has no handler for", walk)
	}
}

func TestSignalDuringSetUp(t *testing.T) {
	w := newWorld(t)
	for range 20 { // at any moment
		p := w.start("run", "sleep", "1000")
		time.Sleep(time.Duration(rand.IntN(20)) * time.Millisecond)
		w.must(p.Process.Signal(unix.SIGTERM))
		<-p.done
	}
}

func TestOrphansAreReaped(t *testing.T) {
	w := newWorld(t)
	p := w.start("run", "sh", "-c", "for i in 1 2 3; do sh -c 'sleep 0.1 & exit'; done; sleep 1000")
	p.started()
	time.Sleep(500 * time.Millisecond) // three orphans by now, and they have ended
	init := p.init()
	gone := eventually(func() bool {
		for _, pid := range children(init) {
			if stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err == nil && strings.Contains(string(stat), ") Z ") {
				return false
			}
		}
		return true
	})
	if !gone {
		w.wrong("zombies below process 1", "none", "some", "process 1 must wait4(-1) for whoever dies", walk)
	}
}

func TestContainerEndsWithItsCommand(t *testing.T) {
	w := newWorld(t)
	mark := strconv.Itoa(100_000 + rand.IntN(100_000))
	if r := w.run("run", "sh", "-c", "sleep "+mark+" & exit 3"); r.code != 3 {
		w.wrong("exit code", 3, r.code, "the program waits for more than its command", walk)
	}
	if pid := find(mark); pid != 0 {
		_ = unix.Kill(pid, unix.SIGKILL)
		w.wrong("processes after the end", "none", pid, "CLONE_NEWPID is missing", walk)
	}
}

func TestContainerEndsWithItsParent(t *testing.T) {
	w := newWorld(t)
	p := w.start("run", "sleep", "1000")
	pid := p.started()
	w.must(p.Process.Kill())
	if !eventually(func() bool { return errors.Is(unix.Kill(pid, 0), unix.ESRCH) }) {
		_ = unix.Kill(pid, unix.SIGKILL)
		w.wrong("the command after kill -9 of the program", "gone", "running", "Pdeathsig is missing", walk)
	}
	w.clean()
}

func TestKilledAtAnyMoment(t *testing.T) {
	w := newWorld(t)
	for range 20 {
		p := w.start("run", "sleep", "1000")
		time.Sleep(time.Duration(rand.Int64N(int64(patient / 400))))
		w.must(p.Process.Kill())
		<-p.done
	}
	w.clean() // and that nothing is left then is looked at after every test
}

// find returns a process by a word of its command line, or 0.
func find(word string) int {
	entries, _ := os.ReadDir("/proc")
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		args, _ := os.ReadFile("/proc/" + entry.Name() + "/cmdline")
		if slices.Contains(strings.Split(string(args), "\x00"), word) {
			return pid
		}
	}
	return 0
}

func TestTwoSideBySide(t *testing.T) {
	w := newWorld(t)
	names := []string{randomName(), randomName()}
	var pids []int
	for _, name := range names {
		pids = append(pids, w.start("run", "--hostname", name, "sleep", "1000").started())
	}
	a, b := namespacesOf(w, strconv.Itoa(pids[0]), "uts", "pid", "mnt"), namespacesOf(w, strconv.Itoa(pids[1]), "uts", "pid", "mnt")
	for i := range a {
		if a[i] == b[i] {
			w.wrong("namespaces of two containers", "different", a[i], "Cloneflags lacks it", walk)
		}
	}
}

func TestNotRoot(t *testing.T) {
	w := newWorld(t)
	w.must(os.Chmod(w.dir, 0o755))
	w.must(os.Chmod(w.dir+"/..", 0o755))
	p := w.startWith(func(cmd *exec.Cmd) {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: 65534, Gid: 65534}
	}, "run", "true")
	r := p.wait()
	if r.code != 125 || len(lines(r.stderr)) != 1 || !strings.Contains(r.stderr, "go run -exec sudo") {
		w.wrong("as another user than root", "one line that tells: go run -exec sudo", r.stderr, "os.Geteuid was not asked", "Run it")
	}
}

func TestNarration(t *testing.T) {
	w := newWorld(t)
	name := randomName()
	r := w.run("run", "-v", "--hostname", name, "true")
	for _, want := range []string{"CLONE_NEWPID", fmt.Sprintf("sethostname(%q)", name), "$ hostname " + name, "$ mount --make-rprivate /"} {
		if !strings.Contains(r.stderr, want) {
			w.wrong("run -v", want, r.stderr, "a kernel call is not said before it is made", walk)
		}
	}
}

// As in: run -v ... 2>&1 | head -1
func TestReaderOfStderrGoesAway(t *testing.T) {
	w := newWorld(t)
	read, write, err := os.Pipe()
	w.must(err)
	defer write.Close()
	w.must(read.Close())
	p := w.startWith(func(cmd *exec.Cmd) { cmd.Stderr = write }, "run", "-v", "sh", "-c", "exit 7")
	if r := p.wait(); r.code != 7 {
		w.wrong("exit code when nobody reads stderr", 7, r.code,
			"SIGPIPE ended the program before it had cleaned up: what it writes matters less", walk)
	}
}
