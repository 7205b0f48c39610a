//go:build linux

package engines

import (
	"bytes"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
)

// tty FILE PROGRAM [ARG...] runs a program on a terminal, and the dialog of the file with it:
//
//	< text      wait until it shows the text
//	> text      type the text, and Enter; ^C is Ctrl-C, ^P^Q the keys to detach
//	= 30 90     make the terminal 30 rows high and 90 columns wide
//	! 7         at the end: the exit code; it is 0 without
//
// All that was shown is what the program printed, for stdout. The terminal's modes must be the same after.
func tty(ts *testscript.TestScript, neg bool, args []string) {
	keyboard, screen, err := terminal()
	ts.Check(err)
	defer keyboard.Close()
	defer screen.Close()
	before, err := unix.IoctlGetTermios(int(screen.Fd()), unix.TCGETS)
	ts.Check(err)
	command := exec.Command(lookPath(ts, args[1]), args[2:]...)
	command.Stdin, command.Stdout, command.Stderr = screen, screen, screen
	command.Env = []string{"PATH=" + ts.Getenv("PATH"), "HOME=" + ts.Getenv("HOME"), "TMPDIR=" + ts.Getenv("TMPDIR"),
		"CONTAINERS_CONF=" + ts.Getenv("CONTAINERS_CONF"), "CONTAINERS_STORAGE_CONF=" + ts.Getenv("CONTAINERS_STORAGE_CONF")}
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	ts.Check(command.Start())
	defer func() { _ = command.Process.Kill() }() // the rule is that it has ended

	d := &dialog{ts: ts, keyboard: keyboard}
	for line := range strings.Lines(ts.ReadFile(args[0])) {
		d.line(strings.TrimSuffix(line, "\n"))
	}
	timer := time.AfterFunc(patience, func() { _ = command.Process.Kill() })
	_ = command.Wait() // its code is looked at
	timer.Stop()
	after, err := unix.IoctlGetTermios(int(screen.Fd()), unix.TCGETS)
	ts.Check(err)
	screen.Close() // by the last one who has it: so what has been shown ends
	_ = keyboard.SetReadDeadline(time.Now().Add(patience))
	d.wait("\x00")
	_, err = ts.Stdout().Write(d.seen)
	ts.Check(err)
	if code := command.ProcessState.ExitCode(); code != d.code {
		ts.Fatalf("%v, want exit code %d; the terminal showed:\n%s", command.ProcessState, d.code, d.seen)
	}
	if *after != *before {
		ts.Fatalf("the terminal's modes are %+v after, and were %+v before", after, before)
	}
}

// lookPath finds a program in the script's PATH.
func lookPath(ts *testscript.TestScript, name string) string {
	for dir := range strings.SplitSeq(ts.Getenv("PATH"), ":") {
		if _, err := os.Stat(dir + "/" + name); err == nil {
			return dir + "/" + name
		}
	}
	ts.Fatalf("no %s in PATH", name)
	return ""
}

type dialog struct {
	ts       *testscript.TestScript
	keyboard *os.File
	seen     []byte
	asked    int // how much of it has been waited for
	code     int
}

var keys = strings.NewReplacer("^C", "\x03", "^D", "\x04", "^P", "\x10", "^Q", "\x11")

func (d *dialog) line(line string) {
	sign, text, _ := strings.Cut(line, " ")
	switch sign {
	case "<":
		_ = d.keyboard.SetReadDeadline(time.Now().Add(patience)) // it is a terminal: it can
		if !d.wait(text) {
			d.ts.Fatalf("no %q on the terminal, but:\n%s", text, d.seen)
		}
	case ">":
		typed := keys.Replace(text)
		if typed == text {
			typed += "\r"
		}
		_, err := d.keyboard.WriteString(typed)
		d.ts.Check(err)
	case "=":
		rows, columns, _ := strings.Cut(text, " ")
		d.resize(number(d.ts, rows), number(d.ts, columns))
	case "!":
		d.code = number(d.ts, text)
	}
}

func number(ts *testscript.TestScript, text string) int {
	n, err := strconv.Atoi(text)
	ts.Check(err)
	return n
}

// wait reads until there is a text that has not been waited for, or the deadline.
func (d *dialog) wait(text string) bool {
	for buffer := make([]byte, 4096); ; {
		if i := bytes.Index(d.seen[d.asked:], []byte(text)); i >= 0 {
			d.asked += i + len(text)
			return true
		}
		n, err := d.keyboard.Read(buffer)
		if d.seen = append(d.seen, buffer[:n]...); err != nil && n == 0 {
			return false
		}
	}
}

func (d *dialog) resize(rows, columns int) {
	connection, err := d.keyboard.SyscallConn()
	d.ts.Check(err)
	d.ts.Check(connection.Control(func(fd uintptr) {
		err = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Row: uint16(rows), Col: uint16(columns)})
	}))
	d.ts.Check(err)
}

// terminal returns both ends of a terminal.
func terminal() (keyboard, screen *os.File, err error) {
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	keyboard = os.NewFile(uintptr(fd), "keyboard")
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		return nil, nil, err
	}
	peer, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TIOCGPTPEER, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC)
	if errno != 0 {
		return nil, nil, errno
	}
	return keyboard, os.NewFile(peer, "screen"), nil
}
