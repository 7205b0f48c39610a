//go:build linux

package lab

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

var terminalCommands = []command{
	{"tty", "print the terminal's name: tty [-s]", runTty},
	{"stty", "show or set the terminal's modes: stty [size | sane | raw | -a | [-]echo ...]", runStty},
	{"clear", "clear the screen", func(c *call) error { c.printf(clearScreen); return nil }},
	{"reset", "put the terminal in order again", runReset},
	{"less", "page through a text: less [FILE...]", runLess},
	{"more", "the same", runLess},
}

const clearScreen = "\x1b[H\x1b[2J"

func runTty(c *call) error {
	o, err := c.options("s")
	if err != nil {
		return err
	}
	name, err := os.Readlink("/proc/self/fd/0")
	if !term.IsTerminal(0) || err != nil {
		if !o.has('s') {
			c.println("not a tty")
		}
		return exitCode(1)
	}
	if !o.has('s') {
		c.println(name)
	}
	return nil
}

// sttyFlags are the modes that people set by hand.
var sttyFlags = []struct {
	name  string
	field func(*unix.Termios) *uint32
	bit   uint32
}{
	{"echo", func(t *unix.Termios) *uint32 { return &t.Lflag }, unix.ECHO},
	{"icanon", func(t *unix.Termios) *uint32 { return &t.Lflag }, unix.ICANON},
	{"isig", func(t *unix.Termios) *uint32 { return &t.Lflag }, unix.ISIG},
	{"iexten", func(t *unix.Termios) *uint32 { return &t.Lflag }, unix.IEXTEN},
	{"tostop", func(t *unix.Termios) *uint32 { return &t.Lflag }, unix.TOSTOP},
	{"icrnl", func(t *unix.Termios) *uint32 { return &t.Iflag }, unix.ICRNL},
	{"ixon", func(t *unix.Termios) *uint32 { return &t.Iflag }, unix.IXON},
	{"opost", func(t *unix.Termios) *uint32 { return &t.Oflag }, unix.OPOST},
	{"onlcr", func(t *unix.Termios) *uint32 { return &t.Oflag }, unix.ONLCR},
}

func runStty(c *call) error {
	modes, err := unix.IoctlGetTermios(0, unix.TCGETS)
	if err != nil {
		return fmt.Errorf("standard input: %w", err)
	}
	if len(c.args) == 0 || c.args[0] == "-a" {
		width, height, err := term.GetSize(0)
		if err != nil {
			return err
		}
		c.printf("rows %d; columns %d;", height, width)
		for _, f := range sttyFlags {
			sign := "-"
			if *f.field(modes)&f.bit != 0 {
				sign = ""
			}
			c.printf(" %s%s", sign, f.name)
		}
		c.println()
		return nil
	}
	for i := 0; i < len(c.args); i++ {
		switch arg := c.args[i]; arg {
		case "size":
			width, height, err := term.GetSize(0)
			if err != nil {
				return err
			}
			c.println(height, width)
		case "sane":
			sane(modes)
		case "raw":
			modes.Lflag &^= unix.ECHO | unix.ICANON | unix.ISIG | unix.IEXTEN
			modes.Iflag &^= unix.ICRNL | unix.IXON
			modes.Oflag &^= unix.OPOST
		case "rows", "cols", "columns":
			if i++; i >= len(c.args) {
				return usagef("%s needs a number", arg)
			}
			if err := setSize(arg, c.args[i]); err != nil {
				return err
			}
		default:
			if err := setMode(modes, arg); err != nil {
				return err
			}
		}
	}
	if err := unix.IoctlSetTermios(0, unix.TCSETSW, modes); err != nil {
		return fmt.Errorf("TCSETSW: %w", err)
	}
	return nil
}

func setMode(modes *unix.Termios, arg string) error {
	name := strings.TrimPrefix(arg, "-")
	for _, f := range sttyFlags {
		if f.name != name {
			continue
		}
		if arg == name {
			*f.field(modes) |= f.bit
		} else {
			*f.field(modes) &^= f.bit
		}
		return nil
	}
	return usagef("invalid argument '%s'", arg)
}

func setSize(which, text string) error {
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return usagef("%q is not a size", text)
	}
	size, err := unix.IoctlGetWinsize(0, unix.TIOCGWINSZ)
	if err != nil {
		return fmt.Errorf("TIOCGWINSZ: %w", err)
	}
	if which == "rows" {
		size.Row = uint16(n)
	} else {
		size.Col = uint16(n)
	}
	return unix.IoctlSetWinsize(0, unix.TIOCSWINSZ, size)
}

// sane sets the modes that a terminal for people has (termios(3)).
func sane(modes *unix.Termios) {
	modes.Iflag |= unix.BRKINT | unix.ICRNL | unix.IXON | unix.IMAXBEL
	modes.Iflag &^= unix.INLCR | unix.IGNCR
	modes.Oflag |= unix.OPOST | unix.ONLCR
	modes.Lflag |= unix.ECHO | unix.ECHOE | unix.ECHOK | unix.ECHOCTL | unix.ECHOKE | unix.ICANON | unix.ISIG | unix.IEXTEN
	modes.Lflag &^= unix.TOSTOP | unix.NOFLSH
	modes.Cc[unix.VINTR], modes.Cc[unix.VQUIT], modes.Cc[unix.VERASE] = 3, 28, 127
	modes.Cc[unix.VKILL], modes.Cc[unix.VEOF], modes.Cc[unix.VSUSP] = 21, 4, 26
	modes.Cc[unix.VMIN], modes.Cc[unix.VTIME] = 1, 0
}

func runReset(c *call) error {
	if modes, err := unix.IoctlGetTermios(0, unix.TCGETS); err == nil {
		sane(modes)
		if err := unix.IoctlSetTermios(0, unix.TCSETSW, modes); err != nil {
			return fmt.Errorf("TCSETSW: %w", err)
		}
	}
	c.printf("\x1bc") // the terminal's own reset
	return nil
}

// runLess shows a screenful at a time: space or return go on, q ends.
func runLess(c *call) error {
	var lines []string
	if err := c.eachLine(c.args, func(line string) error { lines = append(lines, line); return nil }); err != nil {
		return err
	}
	_, height, err := term.GetSize(1)
	keys, ttyErr := os.Open("/dev/tty") // the standard input may be the text
	if err != nil || ttyErr != nil || height < 2 {
		for _, line := range lines {
			c.println(line)
		}
		return nil
	}
	defer keys.Close()
	before, err := term.MakeRaw(int(keys.Fd()))
	if err != nil {
		return err
	}
	defer func() { _ = term.Restore(int(keys.Fd()), before) }()
	for shown, page := 0, height-1; shown < len(lines); {
		for range min(page, len(lines)-shown) {
			c.printf("%s\r\n", lines[shown])
			shown++
		}
		if shown == len(lines) {
			break
		}
		c.printf("\x1b[7m--more-- (%d%%)\x1b[0m", 100*shown/len(lines))
		_ = c.out.Flush() // an error shows at the end
		var key [1]byte
		if _, err := io.ReadFull(keys, key[:]); err != nil {
			return err
		}
		c.printf("\r\x1b[K")
		switch key[0] {
		case 'q', 3:
			return nil
		case '\r', '\n', 'j':
			page = 1
		default:
			page = height - 1
		}
	}
	return nil
}

// runTop prints the process table in the order of what processes used since the last time.
func runTop(c *call) error {
	o, err := c.options("bn:d:")
	if err != nil {
		return err
	}
	interactive := term.IsTerminal(1) && !o.has('b')
	count, err := o.int('n', 0)
	if err != nil {
		return err
	}
	every, err := o.duration('d', 2*time.Second)
	if err != nil {
		return err
	}
	ctx, stop := interruptible()
	defer stop()
	quit := make(chan struct{})
	if interactive && term.IsTerminal(0) {
		before, err := quitOnQ(quit)
		if err != nil {
			return err
		}
		defer func() { _ = term.Restore(0, before) }()
	}
	used := map[int]time.Duration{}
	last := time.Now()
	for n := 0; count == 0 || n < count; n++ {
		all, err := readProcesses()
		if err != nil {
			return err
		}
		now := time.Now()
		if interactive {
			c.printf(clearScreen)
		}
		c.topPage(all, used, now.Sub(last), interactive)
		if err := c.out.Flush(); err != nil {
			return err
		}
		last = now
		for _, p := range all {
			used[p.pid] = p.cpu
		}
		if n+1 == count {
			break
		}
		select {
		case <-ctx.Done():
			return nil
		case <-quit:
			return nil
		case <-time.After(every):
		}
	}
	return nil
}

// quitOnQ reads keys without waiting for a return; signals stay on.
func quitOnQ(quit chan<- struct{}) (*term.State, error) {
	before, err := term.GetState(0)
	if err != nil {
		return nil, err
	}
	modes, err := unix.IoctlGetTermios(0, unix.TCGETS)
	if err != nil {
		return nil, err
	}
	modes.Lflag &^= unix.ICANON | unix.ECHO
	if err := unix.IoctlSetTermios(0, unix.TCSETSW, modes); err != nil {
		return nil, err
	}
	go func() {
		var key [1]byte
		for {
			if _, err := os.Stdin.Read(key[:]); err != nil || key[0] == 'q' {
				close(quit)
				return
			}
		}
	}()
	return before, nil
}

func (c *call) topPage(all []processInfo, used map[int]time.Duration, since time.Duration, fit bool) {
	share := func(p processInfo) float64 {
		before, known := used[p.pid]
		if !known || since <= 0 {
			return 0
		}
		return 100 * float64(p.cpu-before) / float64(since)
	}
	slices.SortStableFunc(all, func(a, b processInfo) int {
		return int(100 * (share(b) - share(a)))
	})
	if memory, err := memInfo(); err == nil {
		c.printf("Mem: %s used, %s free\n", humanSize(memory["MemTotal"]-memory["MemAvailable"]), humanSize(memory["MemAvailable"]))
	}
	c.printf("%5s %5s %-8s %-4s %7s %6s %s\n", "PID", "PPID", "USER", "STAT", "RSS", "%CPU", "COMMAND")
	width, height, err := term.GetSize(1)
	if fit && err == nil && height > 3 {
		all = all[:min(len(all), height-3)]
	}
	for _, p := range all {
		line := fmt.Sprintf("%5d %5d %-8s %-4s %7s %6.1f %s", p.pid, p.ppid, userName(p.uid), p.stat(), humanSize(p.rss), share(p), p.args)
		if fit && width > 0 && len(line) > width {
			line = line[:width]
		}
		c.println(line)
	}
}
