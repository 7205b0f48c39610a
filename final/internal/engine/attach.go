//go:build linux

package engine

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"github.com/simple-container/simple-container/final/internal/console"
	"github.com/simple-container/simple-container/final/internal/monitor"
)

// Streams are a person's, to be connected with a container's.
type Streams struct {
	In       *os.File  // nil: nothing is typed
	Out, Err io.Writer // nil: not wanted

	DetachKeys []byte           // typed in a row, they end the connection; only where In is a terminal and the container has one
	Signals    <-chan os.Signal // for the container, see [CatchSignals]; nil for none
}

// CatchSignals catches the signals that reach us and are for a container, from now on: those that come while it is
// started, too.
func CatchSignals() (signals <-chan os.Signal, stop func()) {
	caught := make(chan os.Signal, 64)
	signal.Notify(caught, proxied()...)
	return caught, func() { signal.Stop(caught) }
}

// Attach connects to a container that runs.
func (c *Container) Attach() (*monitor.Client, error) {
	client, err := monitor.Attach(c.engine.runDir(c.ID))
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ECONNREFUSED) {
		return nil, &notRunning{c.Name}
	}
	return client, err
}

// Attend connects a person's streams with a container's until that has ended and all is cleared away, and returns its
// exit code. The container runs on after console.ErrDetached, and after EPIPE, which says that nobody reads what it
// writes.
func (c *Container) Attend(client *monitor.Client, s Streams) (code int, err error) {
	defer client.Close()
	defer surviveReaders()()
	a := &attendance{container: c, client: client, streams: s, detached: make(chan struct{})}
	if c.Options.Terminal && s.In != nil && term.IsTerminal(int(s.In.Fd())) {
		giveBack, err := console.Raw(s.In)
		if err != nil {
			return 0, err
		}
		defer func() { err = errors.Join(err, giveBack()) }()
		a.keys = s.DetachKeys
	}
	defer a.followSignals()()
	return a.carry()
}

// surviveReaders has a write to a standard stream that nobody reads any more fail, and not end this program, as long as
// it may have taken a terminal's keys.
func surviveReaders() (stop func()) {
	caught := make(chan os.Signal, 1)
	signal.Notify(caught, unix.SIGPIPE)
	return func() { signal.Stop(caught) }
}

// An attendance is a connection at work.
type attendance struct {
	container *Container
	client    *monitor.Client
	streams   Streams
	keys      []byte // of detaching; nil if no key has a meaning
	detached  chan struct{}
}

// carry carries both ways, until the end.
func (a *attendance) carry() (code int, err error) {
	woken, stop, err := os.Pipe()
	if err != nil {
		return 0, fmt.Errorf("pipe: %w", err)
	}
	input := make(chan struct{})
	go func() {
		defer close(input)
		a.carryInput(woken)
	}()
	code, known, err := a.carryOutput()
	stop.Close() // the end of input: what is typed from now on is somebody else's
	<-input
	woken.Close()
	select {
	case <-a.detached:
		return 0, console.ErrDetached
	default:
	}
	if err != nil || known {
		return code, err
	}
	// The monitor has ended without a word, or we have come too late for it.
	if err := a.container.settle(); err != nil {
		return 0, err
	}
	if a.container.readState() == nil && a.container.State.Status == Exited {
		return a.container.State.ExitCode, nil
	}
	return Unknown, nil
}

// carryOutput returns when the monitor has ended; known tells whether it said the exit code before.
func (a *attendance) carryOutput() (code int, known bool, err error) {
	buffer := make([]byte, monitor.BufferSize)
	for {
		kind, text, err := a.client.Receive(buffer)
		switch {
		case errors.Is(err, io.EOF) || errors.Is(err, os.ErrClosed):
			return code, known, nil
		case err != nil:
			return code, known, err
		}
		out := a.streams.Out
		switch kind {
		case monitor.Exited:
			code, err = strconv.Atoi(string(text))
			known = err == nil
			continue
		case monitor.Stderr:
			out = a.streams.Err
		}
		if out == nil {
			continue
		}
		if _, err := out.Write(text); err != nil {
			return code, known, err
		}
	}
}

// carryInput never reads when there is nothing: a key that is typed after the end is for the next program.
func (a *attendance) carryInput(woken *os.File) {
	in := a.streams.In
	if in == nil {
		return
	}
	keys := console.KeyFilter{Keys: a.keys}
	buffer := make([]byte, 16<<10)
	ready := []unix.PollFd{{Fd: int32(in.Fd()), Events: unix.POLLIN}, {Fd: int32(woken.Fd()), Events: unix.POLLIN}}
	for {
		_, err := unix.Poll(ready, -1)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || ready[1].Revents != 0 {
			return
		}
		n, err := in.Read(buffer)
		if n > 0 {
			text, leave := keys.Pass(buffer[:n])
			if _, err := a.client.Write(text); err != nil {
				return
			}
			if leave {
				_ = a.client.Send(monitor.Leave)
				close(a.detached)
				a.client.Close()
				return
			}
		}
		if err != nil {
			_ = a.client.Send(monitor.EndStdin)
			return
		}
	}
}

// followSignals passes signals on, and the size of our terminal.
func (a *attendance) followSignals() (stop func()) {
	resized := make(chan os.Signal, 1)
	if a.container.Options.Terminal && a.streams.terminal() != nil {
		signal.Notify(resized, unix.SIGWINCH)
		a.streams.resize(a.client)
	}
	done := make(chan struct{})
	go func() {
		for {
			select {
			case <-resized:
				a.streams.resize(a.client)
			case got := <-a.streams.Signals:
				_ = a.container.kill(got.(unix.Signal)) // it may have ended
			case <-done:
				return
			}
		}
	}()
	return func() {
		signal.Stop(resized)
		close(done)
	}
}

// proxied are the signals that are passed on: all that are not about us, or about Go.
func proxied() (list []os.Signal) {
	own := map[unix.Signal]bool{
		unix.SIGCHLD: true, unix.SIGURG: true, unix.SIGWINCH: true, unix.SIGPIPE: true, unix.SIGKILL: true, unix.SIGSTOP: true,
		unix.SIGTSTP: true, unix.SIGTTIN: true, unix.SIGTTOU: true, unix.SIGPROF: true, unix.SIGCONT: true,
		unix.SIGSEGV: true, unix.SIGBUS: true, unix.SIGFPE: true, unix.SIGILL: true, unix.SIGTRAP: true, unix.SIGSYS: true,
	}
	for number := unix.Signal(1); number < 32; number++ {
		if !own[number] {
			list = append(list, number)
		}
	}
	return list
}

// terminal is the one of ours that has a size.
func (s *Streams) terminal() *os.File {
	if in := s.In; in != nil && term.IsTerminal(int(in.Fd())) {
		return in
	}
	if out, ok := s.Out.(*os.File); ok && term.IsTerminal(int(out.Fd())) {
		return out
	}
	return nil
}

// resize makes the container's terminal as large as ours, if we have one.
func (s *Streams) resize(client *monitor.Client) {
	ours := s.terminal()
	if ours == nil {
		return
	}
	size, err := unix.IoctlGetWinsize(int(ours.Fd()), unix.TIOCGWINSZ)
	if err == nil {
		_ = client.Resize(size.Row, size.Col) // the container may have ended
	}
}
