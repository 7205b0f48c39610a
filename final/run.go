//go:build linux

package main

import (
	"errors"
	"os"
	"os/signal"
	"slices"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"github.com/simple-container/simple-container/final/internal/console"
	"github.com/simple-container/simple-container/final/internal/runtime"
)

var runVerb = verb{"run ID", "Make a container out of a bundle, start it and wait for its end", 1, 1,
	func(flags *flagSet) func(*session, []string) error {
		var f createFlags
		f.add(flags)
		detach := flags.BoolP("detach", "d", false, "do not wait")
		keep := flags.Bool("keep", false, "do not delete the container when it has ended")
		return func(s *session, args []string) error {
			o, err := f.options()
			if err != nil {
				return err
			}
			return s.run(args[0], o, f.socket, *detach, *keep)
		}
	}}

// run creates and starts a container. In the foreground it lends it the terminal, passes signals on, and ends
// with the command's exit code.
func (s *session) run(id string, o runtime.CreateOptions, socket string, detach, keep bool) (err error) {
	terminal, err := runtime.WantsTerminal(o)
	if err != nil {
		return err
	}
	f, err := newForeground(socket, detach, terminal)
	if err != nil {
		return err
	}
	defer f.close()
	r := s.runtime()
	o.Console = f.socket
	c, err := r.Create(id, o)
	if err != nil {
		return err
	}
	stays := false
	defer func() {
		if !stays {
			err = errors.Join(err, ignoreGone(r.Delete(id, true)))
		}
	}()
	if err := f.attach(); err != nil {
		return err
	}
	if err := c.Start(); err != nil {
		return err
	}
	stays = detach || keep
	if detach {
		return nil
	}
	return f.wait(c.Pid)
}

func ignoreGone(err error) error {
	if errors.Is(err, runtime.ErrNotExist) {
		return nil
	}
	return err
}

// foreground is a process that we wait for: its signals, and if it has one, its terminal.
type foreground struct {
	socket    *os.File // for the container side, to send the terminal to; nil without terminal
	ours      *os.File // where it arrives; nil if the socket is somebody else's
	in        *os.File // what is typed in that terminal; nil for nothing
	keys      []byte   // typed in a row, they end the wait; nil for none
	forwarder *console.Forwarder
	signals   chan os.Signal
}

// forwarded are the signals that, sent to us, are meant for the command. (Not all there are: to ask Go for one
// takes two switches of threads, and all of them would take longer than the container.)
var forwarded = []os.Signal{unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM, unix.SIGUSR1, unix.SIGUSR2}

// newForeground prepares for a process. With the path of a console socket the terminal, if it is to have one, is the
// socket's owner's.
func newForeground(socket string, detach, terminal bool) (f *foreground, err error) {
	f = &foreground{in: os.Stdin, signals: make(chan os.Signal, 64)}
	if !detach {
		signal.Notify(f.signals, forwarded...) // from now on: what comes during set-up is for the command
	}
	switch {
	case socket != "":
		f.socket, err = console.Dial(socket)
	case !terminal:
	case detach:
		err = errors.New("process.terminal: a detached process with a terminal wants --console-socket")
	case !slices.ContainsFunc([]int{0, 1, 2}, term.IsTerminal) && !hasTerminal():
		err = errors.New("process.terminal: true, and none of the standard streams is a terminal: set it to false, or use --console-socket")
	default:
		f.ours, f.socket, err = console.Pair()
	}
	return f, err
}

// hasTerminal tells whether the session has a terminal, although the standard streams lead elsewhere (tty(4)).
func hasTerminal() bool {
	terminal, err := os.OpenFile("/dev/tty", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return false
	}
	return terminal.Close() == nil
}

// attach connects our terminal with the process's.
func (f *foreground) attach() error {
	if f.ours == nil {
		return nil
	}
	master, err := console.Receive(f.ours)
	if err != nil {
		return err
	}
	f.forwarder, err = console.Forward(f.in, os.Stdout, master, f.keys)
	return err
}

func (f *foreground) close() {
	_ = f.release() // where it matters, wait has done it
	for _, file := range []*os.File{f.socket, f.ours} {
		if file != nil {
			file.Close()
		}
	}
}

// release gives our terminal back.
func (f *foreground) release() error {
	if f.forwarder == nil {
		return nil
	}
	forwarder := f.forwarder
	f.forwarder = nil
	return forwarder.Close()
}

// leave gives our terminal back, and returns the process's: as long as somebody has that, the process goes on.
func (f *foreground) leave() (master *os.File, err error) {
	forwarder := f.forwarder
	f.forwarder = nil
	return forwarder.Detach()
}

// wait waits for the process's end, passes signals on until then, and returns its exit code as an error. After
// console.ErrDetached it goes on.
func (f *foreground) wait(pid int) (err error) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil) == unix.EINTR {
		}
	}()
	var detached <-chan struct{} // nothing ever comes
	if f.forwarder != nil {
		detached = f.forwarder.Detached()
	}
	for waiting := true; waiting; {
		select {
		case <-detached:
			return console.ErrDetached
		case got := <-f.signals:
			_ = unix.Kill(pid, got.(unix.Signal)) // not reaped yet, so the pid is its own
		case <-ended:
			waiting = false
		}
	}
	var status unix.WaitStatus
	for {
		if _, err = unix.Wait4(pid, &status, 0, nil); !errors.Is(err, unix.EINTR) {
			break
		}
	}
	code := exitCode(status)
	if err = errors.Join(err, f.release()); err != nil || code == 0 {
		return err
	}
	return exitError(code)
}

// exitCode is what a process that has ended gives who runs it: its own code, or 128 and its signal.
func exitCode(status unix.WaitStatus) int {
	if status.Signaled() {
		return 128 + int(status.Signal())
	}
	return status.ExitStatus()
}
