//go:build linux && !engine

package main

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A desk is a terminal with the program at it.
type desk struct {
	*testing.T
	keyboard *os.File // the master: keys go in, and what is shown comes out
	screen   *os.File // the slave

	mutex sync.Mutex
	shown bytes.Buffer
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		err = unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 31, Col: 71})
	}
	if err != nil {
		t.Fatal(err)
	}
	slave, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TIOCGPTPEER, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC)
	if errno != 0 {
		t.Fatal(errno)
	}
	d := &desk{T: t, keyboard: os.NewFile(uintptr(fd), "keyboard"), screen: os.NewFile(slave, "screen")}
	go func() { _, _ = io.Copy(d, d.keyboard) }() // until the test's end
	t.Cleanup(func() {
		d.screen.Close()
		d.keyboard.Close()
	})
	return d
}

// Write is for what is shown.
func (d *desk) Write(text []byte) (int, error) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	return d.shown.Write(text)
}

// start starts the program with the terminal as its own; out is nil for the terminal.
func (d *desk) start(out *os.File, args ...string) *exec.Cmd {
	d.Helper()
	if out == nil {
		out = d.screen
	}
	cmd := exec.CommandContext(d.Context(), "/proc/self/exe", args...)
	cmd.Env = append(os.Environ(), actAs+"=final")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = d.screen, out, d.screen
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		d.Fatal(err)
	}
	return cmd
}

func (d *desk) types(keys string) {
	d.Helper()
	if _, err := d.keyboard.WriteString(keys); err != nil {
		d.Fatal(err)
	}
}

func (d *desk) shows(text string) {
	d.Helper()
	d.poll(strconv.Quote(text)+" on the terminal", func() bool {
		d.mutex.Lock()
		defer d.mutex.Unlock()
		return strings.Contains(d.shown.String(), text)
	})
}

func (d *desk) poll(what string, is func() bool) {
	d.Helper()
	for deadline := time.Now().Add(time.Minute); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			d.mutex.Lock()
			defer d.mutex.Unlock()
			d.Fatalf("want: %s; shown so far: %q", what, d.shown.String())
		}
	}
}

func (d *desk) modes() unix.Termios {
	d.Helper()
	modes, err := unix.IoctlGetTermios(int(d.screen.Fd()), unix.TCGETS)
	if err != nil {
		d.Fatal(err)
	}
	return *modes
}

// ends waits for the program, and wants this code of it, and the terminal as it was.
func (d *desk) ends(cmd *exec.Cmd, code int, before unix.Termios) {
	d.Helper()
	_ = cmd.Wait() // the state says how
	if got := cmd.ProcessState.ExitCode(); got != code {
		d.Errorf("%v: code %d, want %d", cmd.Args[1:], got, code)
	}
	d.poll("the terminal is as it was", func() bool { return d.modes() == before })
}

// TestExecDetach: the keys that leave a container's terminal leave one of exec, too, and the command running: it has its
// terminal still, and somebody who reads what it writes.
func TestExecDetach(t *testing.T) {
	if !inWorld(t) {
		return
	}
	mount(t, "tmpfs", filepath.Dir(dataRoot), "tmpfs", 0, "") // the machine's own is not ours
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	call := func(args ...string) string {
		t.Helper()
		out, complaint, code := final(t, args...)
		if code != 0 {
			t.Fatalf("final %v: code %d: %s", args, code, complaint)
		}
		return out
	}
	d := newDesk(t)
	call("run", "-d", "--name", "web", "--network", "none", "--env", actAs, "lab", "sleep", "1000")
	defer func() {
		call("exec", "web", "sh", "-c", "kill -9 -1") // all but process 1 and itself
		d.poll("process 1 alone, and the one that looks", func() bool {
			reapOrphans()
			return len(strings.Fields(call("exec", "web", "sh", "-c", "echo /proc/[0-9]*"))) == 2
		})
		call("rm", "-f", "web")
	}()
	// More than a terminal holds, after the person has gone; then a file that says that it came to its end.
	const job = `stty size; echo ready; read go; trap 'echo hup > /hup' HUP; i=0
while [ $i -lt 3000 ]; do i=$((i+1)); echo a line that is not so short, number $i; done; [ -t 1 ] && echo done > /done; read more`
	before := d.modes()

	for _, test := range []struct {
		flags []string
		keys  string
	}{
		{nil, "\x10\x11"},
		{[]string{"--detach-keys", "ctrl-a,d"}, "\x01d"},
	} {
		call("exec", "web", "rm", "-f", "/done", "/hup")
		cmd := d.start(nil, append(append([]string{"exec", "-it"}, test.flags...), "web", "sh", "-c", job)...)
		d.shows("31 71\r\nready")
		d.poll("raw keys", func() bool { return d.modes() != before })
		d.types("go\r" + test.keys)
		d.ends(cmd, 0, before)
		d.poll("the command came to its end", func() bool {
			_, _, code := final(t, "exec", "web", "sh", "-c", "[ -e /done ]")
			return code == 0
		})
		if _, _, code := final(t, "exec", "web", "sh", "-c", "[ ! -e /hup ]"); code != 0 {
			t.Error("its terminal has hung up")
		}
		d.mutex.Lock()
		d.shown.Reset()
		d.mutex.Unlock()
	}

	// -d with -t: the same, from the beginning.
	call("exec", "web", "rm", "/done")
	call("exec", "-d", "-t", "web", "sh", "-c", "[ -t 0 ] && [ -t 1 ] && echo done > /done; read more")
	d.poll("a terminal with -d", func() bool {
		_, _, code := final(t, "exec", "web", "sh", "-c", "[ -e /done ]")
		return code == 0
	})

	// Without -i there is nothing that could be typed, and no terminal of ours is needed.
	if out := call("exec", "-t", "web", "sh", "-c", "[ -t 0 ] && echo has one"); !strings.Contains(out, "has one") {
		t.Errorf("-t: %q", out)
	}
	if _, complaint, code := final(t, "exec", "--detach-keys", "nonsense", "web", "true"); code != 1 || !strings.Contains(complaint, "--detach-keys") {
		t.Errorf("--detach-keys nonsense: code %d: %s", code, complaint)
	}
	unreadTerminal(d, before)
}

// unreadTerminal is `final run -it lab | head -n 1`: the reader goes, and the person gets the terminal back, and is told.
func unreadTerminal(d *desk, before unix.Termios) {
	reads, writes, err := os.Pipe()
	if err != nil {
		d.Fatal(err)
	}
	cmd := d.start(writes, "run", "-it", "--rm", "--name", "shell", "--network", "none", "lab", "sh", "-c",
		"while echo line; do sleep 0.1; done")
	writes.Close()
	if _, err := io.ReadFull(reads, make([]byte, 5)); err != nil {
		d.Error(err)
	}
	reads.Close()
	d.ends(cmd, 1, before)
	d.shows("container shell runs on")
	if out, complaint, code := final(d.T, "stop", "-t", "0", "shell"); code != 0 {
		d.Errorf("stop: code %d: %s%s", code, out, complaint)
	}
}

// reapOrphans does what a machine's first process does. This one has made itself the orphans' parent (PR_SET_CHILD_SUBREAPER).
func reapOrphans() {
	for {
		if pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); err != unix.EINTR && pid <= 0 {
			return
		}
	}
}
