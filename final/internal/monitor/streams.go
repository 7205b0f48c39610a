//go:build linux

package monitor

import (
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// The letters of a container's modes.
const (
	modeTerminal = "t"
	modeStdin    = "i" // it has a standard input; else that is /dev/null
	modeOnce     = "o" // which ends with the client that ends it
)

// streams are our ends of a container's. Clients write to it while it may not be there yet, or no more.
type streams struct {
	modes string

	outputs [2]*os.File // standard output and error; with a terminal only the first, its master
	console *os.File    // where the master arrives
	work    sync.WaitGroup

	mutex sync.Mutex
	input *os.File      // nil before it is there, and after its end
	size  *unix.Winsize // what the terminal is to have when it comes
	ended bool
}

func (s *streams) is(mode string) bool { return strings.Contains(s.modes, mode) }

// ends are the container's.
type ends struct {
	stdin, stdout, stderr, console *os.File
}

func (e *ends) close() {
	for _, file := range []*os.File{e.stdin, e.stdout, e.stderr, e.console} {
		if file != nil {
			file.Close()
		}
	}
}

// open makes the streams, and returns the container's ends.
func (s *streams) open() (theirs *ends, err error) {
	theirs = &ends{}
	defer func() {
		if err != nil {
			theirs.close()
		}
	}()
	if s.is(modeTerminal) {
		pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return nil, os.NewSyscallError("socketpair", err)
		}
		s.console, theirs.console = os.NewFile(uintptr(pair[0]), "console"), os.NewFile(uintptr(pair[1]), "console")
	} else if theirs.console, err = os.Open(os.DevNull); err != nil {
		return nil, err
	}
	if s.is(modeStdin) && !s.is(modeTerminal) {
		if theirs.stdin, s.input, err = os.Pipe(); err != nil {
			return nil, err
		}
	} else if theirs.stdin, err = os.Open(os.DevNull); err != nil {
		return nil, err
	}
	if s.is(modeTerminal) { // begin has none but the terminal, later
		theirs.stdout, err = os.OpenFile(os.DevNull, os.O_WRONLY, 0)
		if err == nil {
			theirs.stderr, err = os.OpenFile(os.DevNull, os.O_WRONLY, 0)
		}
		return theirs, err
	}
	if s.outputs[0], theirs.stdout, err = os.Pipe(); err != nil {
		return nil, err
	}
	s.outputs[1], theirs.stderr, err = os.Pipe()
	return theirs, err
}

// carry begins to carry what the container writes to the log and to the clients.
func (s *streams) carry(file *log, clients *server) {
	if s.is(modeTerminal) {
		s.work.Go(func() {
			if s.receive() {
				copyOut(s.outputs[0], file.stream("stdout"), clients, Stdout)
			}
		})
		return
	}
	s.work.Go(func() { copyOut(s.outputs[0], file.stream("stdout"), clients, Stdout) })
	s.work.Go(func() { copyOut(s.outputs[1], file.stream("stderr"), clients, Stderr) })
}

// receive waits for the terminal's master. It comes from the container side, before that runs anything of the
// container's; if it ends before, nothing comes.
func (s *streams) receive() bool {
	defer s.console.Close()
	_, master, err := receiveFile(int(s.console.Fd()), make([]byte, 64))
	if err != nil || master == nil {
		return false
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.outputs[0] = master
	if !s.ended {
		s.input = master
	}
	s.setSize()
	return true
}

// resize makes the terminal as large as a client's.
func (s *streams) resize(rows, columns uint16) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.size = &unix.Winsize{Row: rows, Col: columns}
	s.setSize()
}

// setSize does nothing before the terminal is there, or when it has hung up.
func (s *streams) setSize() {
	if s.size == nil || !s.is(modeTerminal) || s.input == nil {
		return
	}
	if raw, err := s.input.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { _ = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, s.size) })
	}
}

// write passes on what a client has typed. A container that does not read keeps the client waiting.
func (s *streams) write(text []byte) {
	s.mutex.Lock()
	input := s.input
	s.mutex.Unlock()
	if input != nil {
		_, _ = input.Write(text) // nobody reads it any more: as a pipe would have it
	}
}

// endInput passes on that a client has no more to say: a pipe is closed, if it is for that client alone, and in a
// terminal it is a key.
func (s *streams) endInput() {
	if s.is(modeTerminal) {
		s.write([]byte{'D' - '@'})
		return
	}
	if !s.is(modeOnce) {
		return
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.input != nil {
		s.input.Close()
		s.input = nil
	}
}

// drain is for when the container has ended: it waits until what that wrote has been carried. Somebody else may
// hold the other ends still, and is not waited for.
func (s *streams) drain() {
	s.mutex.Lock()
	s.ended = true
	now := time.Now()
	for _, file := range s.outputs {
		if file != nil {
			_ = file.SetReadDeadline(now)
		}
	}
	s.mutex.Unlock()
	s.work.Wait()
}

// copyOut copies what the container writes until its end.
func copyOut(from *os.File, to *logStream, clients *server, stream byte) {
	defer to.flush()
	buffer := make([]byte, 1+chunk)
	buffer[0] = stream
	for {
		n, err := from.Read(buffer[1:])
		if n > 0 {
			to.write(buffer[1 : 1+n])
			clients.send(buffer[:1+n])
		}
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			rest(from, buffer, func(n int) {
				to.write(buffer[1 : 1+n])
				clients.send(buffer[:1+n])
			})
			return
		case err != nil: // the end; EIO of a terminal that nobody has open any more
			return
		}
	}
}

// rest reads what is there at this moment, and at most what a pipe or a terminal can hold: who writes on is not
// the container that has ended.
func rest(from *os.File, buffer []byte, got func(n int)) {
	const holds = 1 << 20
	raw, err := from.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		for carried := 0; carried < holds; {
			// poll(2) waits for what is on its way through a terminal, where read(2) would find nothing yet.
			ready := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
			if _, err := unix.Poll(ready, 0); errors.Is(err, unix.EINTR) {
				continue
			}
			if ready[0].Revents&unix.POLLIN == 0 {
				return
			}
			n, err := unix.Read(int(fd), buffer[1:])
			if n > 0 {
				got(n)
				carried += n
			} else if !errors.Is(err, unix.EINTR) {
				return
			}
		}
	})
}

// A lineReader reads the lines of a pipe.
type lineReader struct{ file *os.File }

func (r lineReader) all(yield func(string) bool) {
	text, err := io.ReadAll(io.LimitReader(r.file, 64<<10))
	if err != nil {
		return
	}
	for line := range strings.Lines(string(text)) {
		if !yield(strings.TrimSuffix(line, "\n")) {
			return
		}
	}
}
