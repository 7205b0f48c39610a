//go:build linux

package reaper

// The test binary is the program of --init, too: it starts itself as process 1 of a new PID namespace.

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A container is a reaper with its command.
type container struct {
	*testing.T
	*exec.Cmd
	in    io.WriteCloser
	lines *bufio.Scanner // of its output
	errs  bytes.Buffer
}

// start starts one, in a PID namespace of its own unless flags say otherwise.
func start(t *testing.T, flags uintptr, argv ...string) *container {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skipf("a PID namespace needs root: %v", unix.EPERM)
	}
	c := &container{T: t, Cmd: exec.CommandContext(t.Context(), "/proc/self/exe")}
	c.Args = append([]string{"/sbin/" + Name, "--"}, argv...)
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags}
	c.Stderr = &c.errs
	out, err := c.StdoutPipe()
	if err == nil {
		c.in, err = c.StdinPipe()
	}
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	c.lines = bufio.NewScanner(out)
	return c
}

// says waits for a line.
func (c *container) says(want string) {
	c.Helper()
	if !c.lines.Scan() || c.lines.Text() != want {
		c.Fatalf("it says %q, want %q; %v; %s", c.lines.Text(), want, c.lines.Err(), c.errs.String())
	}
}

func (c *container) signal(s syscall.Signal) {
	c.Helper()
	if err := c.Process.Signal(s); err != nil {
		c.Fatal(err)
	}
}

// ends waits for the end of all that have its output, and of itself, and wants this code.
func (c *container) ends(code int) {
	c.Helper()
	for c.lines.Scan() {
	}
	_ = c.Wait() // the state says how
	if got := c.ProcessState.ExitCode(); got != code {
		c.Errorf("%q: code %d, want %d; %s", c.Args[2:], got, code, c.errs.String())
	}
}

// children are those of the reaper, as the host sees them: a letter for each, Z for one that has ended and was not
// waited for.
func (c *container) children() (states string) {
	c.Helper()
	paths, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		c.Fatal(err)
	}
	for _, path := range paths {
		text, _ := os.ReadFile(path) // it may have gone
		// 1234 (sh) S 1233 ...: the name may have spaces and brackets
		_, rest, _ := strings.Cut(string(text[bytes.LastIndexByte(text, ')')+1:]), " ")
		if fields := strings.Fields(rest); len(fields) > 1 && fields[1] == strconv.Itoa(c.Process.Pid) {
			states += fields[0]
		}
	}
	return states
}

// eventually polls: a machine with other work to do is slow.
func (c *container) eventually(what string, is func() bool) {
	c.Helper()
	for deadline := time.Now().Add(30 * time.Second); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			c.Fatalf("want: %s; the reaper's children: %s", what, c.children())
		}
	}
}

// TestExitCode: the reaper ends as its command does.
func TestExitCode(t *testing.T) {
	for script, code := range map[string]int{
		"exit 0": 0, "exit 7": 7, "exit 255": 255, "kill -KILL $$": 137, "kill -TERM $$": 143, "kill -SEGV $$": 139,
	} {
		start(t, unix.CLONE_NEWPID, "sh", "-c", script).ends(code)
	}
}

// TestNoCommand: 127 for one that is not there, 126 for one that cannot be executed, and why.
func TestNoCommand(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/text", []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/nonsense", []byte("text"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	for command, want := range map[string]struct {
		code int
		why  string
	}{
		"nothing":         {127, "no such file or directory"},
		"/nothing":        {127, "no such file or directory"},
		dir + "/text/x":   {127, "not a directory"},
		"text":            {126, "permission denied"},
		dir:               {126, "permission denied"},
		dir + "/nonsense": {126, "exec format error"},
	} {
		c := start(t, unix.CLONE_NEWPID, command)
		c.ends(want.code)
		if said := fmt.Sprintf("exec: %q: %s\n", command, want.why); c.errs.String() != said {
			t.Errorf("%s: it says %q, want %q", command, c.errs.String(), said)
		}
	}
}

// TestOrphans: whoever has lost its parent is waited for at its end, also when that is the end of many at once.
func TestOrphans(t *testing.T) {
	const many = 100
	for name, flags := range map[string]uintptr{"process 1": unix.CLONE_NEWPID, "not process 1": 0} {
		t.Run(name, func(t *testing.T) {
			fifo := filepath.Join(t.TempDir(), "fifo")
			if err := unix.Mkfifo(fifo, 0o600); err != nil {
				t.Fatal(err)
			}
			// Each orphan waits in open(2) until somebody writes.
			c := start(t, flags, "sh", "-c",
				`for i in $(seq `+strconv.Itoa(many)+`); do (sh -c 'exec < `+fifo+`' &); done; echo ready; read end; exit 5`)
			c.says("ready")
			c.eventually("the orphans are the reaper's", func() bool { return len(c.children()) == many+1 })
			gate, err := os.OpenFile(fifo, os.O_RDWR, 0) // does not wait
			if err != nil {
				t.Fatal(err)
			}
			defer gate.Close()
			c.eventually("only the command is left", func() bool { return len(c.children()) == 1 })
			if err := c.in.Close(); err != nil {
				t.Error(err)
			}
			c.ends(5)
		})
	}
}

// TestSignals: what is sent to process 1 reaches the command, and a flood of it does not hide the end.
func TestSignals(t *testing.T) {
	names := map[string]syscall.Signal{
		"HUP": unix.SIGHUP, "INT": unix.SIGINT, "QUIT": unix.SIGQUIT, "USR1": unix.SIGUSR1, "USR2": unix.SIGUSR2,
		"TERM": unix.SIGTERM, "WINCH": unix.SIGWINCH, "PIPE": unix.SIGPIPE, "ALRM": unix.SIGALRM, "TSTP": unix.SIGTSTP,
		"CONT": unix.SIGCONT, "37": syscall.Signal(37), // of real time
	}
	script := ""
	for name := range names {
		script += fmt.Sprintf("trap 'echo %s' %[1]s; ", name)
	}
	c := start(t, unix.CLONE_NEWPID, "sh", "-c", script+"echo ready; while :; do read line; done")
	c.says("ready")
	for name, s := range names {
		c.signal(s)
		c.says(name)
	}
	c.signal(unix.SIGKILL) // is for process 1 itself, and the end of all
	c.ends(-1)

	c = start(t, unix.CLONE_NEWPID, "sh", "-c", "trap : USR1; trap 'exit 4' TERM; echo ready; while :; do read line; done")
	c.says("ready")
	for range 5000 {
		c.signal(unix.SIGUSR1)
	}
	ended := make(chan struct{})
	go func() {
		c.ends(4)
		close(ended)
	}()
	for { // one that comes in the middle of the flood may be lost
		_ = c.Process.Signal(unix.SIGTERM) // it may have ended
		select {
		case <-ended:
			return
		case <-time.After(time.Second):
		}
	}
}

// TestEnd: the end of the command is the end of the container, whoever else is still there.
func TestEnd(t *testing.T) {
	c := start(t, unix.CLONE_NEWPID, "sh", "-c", "sleep 1000 & sleep 1000 & exit 6")
	c.ends(6) // all of them have let go of the output
}

// TestAgain: one reaper may have another for its command, as in an image that has one of its own.
func TestAgain(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	again := filepath.Join(t.TempDir(), Name)
	if err := os.Symlink(self, again); err != nil {
		t.Fatal(err)
	}
	c := start(t, unix.CLONE_NEWPID, again, "--", "sh", "-c", "trap 'echo got it' USR1; echo ready; read line; read line; exit 8")
	c.says("ready")
	c.signal(unix.SIGUSR1)
	c.says("got it")
	if err := c.in.Close(); err != nil {
		t.Error(err)
	}
	c.ends(8)
}

// TestOthers: what has the name and not the line of arguments is this program, as ever.
func TestOthers(t *testing.T) {
	for _, args := range [][]string{{Name, "-test.run=^$"}, {Name, "-test.run=^$", "--", "false"}} {
		cmd := exec.Command("/proc/self/exe")
		cmd.Args = args
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%q: %v: %s", args, err, out)
		}
	}
}

// TestTerminal: the command has the terminal, and each of its keys once.
func TestTerminal(t *testing.T) {
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	keyboard := os.NewFile(uintptr(fd), "keyboard")
	defer keyboard.Close()
	peer, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TIOCGPTPEER, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC)
	if errno != 0 {
		t.Fatal(errno)
	}
	screen := os.NewFile(peer, "screen")
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe")
	cmd.Args = []string{Name, "--", "sh", "-c",
		`stty -echo -onlcr; trap 'n=$((n+1)); echo INT' INT; trap 'echo $n; exit 2' TERM; echo ready; while :; do read line; done`}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = screen, screen, screen
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID, Setsid: true, Setctty: true}
	if os.Geteuid() != 0 {
		t.Skipf("a PID namespace needs root: %v", unix.EPERM)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	screen.Close()
	lines := bufio.NewScanner(keyboard)
	says := func(want string) {
		t.Helper()
		if !lines.Scan() || lines.Text() != want {
			t.Fatalf("it says %q, want %q; %v", lines.Text(), want, lines.Err())
		}
	}
	says("ready")
	for range 3 {
		if _, err := keyboard.WriteString("\x03"); err != nil {
			t.Fatal(err)
		}
		says("INT")
	}
	if err := cmd.Process.Signal(unix.SIGTERM); err != nil {
		t.Error(err)
	}
	says("3")
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 2 {
		t.Errorf("code %d, want 2", code)
	}
}

// TestSize: it lives as long as the container does, so that it should be small. What is the program's file in memory, all
// containers share.
func TestSize(t *testing.T) {
	c := start(t, unix.CLONE_NEWPID, "sh", "-c", "echo ready; read end")
	c.says("ready")
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "RssAnon:")
	if size, err := strconv.Atoi(strings.Fields(rest + " -")[0]); err != nil || size > 4<<10 {
		t.Errorf("it has %d kB of its own, want at most 4 MB; %v", size, err)
	}
	if err := c.in.Close(); err != nil {
		t.Error(err)
	}
	c.ends(1) // of read
}
