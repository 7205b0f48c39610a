//go:build linux

package console

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// terminal returns both ends of a terminal, as a person at a keyboard has one.
func terminal(t *testing.T) (master, slave *os.File) {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	master = os.NewFile(uintptr(fd), "master")
	t.Cleanup(func() { master.Close() })
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	// Without O_NOCTTY it would be our controlling terminal, if we lead a session, and its end would be ours.
	peer, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TIOCGPTPEER, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC)
	if errno != 0 {
		t.Fatal(errno)
	}
	slave = os.NewFile(peer, "slave")
	t.Cleanup(func() { slave.Close() })
	return master, slave
}

func modes(t *testing.T, file *os.File) unix.Termios {
	t.Helper()
	connection, err := file.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var modes *unix.Termios
	err2 := connection.Control(func(fd uintptr) { modes, err = unix.IoctlGetTermios(int(fd), unix.TCGETS) })
	if err != nil || err2 != nil {
		t.Fatal(err, err2)
	}
	return *modes
}

// program starts a shell script on a terminal, in a session of its own.
func program(t *testing.T, script string) (master *os.File, command *exec.Cmd) {
	t.Helper()
	master, slave := terminal(t)
	command = exec.Command("sh", "-c", script)
	command.Stdin, command.Stdout, command.Stderr = slave, slave, slave
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = command.Process.Kill() })
	slave.Close()
	return master, command
}

// patient bounds every wait of these tests.
const patient = 30 * time.Second

// until reads what a terminal shows, until a text has come.
func until(t *testing.T, from *os.File, text string) string {
	t.Helper()
	if err := from.SetReadDeadline(time.Now().Add(patient)); err != nil {
		t.Fatal(err)
	}
	var seen []byte
	for buffer := make([]byte, 1024); !bytes.Contains(seen, []byte(text)); {
		n, err := from.Read(buffer)
		if seen = append(seen, buffer[:n]...); err != nil {
			t.Fatalf("waiting for %q: %v after %q", text, err, seen)
		}
	}
	return string(seen)
}

func resize(t *testing.T, keyboard *os.File, rows, columns uint16) {
	t.Helper()
	connection, err := keyboard.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	err2 := connection.Control(func(fd uintptr) {
		err = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: columns})
	})
	if err != nil || err2 != nil {
		t.Fatal(err, err2)
	}
}

// TestForward is a session at a keyboard: sizes, Ctrl-C, which must reach the program and not us, and modes.
func TestForward(t *testing.T) {
	keyboard, screen := terminal(t)
	resize(t, keyboard, 30, 80)
	before := modes(t, screen)
	master, command := program(t, `trap 'echo interrupted' INT; trap 'stty size' WINCH
stty size; echo ready; while :; do read line || continue; echo "[$line]"; [ "$line" = end ] && exit 3; done`)
	f, err := Forward(screen, screen, master, nil)
	if err != nil {
		t.Fatal(err)
	}
	until(t, keyboard, "ready")
	if raw := modes(t, screen); raw.Lflag&(unix.ICANON|unix.ECHO|unix.ISIG) != 0 {
		t.Error("the terminal is not raw")
	}
	resize(t, keyboard, 31, 81)
	if err := unix.Kill(os.Getpid(), unix.SIGWINCH); err != nil { // it is not our controlling terminal
		t.Fatal(err)
	}
	until(t, keyboard, "31 81")
	for _, key := range []struct{ typed, answer string }{
		{"word\r", "[word]\r\n"}, {"\x03", "interrupted\r\n"}, {"end\r", "[end]\r\n"},
	} {
		if _, err := io.WriteString(keyboard, key.typed); err != nil {
			t.Fatal(err)
		}
		until(t, keyboard, key.answer)
	}
	if err := command.Wait(); command.ProcessState.ExitCode() != 3 {
		t.Error(err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if after := modes(t, screen); after != before {
		t.Errorf("modes after: %+v, want those before: %+v", after, before)
	}
}

// TestNoOutputIsLost: a program writes a lot and ends at once, with and without another that keeps the
// terminal open, or even writes on for ever.
func TestNoOutputIsLost(t *testing.T) {
	for name, background := range map[string]string{
		"alone": "", "one stays": "sleep 60 &", "one writes on": "(while :; do echo more; done) &",
	} {
		t.Run(name, func(t *testing.T) {
			master, command := program(t, "stty -onlcr; trap '' HUP; seq 30000; "+background+" echo the end")
			out, err := os.Create(filepath.Join(t.TempDir(), "out"))
			if err != nil {
				t.Fatal(err)
			}
			defer out.Close()
			in, stop, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer stop.Close()
			f, err := Forward(in, out, master, nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := command.Wait(); err != nil {
				t.Error(err)
			}
			if err := f.Close(); err != nil {
				t.Error(err)
			}
			_ = syscall.Kill(-command.Process.Pid, syscall.SIGKILL) // who stayed, in its session
			text, err := os.ReadFile(out.Name())
			if err != nil {
				t.Fatal(err)
			}
			text = bytes.ReplaceAll(text, []byte("more\n"), nil)
			if lines := bytes.Count(text, []byte("\n")); lines != 30001 || !bytes.Contains(text, []byte("the end\n")) {
				t.Errorf("%d lines, want 30001 with the end", lines)
			}
		})
	}
}

// TestEndOfInput: the end of a file is Ctrl-D to a program that reads lines.
func TestEndOfInput(t *testing.T) {
	for input, want := range map[string]string{"a\nb\n": "2 4\n", "a\nb": "1 3\n", "": "0 0\n"} { // as in files: no \r
		master, command := program(t, "stty -echo; echo ready; wc -lc | tr -s ' ' | sed 's/^ //'")
		until(t, master, "ready")
		if err := master.SetReadDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
		in, out := filepath.Join(t.TempDir(), "in"), filepath.Join(t.TempDir(), "out")
		if err := os.WriteFile(in, []byte(input), 0o600); err != nil {
			t.Fatal(err)
		}
		from, err := os.Open(in)
		if err != nil {
			t.Fatal(err)
		}
		to, err := os.Create(out)
		if err != nil {
			t.Fatal(err)
		}
		f, err := Forward(from, to, master, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(command.Wait(), f.Close()); err != nil {
			t.Error(err)
		}
		if got, err := os.ReadFile(out); !strings.HasSuffix(string(got), want) || err != nil {
			t.Errorf("input %q: output %q, want %q; %v", input, got, want, err)
		}
		from.Close()
		to.Close()
	}
}

// TestTypedAhead: what is typed when the container has ended, is for whoever has the terminal next.
func TestTypedAhead(t *testing.T) {
	keyboard, screen := terminal(t)
	master, command := program(t, "exit")
	f, err := Forward(screen, screen, master, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Wait(); err != nil {
		t.Error(err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if _, err := io.WriteString(keyboard, "next\n"); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 64)
	if n, err := screen.Read(line); string(line[:n]) != "next\n" {
		t.Errorf("read %q, %v; want what was typed after the end", line[:n], err)
	}
}

// TestRestoredAfterKill kills a program that forwards, and looks at the terminal.
func TestRestoredAfterKill(t *testing.T) {
	if os.Getenv("FORWARD") != "" { // the program
		master, _ := program(t, "sleep 60")
		if _, err := Forward(os.Stdin, os.Stdout, master, nil); err != nil {
			t.Fatal(err)
		}
		fmt.Print("ready")
		time.Sleep(time.Minute)
	}
	keyboard, screen := terminal(t)
	before := modes(t, screen)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// As on a desk, the session is a shell's: the end of its leader would hang up the terminal for all.
	command := exec.Command("/bin/sh", "-c", `"$0" "$@"; sleep 60`, self, "-test.run=TestRestoredAfterKill$")
	command.Env = append(os.Environ(), "FORWARD=1")
	command.Stdin, command.Stdout = screen, screen
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	until(t, keyboard, "ready")
	if modes(t, screen) == before {
		t.Error("the terminal is not raw")
	}
	defer func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	}()
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", command.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	forwarding, err := strconv.Atoi(strings.Fields(string(children))[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Kill(forwarding, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(patient); modes(t, screen) != before; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the terminal stays raw after kill -9")
		}
	}
}

// TestSocket sends a descriptor as engines receive it, over a path that is longer than an address.
func TestSocket(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("long/", 30))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: "socket"})
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	socket, err := Dial(filepath.Join(dir, "socket"))
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	accepted, err := listener.AcceptUnix()
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := accepted.File()
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	accepted.Close()

	master, _ := terminal(t)
	if err := Send(socket, master); err != nil {
		t.Fatal(err)
	}
	received, err := Receive(theirs)
	if err != nil {
		t.Fatal(err)
	}
	defer received.Close()
	if received.Name() != "master" {
		t.Errorf("it came with %q", received.Name())
	}
	if err := Send(socket, socket); err != nil {
		t.Fatal(err)
	}
	if file, err := Receive(theirs); err == nil {
		t.Errorf("a socket was received as a terminal: %v", file.Name())
	}
	socket.Close()
	if _, err := Receive(theirs); err == nil || !strings.Contains(err.Error(), errNoTerminal.Error()) {
		t.Errorf("the end of the socket: error %v, want %v", err, errNoTerminal)
	}
}

// TestReceiveSeveral: one descriptor is wanted, and of more none stays open.
func TestReceiveSeveral(t *testing.T) {
	ours, theirs, err := Pair()
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close()
	defer theirs.Close()
	for _, count := range []int{2, 3} {
		load := unix.UnixRights(slices.Repeat([]int{int(ours.Fd())}, count)...)
		if err := unix.Sendmsg(int(theirs.Fd()), []byte("several"), load, nil, 0); err != nil {
			t.Fatal(err)
		}
		before := descriptors(t)
		if file, err := Receive(ours); err == nil {
			t.Errorf("%d descriptors: received %v", count, file.Name())
		}
		if after := descriptors(t); after != before {
			t.Errorf("%d descriptors: %d are open afterwards, want %d", count, after, before)
		}
	}
}

// descriptors counts those of this process.
func descriptors(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// TestDetach: the keys give our terminal back, and leave the program its own, until nobody has the master any more. What
// is typed before them arrives.
func TestDetach(t *testing.T) {
	keyboard, screen := terminal(t)
	before := modes(t, screen)
	file := filepath.Join(t.TempDir(), "log")
	master, command := program(t, `trap 'echo hung up >>`+file+`; exit 0' HUP; read line; echo "$line" >>`+file+`
echo got it; while :; do read line; done`)
	f, err := Forward(screen, screen, master, []byte("\x10\x11"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(keyboard, "word\r\x10\x11after"); err != nil {
		t.Fatal(err)
	}
	<-f.Detached()
	kept, err := f.Detach()
	if err != nil {
		t.Fatal(err)
	}
	if after := modes(t, screen); after != before {
		t.Errorf("modes after: %+v, want those before: %+v", after, before)
	}
	says := func(want string) {
		t.Helper()
		for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
			if got, _ := os.ReadFile(file); string(got) == want {
				return
			} else if time.Now().After(deadline) {
				t.Fatalf("the program wrote %q, want %q", got, want)
			}
		}
	}
	says("word\n")
	if err := kept.Close(); err != nil {
		t.Error(err)
	}
	says("word\nhung up\n")
	if err := command.Wait(); err != nil {
		t.Error(err)
	}
}

// TestOnlyLooking: nothing is typed without in, also no end; the size is that of the terminal that it is shown on.
func TestOnlyLooking(t *testing.T) {
	keyboard, screen := terminal(t)
	resize(t, keyboard, 29, 79)
	master, command := program(t, `trap 'stty size; exit 4' USR1; echo ready; while :; do read line || exit 5; done`)
	until(t, master, "ready")
	f, err := Forward(nil, screen, master, []byte("\x10\x11"))
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Process.Signal(syscall.SIGUSR1); err != nil {
		t.Error(err)
	}
	until(t, keyboard, "29 79")
	if err := command.Wait(); command.ProcessState.ExitCode() != 4 {
		t.Error(err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}
