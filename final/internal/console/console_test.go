//go:build linux

package console

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/executor"
	"github.com/simple-container/simple-container/final/internal/op"
)

// socket is the number of the socket on the container side of these tests, report the one of the report.
const (
	socket = 3
	report = 4
	holder = 5 // a descriptor of the mount namespace to join
)

// size is what the terminals are made for.
var size = &specs.Box{Height: 33, Width: 99}

// root begins a list: a mount namespace of its own, and in it a root directory that is the machine's own with
// a fresh /dev and a devpts of its own. It returns the root directory's descriptor.
func root(t *testing.T, list *op.List) (root *op.Var, dir string) {
	t.Helper()
	dir, root = t.TempDir(), op.NewVar("root")
	list.Add(
		op.Mount(op.Null(), op.Str("/"), "", unix.MS_REC|unix.MS_PRIVATE, ""),
		op.Mount(op.Str("/"), op.Str(dir), "", unix.MS_BIND, ""),
		op.Mount(op.Str("tmpfs"), op.Str(dir+"/dev"), "tmpfs", 0, "mode=755"),
		op.Mkdirat(op.AtFdcwd(), dir+"/dev/pts", 0o755),
		op.Mount(op.Str("devpts"), op.Str(dir+"/dev/pts"), "devpts", 0, "newinstance,ptmxmode=0666,mode=0620"),
		symlink("pts/ptmx", dir+"/dev/ptmx"), symlink("/proc/self/fd/1", dir+"/dev/stdout"),
		op.Op{Name: "mknodat", Nr: unix.SYS_MKNODAT, Args: []op.Arg{
			op.AtFdcwd(), op.Str(dir + "/dev/tty"), op.Int(unix.S_IFCHR), op.Int(unix.Mkdev(5, 0)),
		}},
		op.Op{Name: "fchmodat", Nr: unix.SYS_FCHMODAT, Args: []op.Arg{
			op.AtFdcwd(), op.Str(dir + "/dev/tty"), op.Int(0o666), // mknod goes by the umask
		}},
		op.Mount(op.Str("proc"), op.Str(dir+"/proc"), "proc", 0, ""),
		op.Open(dir, unix.O_PATH|unix.O_DIRECTORY, root),
	)
	return root, dir
}

func symlink(to, path string) op.Op {
	return op.Op{Name: "symlinkat", Nr: unix.SYS_SYMLINKAT, Args: []op.Arg{op.Str(to), op.AtFdcwd(), op.Str(path)}}
}

// enter goes into the root directory, as the leader of a session.
func enter(list *op.List, root *op.Var) {
	list.Add(
		op.Op{Name: "setsid", Nr: unix.SYS_SETSID},
		op.Fchdir(op.Val(root)),
		op.Op{Name: "chroot", Nr: unix.SYS_CHROOT, Args: []op.Arg{op.Str(".")}},
	)
}

// shell ends a list: the process gives up its rights, and becomes a shell.
func shell(uid int, script string) []op.Op {
	return []op.Op{
		{Name: "setresuid", Nr: unix.SYS_SETRESUID, Args: []op.Arg{op.Int(uid), op.Int(uid), op.Int(uid)}},
		op.CloseRange(3, 0),
		{Name: "execve", Nr: unix.SYS_EXECVE, Args: []op.Arg{
			op.Str("/bin/sh"), op.Ref(op.Strings([]string{"sh", "-c", script})),
			op.Ref(op.Strings([]string{"PATH=/usr/bin:/bin", "TERM=dumb"})),
		}},
	}
}

// side is a container side that runs.
type side struct {
	process *executor.Process
	console *os.File // our end of the socket
	reports *os.File
	list    *op.List
}

// start starts a list, which ends with a report if it fails.
func start(t *testing.T, reexec bool, list *op.List, namespaces uintptr, joined *os.File) *side {
	t.Helper()
	list.Fail(op.Int(report), 125)
	ours, theirs, err := Pair()
	if err != nil {
		t.Fatal(err)
	}
	reports, reportTo, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	files := []*os.File{null, null, null, theirs, reportTo, joined}
	command := &executor.Command{List: list, Name: "test", Files: files, Cloneflags: namespaces, Reexec: reexec}
	process, err := command.Start()
	for _, file := range []*os.File{theirs, reportTo, null} {
		file.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	s := &side{process, ours, reports, list}
	t.Cleanup(func() {
		_ = unix.PidfdSendSignal(int(process.Pidfd.Fd()), unix.SIGKILL, nil, 0) // it may have ended
		s.wait()
		process.Pidfd.Close()
		ours.Close()
		reports.Close()
	})
	return s
}

func (s *side) wait() syscall.WaitStatus {
	var status syscall.WaitStatus
	_, _ = syscall.Wait4(s.process.Pid, &status, 0, nil) // twice is ECHILD
	return status
}

// failure returns the op that failed and why, or nothing.
func (s *side) failure(t *testing.T) string {
	t.Helper()
	text, err := io.ReadAll(s.reports)
	if err != nil {
		t.Fatal(err)
	}
	if len(text) == 0 {
		return ""
	}
	index, errno, err := op.ParseReport(text, len(s.list.Ops))
	if err != nil {
		t.Fatal(err)
	}
	return s.list.Ops[index].String() + ": " + errno.Error()
}

// both runs a test with either executor.
func both(t *testing.T, test func(t *testing.T, reexec bool)) {
	for name, reexec := range map[string]bool{"stub": false, "reexec": true} {
		t.Run(name, func(t *testing.T) { test(t, reexec) })
	}
}

// output reads the master until nobody has the slave open.
func output(t *testing.T, master *os.File) string {
	t.Helper()
	text, err := io.ReadAll(master)
	if err != nil && !strings.Contains(err.Error(), "input/output error") {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(text), "\r\n", "\n")
}

// TestTerminal looks at the terminal from inside: its name, size, owner, session, and /dev/console.
func TestTerminal(t *testing.T) {
	const script = `tty; stty size
stat -c '%u %t:%T' /dev/pts/0; stat -c %t:%T /dev/console
echo to /dev/tty >/dev/tty; echo to /dev/stdout >/dev/stdout
set -- $(cat /proc/$$/stat); [ $1 = $6 ] && [ $6 = $8 ] && echo leads the session, in the foreground
cd /proc/$$/fd; for n in 0 1 2 3 4 5 6 7 8 9; do [ -h $n ] && echo $n; done`
	const want = `/dev/pts/0
33 99
1000 88:0
88:0
to /dev/tty
to /dev/stdout
leads the session, in the foreground
0
1
2
`
	both(t, func(t *testing.T, reexec bool) {
		list := &op.List{}
		root, _ := root(t, list)
		slave := Open(list, root, size, socket)
		Bind(list, root, slave)
		enter(list, root)
		Give(list, slave, 1000)
		Attach(list, slave)
		list.Add(shell(1000, script)...)
		s := start(t, reexec, list, unix.CLONE_NEWNS|unix.CLONE_NEWPID, nil)
		master, err := Receive(s.console)
		if err != nil {
			t.Fatal(err, s.failure(t))
		}
		defer master.Close()
		if master.Name() != payload {
			t.Errorf("the master came with %q, want %q", master.Name(), payload)
		}
		if got := output(t, master); got != want {
			t.Errorf("inside:\n%s\nwant:\n%s", got, want)
		}
		if failure := s.failure(t); failure != "" {
			t.Error(failure)
		}
	})
}

// TestSecondTerminal opens a terminal as exec does: in a mount namespace that exists, whose root is "/".
func TestSecondTerminal(t *testing.T) {
	both(t, func(t *testing.T, reexec bool) {
		list := &op.List{}
		first, _ := root(t, list)
		slave := Open(list, first, size, socket)
		enter(list, first)
		Give(list, slave, 0)
		Attach(list, slave)
		list.Add(shell(0, "echo ready; read line; echo $line")...)
		s := start(t, reexec, list, unix.CLONE_NEWNS, nil)
		master, err := Receive(s.console)
		if err != nil {
			t.Fatal(err, s.failure(t))
		}
		defer master.Close()
		word := make([]byte, 5)
		if _, err := io.ReadFull(master, word); err != nil {
			t.Fatal(err)
		}
		namespace, err := os.Open(fmt.Sprintf("/proc/%d/ns/mnt", s.process.Pid))
		if err != nil {
			t.Fatal(err)
		}
		defer namespace.Close()
		dir, err := os.Readlink(fmt.Sprintf("/proc/%d/root", s.process.Pid))
		if err != nil {
			t.Fatal(err)
		}

		list, again := &op.List{}, op.NewVar("root")
		list.Add(
			op.Op{Name: "unshare", Nr: unix.SYS_UNSHARE, Args: []op.Arg{op.Int(unix.CLONE_FS)},
				Why: "setns into a mount namespace wants a root and a working directory that no other thread has"},
			op.Op{Name: "setns", Nr: unix.SYS_SETNS, Args: []op.Arg{op.Int(holder), op.Int(unix.CLONE_NEWNS)}},
			op.Open(dir, unix.O_PATH|unix.O_DIRECTORY, again), // the shell has no root of its own but by chroot
		)
		slave = Open(list, again, size, socket)
		enter(list, again)
		Give(list, slave, 0)
		Attach(list, slave)
		list.Add(shell(0, "tty; cd /dev/pts; echo *")...)
		second := start(t, reexec, list, 0, namespace)
		other, err := Receive(second.console)
		if err != nil {
			t.Fatal(err, second.failure(t))
		}
		defer other.Close()
		if got, want := output(t, other), "/dev/pts/1\n0 1 ptmx\n"; got != want {
			t.Errorf("inside: %q, want %q", got, want)
		}
	})
}

// TestAttacks: what an image may have put in the way. Nothing of it may be followed, mounted on, or opened as
// a terminal, and the report must name the call.
func TestAttacks(t *testing.T) {
	unlink := func(path string, flags int) op.Op {
		return op.Op{Name: "unlinkat", Nr: unix.SYS_UNLINKAT,
			Args: []op.Arg{op.AtFdcwd(), op.Str(path), op.Int(flags)}, Accept: []unix.Errno{unix.ENOENT}}
	}
	node := func(path string, mode, device int) op.Op {
		return op.Op{Name: "mknodat", Nr: unix.SYS_MKNODAT,
			Args: []op.Arg{op.AtFdcwd(), op.Str(path), op.Int(mode), op.Int(device)}}
	}
	unmount := func(path string) op.Op {
		return op.Op{Name: "umount2", Nr: unix.SYS_UMOUNT2, Args: []op.Arg{op.Str(path), op.Int(unix.MNT_DETACH)}}
	}
	for name, attack := range map[string]struct {
		ops  func(dir, elsewhere string) []op.Op
		want string
	}{
		"dev is a link": {func(dir, elsewhere string) []op.Op {
			return []op.Op{
				unmount(dir + "/dev"), op.Mount(op.Str("tmpfs"), op.Str(dir), "tmpfs", 0, ""), symlink(elsewhere, dir+"/dev"),
			}
		}, "openat2(root, \"dev/pts/ptmx\"): too many levels of symbolic links"},
		"pts is a link": {func(dir, elsewhere string) []op.Op {
			return []op.Op{
				unmount(dir + "/dev/pts"), unlink(dir+"/dev/pts", unix.AT_REMOVEDIR), symlink("/dev/pts", dir+"/dev/pts"),
			}
		}, "openat2(root, \"dev/pts/ptmx\"): too many levels of symbolic links"},
		"ptmx is a file": {func(dir, elsewhere string) []op.Op {
			return []op.Op{unmount(dir + "/dev/pts"), node(dir+"/dev/pts/ptmx", unix.S_IFREG|0o666, 0)}
		}, "ioctl(master, TIOCSPTLCK): inappropriate ioctl for device"},
		"ptmx is another device": {func(dir, elsewhere string) []op.Op {
			return []op.Op{unmount(dir + "/dev/pts"), node(dir+"/dev/pts/ptmx", unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3)))}
		}, "ioctl(master, TIOCSPTLCK): inappropriate ioctl for device"},
		// A ptmx that is none of a devpts looks for a devpts beside itself, below the container's root.
		"ptmx is the right device in the wrong place": {func(dir, elsewhere string) []op.Op {
			return []op.Op{unmount(dir + "/dev/pts"), node(dir+"/dev/pts/ptmx", unix.S_IFCHR|0o666, int(unix.Mkdev(5, 2)))}
		}, "openat2(root, \"dev/pts/ptmx\"): no such file or directory"},
		"console is a link": {func(dir, elsewhere string) []op.Op {
			return []op.Op{symlink(elsewhere+"/file", dir+"/dev/console")}
		}, "openat2(dev, \"console\"): too many levels of symbolic links"},
		"console is a link to nothing": {func(dir, elsewhere string) []op.Op {
			return []op.Op{symlink(elsewhere+"/nothing", dir+"/dev/console")}
		}, "openat2(dev, \"console\"): too many levels of symbolic links"},
		"console is a magic link": {func(dir, elsewhere string) []op.Op {
			return []op.Op{symlink("/proc/self/exe", dir+"/dev/console")}
		}, "openat2(dev, \"console\"): too many levels of symbolic links"},
		"console is a directory": {func(dir, elsewhere string) []op.Op {
			return []op.Op{op.Mkdirat(op.AtFdcwd(), dir+"/dev/console", 0o755)}
		}, "move_mount(tree, \"\"): invalid argument"},
	} {
		t.Run(name, func(t *testing.T) {
			elsewhere := t.TempDir()
			if err := os.WriteFile(filepath.Join(elsewhere, "file"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			list := &op.List{}
			root, dir := root(t, list)
			list.Add(attack.ops(dir, elsewhere)...)
			list.Add(op.Open(dir, unix.O_PATH|unix.O_DIRECTORY, root)) // the attack may have mounted on it
			slave := Open(list, root, size, socket)
			Bind(list, root, slave)
			list.Add(op.Exit(0))
			s := start(t, false, list, unix.CLONE_NEWNS, nil)
			failure := s.failure(t)
			call, errno, _ := strings.Cut(failure, "): ")
			call, _, _ = strings.Cut(call, ", O_")
			words := strings.SplitN(call, ", ", 3)
			if got := strings.Join(words[:min(2, len(words))], ", ") + "): " + errno; !strings.HasSuffix(got, attack.want) {
				t.Errorf("the report: %s, in short %s; want %s", failure, got, attack.want)
			}
			entries, err := os.ReadDir(elsewhere)
			if err != nil || len(entries) != 1 {
				t.Errorf("in the directory outside: %v, %v; want nothing new", entries, err)
			}
		})
	}
}
