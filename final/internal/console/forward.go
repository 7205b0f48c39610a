//go:build linux

package console

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// A Forwarder carries what is typed here to a container's terminal, and back what the container writes.
// If our side is a terminal too, it is raw meanwhile: no key has a meaning here, Ctrl-C and all others
// have theirs in the container.
type Forwarder struct {
	in, out *os.File
	master  *os.File
	keys    KeyFilter
	plain   bool // out is no terminal: lines end as in files

	giveBack func() error   // nil if in is no terminal
	resized  chan os.Signal // nil if neither of ours is
	stop     *os.File       // closing it ends the input
	detached chan struct{}
	work     sync.WaitGroup
	failed   error // of out
}

// Forward begins to carry between in and out, and the master of a container's terminal, which it takes over. Without in
// nothing is typed. The keys, typed in a row where in is a terminal, say that its person wants to go; nil for none.
func Forward(in, out, master *os.File, keys []byte) (*Forwarder, error) {
	f := &Forwarder{in: in, out: out, master: master, plain: !term.IsTerminal(int(out.Fd())), detached: make(chan struct{})}
	woken, stop, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("pipe: %w", errors.Join(err, master.Close()))
	}
	f.stop = stop
	if in != nil {
		if modes, err := unix.IoctlGetTermios(int(in.Fd()), unix.TCGETS); err == nil {
			if err := f.raw(modes.Oflag); err != nil {
				return nil, errors.Join(err, woken.Close(), stop.Close(), master.Close())
			}
			f.keys.Keys = keys
		}
	}
	if terminal := terminalOf(in, out); terminal != nil {
		f.follow(terminal)
	}
	if f.plain {
		f.endLinesPlainly()
	}
	f.work.Go(func() {
		defer woken.Close()
		if in != nil {
			f.carryInput(woken)
		}
	})
	f.work.Go(f.carryOutput)
	return f, nil
}

// Detached is closed when the keys have been typed that say so. What is typed after them is for nobody.
func (f *Forwarder) Detached() <-chan struct{} { return f.detached }

// Close ends it, once the container's process has ended: it carries over what that one wrote, and gives the
// terminal back. Others may still have the slave; nobody waits for them.
func (f *Forwarder) Close() error {
	master, err := f.Detach()
	return errors.Join(err, master.Close())
}

// Detach ends it as Close does, and gives the master back: as long as somebody has that, the process goes on.
func (f *Forwarder) Detach() (master *os.File, err error) {
	err = f.stop.Close()
	now := time.Now() // whoever waits for the master, waits no longer
	err = errors.Join(err, f.master.SetDeadline(now))
	if f.resized != nil {
		signal.Stop(f.resized)
		close(f.resized)
	}
	f.work.Wait()
	err = errors.Join(f.failed, err)
	if f.giveBack != nil {
		err = errors.Join(err, f.giveBack())
	}
	return f.master, err
}

// raw takes the terminal's keys. before is how it has treated what is written to it.
func (f *Forwarder) raw(before uint32) (err error) {
	if f.giveBack, err = Raw(f.in); err != nil {
		return err
	}
	if f.plain { // whoever reads out may write to our terminal, and counts on it to begin each line at the left
		if now, err := unix.IoctlGetTermios(int(f.in.Fd()), unix.TCGETS); err == nil {
			now.Oflag |= before & unix.OPOST
			_ = unix.IoctlSetTermios(int(f.in.Fd()), unix.TCSETS, now)
		}
	}
	return nil
}

// terminalOf is the one of two files that has a size, or nil.
func terminalOf(in, out *os.File) *os.File {
	for _, file := range []*os.File{in, out} {
		if file != nil && term.IsTerminal(int(file.Fd())) {
			return file
		}
	}
	return nil
}

// Size is how large a terminal must be from its beginning to be as large as ours: that of in, or else of out, or nil if
// neither is one.
func Size(in, out *os.File) *specs.Box {
	ours := terminalOf(in, out)
	if ours == nil {
		return nil
	}
	size, err := unix.IoctlGetWinsize(int(ours.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return nil // it has hung up
	}
	return &specs.Box{Height: uint(size.Row), Width: uint(size.Col)}
}

// endLinesPlainly has the container's terminal add no carriage return to the end of a line (ONLCR, termios(3)).
// On a screen that begins the next one at the left; a file or a pipe is to have what the container wrote.
func (f *Forwarder) endLinesPlainly() {
	_ = f.control(func(master int) error {
		modes, err := unix.IoctlGetTermios(master, unix.TCGETS)
		if err != nil {
			return err
		}
		modes.Oflag &^= unix.ONLCR
		return unix.IoctlSetTermios(master, unix.TCSETS, modes)
	}) // one that has hung up writes no lines
}

// follow keeps the container's terminal as large as ours. The first size is set before it returns.
func (f *Forwarder) follow(ours *os.File) {
	f.resized = make(chan os.Signal, 1) // one that waits is enough: the size is read after it
	signal.Notify(f.resized, unix.SIGWINCH)
	f.copySize(ours)
	f.work.Go(func() {
		for range f.resized {
			f.copySize(ours)
		}
	})
}

// copySize does nothing where either terminal has hung up: then there is nobody to see it.
func (f *Forwarder) copySize(ours *os.File) {
	size, err := unix.IoctlGetWinsize(int(ours.Fd()), unix.TIOCGWINSZ)
	if err == nil {
		_ = f.control(func(master int) error { return unix.IoctlSetWinsize(master, unix.TIOCSWINSZ, size) })
	}
}

// control acts on the master's descriptor without making it blocking, as Fd would.
func (f *Forwarder) control(act func(master int) error) error {
	raw, err := f.master.SyscallConn()
	if err != nil {
		return err
	}
	return errors.Join(raw.Control(func(fd uintptr) { err = act(int(fd)) }), err)
}

// carryInput copies in to the master until in ends, the keys are typed that say so, or woken ends. It never reads when
// there is nothing: a key that is typed after the end belongs to whoever has the terminal then.
func (f *Forwarder) carryInput(woken *os.File) {
	buffer, last := make([]byte, 4096), byte('\n')
	ready := []unix.PollFd{{Fd: int32(f.in.Fd()), Events: unix.POLLIN}, {Fd: int32(woken.Fd()), Events: unix.POLLIN}}
	for {
		_, err := unix.Poll(ready, -1)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || ready[1].Revents != 0 {
			return
		}
		n, err := f.in.Read(buffer)
		if n > 0 {
			last = buffer[n-1]
			text, leave := f.keys.Pass(buffer[:n])
			if _, err := f.master.Write(text); err != nil {
				return
			}
			if leave {
				close(f.detached)
				return
			}
		}
		if err != nil {
			f.endInput(last)
			return
		}
	}
}

// endInput types Ctrl-D, if that is a key that means the end to the container's terminal at this moment
// (VEOF, termios(3)): a terminal has no other end. In the middle of a line it takes two.
func (f *Forwarder) endInput(last byte) {
	var modes *unix.Termios
	err := f.control(func(master int) (err error) {
		modes, err = unix.IoctlGetTermios(master, unix.TCGETS)
		return err
	})
	if err != nil || modes.Lflag&unix.ICANON == 0 {
		return
	}
	keys := []byte{modes.Cc[unix.VEOF]}
	if last != '\n' {
		keys = append(keys, keys[0])
	}
	_, _ = f.master.Write(keys) // no reader is no error
}

// carryOutput copies from the master to out, until no process has the slave open any more, which is EIO, or
// Close sets a deadline.
func (f *Forwarder) carryOutput() {
	buffer := make([]byte, 32<<10)
	for {
		n, err := f.master.Read(buffer)
		f.write(buffer[:n])
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			_ = f.control(func(master int) error { f.drain(master, buffer); return nil })
			return
		case err != nil:
			return
		}
	}
}

// drain carries over what is under way when the process has ended. What it wrote may not have reached the
// master's side yet, but poll(2) waits for that: when poll finds nothing, there is nothing. A process that
// stays and writes on must not keep us: more than the terminal holds is not from the one that ended.
func (f *Forwarder) drain(master int, buffer []byte) {
	const holds = 128 << 10 // 64 KiB on their way and 4 KiB that have arrived, in Linux to this day
	ready := []unix.PollFd{{Fd: int32(master), Events: unix.POLLIN}}
	for carried := 0; carried < holds; {
		_, err := unix.Poll(ready, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || ready[0].Revents&unix.POLLIN == 0 {
			return
		}
		n, err := unix.Read(master, buffer)
		if n <= 0 && !errors.Is(err, unix.EINTR) {
			return
		}
		f.write(buffer[:max(n, 0)])
		carried += max(n, 0)
	}
}

// write writes to out. If that fails, what follows is read all the same, and lost: the container would wait
// for a reader for ever.
func (f *Forwarder) write(text []byte) {
	if f.failed == nil {
		_, f.failed = f.out.Write(text)
	}
}
