//go:build linux

package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// screen is the person's end of a terminal: what was written to it, and a keyboard.
type screen struct {
	w     *world
	pty   *os.File
	mutex sync.Mutex
	text  string
}

// startOnTerminal starts the program as a login shell would: leader of a session with a terminal.
func startOnTerminal(w *world, args ...string) (*process, *screen) {
	w.Helper()
	pty, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	w.must(err)
	w.must(unix.IoctlSetPointerInt(int(pty.Fd()), unix.TIOCSPTLCK, 0)) // unlock
	peer, _, errno := unix.Syscall(unix.SYS_IOCTL, pty.Fd(), unix.TIOCGPTPEER, unix.O_RDWR|unix.O_NOCTTY)
	if errno != 0 {
		w.Fatal(errno)
	}
	terminal := os.NewFile(peer, "terminal")
	defer terminal.Close()

	p := w.startWith(func(cmd *exec.Cmd) {
		cmd.Stdin, cmd.Stdout, cmd.Stderr = terminal, terminal, terminal
		cmd.Env = append(os.Environ(), "TERM=dumb")
		cmd.SysProcAttr.Setsid, cmd.SysProcAttr.Setctty = true, true
	}, args...)
	s := &screen{w: w, pty: pty}
	go func() {
		buffer := make([]byte, 4096)
		for {
			n, err := pty.Read(buffer)
			if err != nil {
				return // the last one on the other side has closed it
			}
			s.mutex.Lock()
			s.text += string(buffer[:n])
			s.mutex.Unlock()
		}
	}()
	w.Cleanup(func() { pty.Close() })
	return p, s
}

func (s *screen) String() string {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.text
}

func (s *screen) keys(text string) {
	s.w.Helper()
	_, err := s.pty.WriteString(text)
	s.w.must(err)
}

// expect waits until the screen shows want after what it showed before.
func (s *screen) expect(want string) {
	s.w.Helper()
	if !eventually(func() bool { return strings.Contains(s.String(), want) }) {
		s.w.Fatalf("want on the terminal: %q\ngot: %q", want, s.String())
	}
}

// foreground waits until a process other than not has the terminal, and returns its group.
func (s *screen) foreground(not int) (group int) {
	s.w.Helper()
	if !eventually(func() bool {
		group, _ = unix.IoctlGetInt(int(s.pty.Fd()), unix.TIOCGPGRP)
		return group > 0 && group != not
	}) {
		s.w.Fatalf("the terminal stays with group %d\nscreen: %q", not, s.String())
	}
	return group
}

// press presses a key until the shell has the terminal again. A command that has just been forked may not
// take it yet, and a person would press it again too.
func (s *screen) press(key string, shell int) {
	s.w.Helper()
	for range 20 {
		s.keys(key)
		for deadline := time.Now().Add(patient / 20); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
			if group, err := unix.IoctlGetInt(int(s.pty.Fd()), unix.TIOCGPGRP); err == nil && group == shell {
				return
			}
		}
	}
	s.w.Fatalf("%q does not bring the shell back\nscreen: %q", key, s.String())
}

const (
	ctrlC = "\x03"
	ctrlZ = "\x1a"
)

func TestShellWithJobControl(t *testing.T) { useShell(newWorld(t)) }

// useShell works with a shell as people do: Ctrl-C ends a command, Ctrl-Z and fg stop and continue it.
func useShell(w *world, args ...string) {
	w.Helper()
	p, s := startOnTerminal(w, args...)
	s.expect("# ") // the prompt
	s.keys("echo $((40 + 2))-ready\r")
	s.expect("42-ready")
	shell := s.foreground(p.Process.Pid)

	s.keys("sleep 1000\r")
	s.foreground(shell)
	s.press(ctrlC, shell)
	s.keys("echo $((40 + 3))-still-here\r")
	s.expect("43-still-here")

	s.keys("sleep 1001\r")
	s.foreground(shell)
	s.press(ctrlZ, shell)
	s.keys("echo $((40 + 4))-back\r")
	s.expect("44-back")
	s.keys("fg\r")
	s.foreground(shell)
	s.press(ctrlC, shell)
	s.keys("echo $((40 + 5))-again\r")
	s.expect("45-again")

	if strings.Contains(s.String(), "job control turned off") {
		w.wrong("the shell", "job control", s.String(), "the command has no terminal, or is not its foreground", walk)
	}
	s.keys("exit 7\r")
	if r := p.wait(); r.code != 7 {
		w.wrong("exit code of the shell", 7, r.code, "the child's code is not the program's", walk)
	}
}

func TestTerminalModesComeBack(t *testing.T) {
	w := newWorld(t)
	p, s := startOnTerminal(w, "run", "sh", "-c", "stty raw -echo; echo $((6 * 7)); kill -9 $$")
	s.expect("42")
	<-p.done
	modes, err := unix.IoctlGetTermios(int(s.pty.Fd()), unix.TCGETS)
	w.must(err)
	if modes.Lflag&unix.ECHO == 0 || modes.Lflag&unix.ICANON == 0 {
		w.wrong("terminal after the container's end", "as it was", "raw", "the modes were not saved and set again", walk)
	}
}

// A command that stops has nobody to continue it: the host's shell sees only the program.
func TestStopDoesNotHang(t *testing.T) {
	w := newWorld(t)
	mark := strconv.Itoa(100_000 + rand.IntN(100_000))
	p, s := startOnTerminal(w, "run", "sh", "-c", "exec sleep "+mark)
	if !eventually(func() bool { return find(mark) != 0 }) {
		w.Fatalf("no sleep %s: %q", mark, s)
	}
	s.keys(ctrlZ)
	time.Sleep(100 * time.Millisecond)
	s.keys(ctrlC)
	if r := p.wait(); r.code != 130 {
		w.wrong("Ctrl-Z, then Ctrl-C", "code 130", fmt.Sprint("code ", r.code), "a stopped command must be continued", walk)
	}
}
