//go:build linux

package lab

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A session is a shell on a terminal of its own, with the test at the keyboard.
type session struct {
	t      *testing.T
	cmd    *exec.Cmd
	master *os.File
	ended  chan struct{}

	mu   sync.Mutex
	seen string // what was on the screen since the last expect
}

// openTerminal makes a pseudoterminal (pty(7)).
func openTerminal(t *testing.T) (master, slave *os.File) {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	master = os.NewFile(uintptr(fd), "ptmx")
	t.Cleanup(func() { _ = master.Close() })
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	peer, err := unix.Open(fmt.Sprintf("/dev/pts/%d", n), unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	return master, os.NewFile(uintptr(peer), "pts")
}

func startSession(t *testing.T, control bool) *session {
	t.Helper()
	root := one(t)
	runtime.LockOSThread() // Pdeathsig watches the thread; the test's goroutine keeps it
	t.Cleanup(runtime.UnlockOSThread)
	master, slave := openTerminal(t)
	s := &session{t: t, master: master, ended: make(chan struct{})}
	s.cmd = inside(t, root, "sh")
	s.cmd.Env = append(s.cmd.Env, "PS1=% ")
	s.cmd.Stdin, s.cmd.Stdout, s.cmd.Stderr = slave, slave, slave
	s.cmd.SysProcAttr.Setsid, s.cmd.SysProcAttr.Setctty = true, control
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = slave.Close()
	go s.read()
	go func() {
		_ = s.cmd.Wait() // the exit code is in its state
		close(s.ended)
	}()
	t.Cleanup(func() {
		_ = syscall.Kill(s.cmd.Process.Pid, syscall.SIGKILL) // with process 1 goes the whole PID namespace
		<-s.ended
	})
	return s
}

func (s *session) read() {
	buffer := make([]byte, 4096)
	for {
		n, err := s.master.Read(buffer)
		if err != nil {
			return // EIO: nobody has the other end open any more
		}
		s.mu.Lock()
		s.seen += string(buffer[:n])
		s.mu.Unlock()
	}
}

func (s *session) press(keys string) {
	s.t.Helper()
	if _, err := s.master.WriteString(keys); err != nil {
		s.t.Fatal(err)
	}
}

// expect waits until the text is on the screen and returns what was there up to it.
func (s *session) expect(text string) string {
	s.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		s.mu.Lock()
		if before, after, found := strings.Cut(s.seen, text); found {
			s.seen = after
			s.mu.Unlock()
			return before
		}
		seen := s.seen
		s.mu.Unlock()
		if time.Now().After(deadline) {
			s.t.Fatalf("waited for %q; the screen shows %q", text, seen)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// do types a command and waits for the prompt; it returns what the command printed.
func (s *session) do(line string) string {
	s.t.Helper()
	s.press(line + "\r")
	s.expect(line + "\r")
	return s.expect("% ")
}

// patience is for a machine that is busy with other things.
const patience = time.Minute

const ctrlC, ctrlD, ctrlZ, ctrlBackslash = "\x03", "\x04", "\x1a", "\x1c"

func TestInteractive(t *testing.T) {
	s := startSession(t, true)
	if greeting := s.expect("% "); greeting != "" {
		t.Errorf("before the first prompt: %q", greeting)
	}
	if got := s.do("echo hello"); !strings.Contains(got, "hello\r\n") {
		t.Errorf("echo printed %q", got)
	}
	if got := s.do("tty"); !strings.Contains(got, "/") {
		t.Errorf("tty printed %q", got)
	}
	s.press(ctrlD)
	s.expect("exit")
	select {
	case <-s.ended:
	case <-time.After(patience):
		t.Fatal("Ctrl-D did not end the shell")
	}
}

func TestCtrlC(t *testing.T) {
	s := startSession(t, true)
	s.expect("% ")
	s.press("sleep 100\r")
	s.expect("sleep 100\r")
	s.waitForeground("sleep")
	s.press(ctrlC)
	s.expect("% ")
	if got := s.do("echo code $?"); !strings.Contains(got, "code 130") {
		t.Errorf("after Ctrl-C: %q, want code 130", got)
	}
	// A half-typed line goes away.
	s.press("echo not this" + ctrlC)
	s.expect("% ")
	if got := s.do("echo but this"); strings.Contains(got, "not") {
		t.Errorf("after Ctrl-C in a line: %q", got)
	}
	// A loop ends, both between programs and without any.
	s.press("while true; do sleep 100; done\r")
	s.waitForeground("sleep")
	s.press(ctrlC)
	s.expect("% ")
	s.press("echo turn''ing; while :; do :; done\r")
	s.expect("turning\r\n")
	s.press(ctrlC)
	s.expect("% ")
	s.press("sleep 100 | sleep 100\r")
	s.waitForeground("sleep")
	s.press(ctrlC)
	s.expect("% ")
	if got := s.do("ps -o comm= | grep -c sleep"); !strings.Contains(got, "0") {
		t.Errorf("left sleeping after Ctrl-C: %q", got)
	}
}

// waitForeground waits until the terminal's foreground process has this name. The test sees the process ids of
// its own namespace.
func (s *session) waitForeground(name string) {
	s.t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		pgrp, err := unix.IoctlGetInt(int(s.master.Fd()), unix.TIOCGPGRP)
		if err == nil {
			if comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pgrp)); err == nil && strings.TrimSpace(string(comm)) == name {
				return
			}
		}
	}
	s.t.Fatalf("%s did not come to the foreground", name)
}

func TestJobControl(t *testing.T) {
	s := startSession(t, true)
	s.expect("% ")
	s.press("sleep 100\r")
	s.waitForeground("sleep")
	s.press(ctrlZ)
	if got := s.expect("% "); !strings.Contains(got, "[1]+  Stopped") {
		t.Errorf("after Ctrl-Z: %q, want it told as stopped", got)
	}
	if got := s.do("echo $?"); !strings.Contains(got, "148") {
		t.Errorf("$? after Ctrl-Z is %q, want 148", got)
	}
	if got := s.do("jobs"); !strings.Contains(got, "[1]+  Stopped                 sleep 100") {
		t.Errorf("jobs: %q", got)
	}
	if got := s.do("bg"); !strings.Contains(got, "[1] sleep 100 &") {
		t.Errorf("bg: %q", got)
	}
	if got := s.do("jobs"); !strings.Contains(got, "[1]+  Running                 sleep 100 &") {
		t.Errorf("jobs after bg: %q", got)
	}
	s.press("fg\r")
	s.waitForeground("sleep")
	s.press(ctrlC)
	s.expect("% ")
	if got := s.do("jobs"); strings.Contains(got, "sleep") {
		t.Errorf("jobs after its end: %q", got)
	}
	if got := s.do("sleep 200 &"); !strings.Contains(got, "[1] ") {
		t.Errorf("sleep 200 &: %q, want its number", got)
	}
	if got := s.do("sleep 300 | cat &"); !strings.Contains(got, "[2] ") {
		t.Errorf("second job: %q, want number 2", got)
	}
	deadline := time.Now().Add(patience)
	for told := s.do("kill %1"); !strings.Contains(told, "Terminated"); told = s.do("true") {
		if time.Now().After(deadline) {
			t.Fatal("after kill %1: job 1 is not told as terminated")
		}
	}
	s.do("kill %2; wait")
	if got := s.do("ps -o comm= | grep -c sleep"); !strings.Contains(got, "0") {
		t.Errorf("left after kill: %q", got)
	}
	// The status of a stopped and continued command is its own.
	s.press("sh -c 'echo wait''ing; read x; exit 7'\r")
	s.expect("waiting\r\n")
	s.press(ctrlZ)
	s.expect("Stopped")
	s.expect("% ")
	s.press("fg\r")
	s.expect("exit 7'\r")
	s.press("x\r")
	s.expect("% ")
	if got := s.do("echo $?"); !strings.Contains(got, "7") {
		t.Errorf("$? after fg is %q, want 7", got)
	}
}

func TestTerminalModesComeBack(t *testing.T) {
	s := startSession(t, true)
	s.expect("% ")
	s.press("sh -c 'stty -echo -icanon; kill -9 $$'\r")
	s.expect("$$'\r")
	s.expect("% ")
	if got := s.do("stty -a"); strings.Contains(got, "-echo") || strings.Contains(got, "-icanon") {
		t.Errorf("modes after a command that died with the echo off: %q", got)
	}
}

// What is typed while a command runs is for the command.
func TestTypeAhead(t *testing.T) {
	s := startSession(t, true)
	s.expect("% ")
	s.press("read x; echo \"got $x\"\rthe answer\r")
	s.expect("got the answer")
	s.expect("% ")
	s.press("cat\r")
	s.waitForeground("cat")
	s.press("line\r" + ctrlD)
	s.expect("line\r\nline")
	s.expect("% ")
}

func TestHistoryAndCompletion(t *testing.T) {
	s := startSession(t, true)
	s.expect("% ")
	s.do("echo first")
	s.press("\x1b[A\r") // up
	if got := s.expect("% "); !strings.Contains(got, "first\r\n") {
		t.Errorf("the line from the history: %q", got)
	}
	s.press("cat /etc/hostn\t\r")
	if got := s.expect("% "); !strings.Contains(got, "lab\r\n") {
		t.Errorf("the completed path: %q", got)
	}
	s.press("hostna\t\r")
	if got := s.expect("% "); !strings.Contains(got, "hostname ") || strings.Contains(got, "not found") {
		t.Errorf("the completed command: %q", got)
	}
	s.press("echo 'two\r")
	s.expect("> ")
	s.press("lines'\r")
	s.expect("two\r\nlines\r\n")
}

func TestStoppedJobsHoldTheShell(t *testing.T) {
	s := startSession(t, true)
	s.expect("% ")
	s.press("sleep 100\r")
	s.waitForeground("sleep")
	s.press(ctrlZ)
	s.expect("% ")
	s.press(ctrlD)
	s.expect("there are stopped jobs")
	s.expect("% ")
	s.press(ctrlD)
	s.expect("exit")
	select {
	case <-s.ended:
	case <-time.After(patience):
		t.Fatal("the second Ctrl-D did not end the shell")
	}
}

// Children ignore no more than the shell was told to, and block nothing, also under job control.
func TestSignalsOfChildren(t *testing.T) {
	s := startSession(t, true)
	s.expect("% ")
	got := s.do("grep -E '^Sig(Blk|Ign)' /proc/self/status | cut -f 2")
	if want := "\r\n0000000000000000\r\n" + ignoredHere(t) + "\r\n"; got != want {
		t.Errorf("blocked and ignored signals of a child: %q, want %q", got, want)
	}
}
