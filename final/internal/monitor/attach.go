//go:build linux

package monitor

import (
	"bytes"
	"errors"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// The messages of an attach socket, which keeps their borders (SOCK_SEQPACKET, unix(7)): a letter, and what
// belongs to it.
const (
	Welcome byte = 'h' // to the client: from now on it misses nothing
	Stdout  byte = 'o' // to the client: text
	Stderr  byte = 'e' // to the client: text
	Exited  byte = 'x' // to the client: the exit code, in digits

	Stdin    byte = 'i' // of the client: text
	EndStdin byte = 'd' // of the client: there is no more
	Resize   byte = 'w' // of the client: rows and columns, two bytes each, the higher first
	Leave    byte = 'l' // of the client: it goes, and the standard input stays for the next one
	Quiet    byte = 'q' // of the client: it types nothing, and wants to know the exit code only
	Keep     byte = 'k' // of the client: a terminal to keep, whose process goes on without it
)

// chunk is the most text of a message.
const chunk = 16 << 10

// A server is the monitor's end of the attach socket.
type server struct {
	streams *streams
	socket  *os.File

	mutex    sync.Mutex
	clients  []*client
	ended    bool           // the container
	exit     []byte         // the message that says how; nil before
	partings sync.WaitGroup // who is told that still
}

// A client is attached. What it has not read when the container ends is kept for it, and keeps nobody waiting any more.
type client struct {
	socket *os.File

	mutex sync.Mutex // of who sends
	quiet bool
	late  [][]byte
}

// listen makes a socket in a directory. Its path goes through a descriptor of that: an address has room for 107
// bytes only.
func listen(dir, name string) (*os.File, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	err = at(dir, func(short string) error {
		_ = unix.Unlink(short + "/" + name) // of a monitor that was killed
		if err := unix.Bind(fd, &unix.SockaddrUnix{Name: short + "/" + name}); err != nil {
			return err
		}
		return unix.Listen(fd, 16)
	})
	if err != nil {
		unix.Close(fd)
		return nil, &os.PathError{Op: "bind", Path: dir + "/" + name, Err: err}
	}
	return os.NewFile(uintptr(fd), name), nil
}

// at gives a directory a short path for the time of a call.
func at(dir string, call func(short string) error) error {
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return call("/proc/self/fd/" + strconv.Itoa(fd))
}

// serve begins to take clients.
func serve(dir string, streams *streams) (*server, error) {
	socket, err := listen(dir, AttachFile)
	if err != nil {
		return nil, err
	}
	s := &server{streams: streams, socket: socket}
	go s.accept()
	return s, nil
}

func (s *server) accept() {
	raw, err := s.socket.SyscallConn()
	if err != nil {
		return
	}
	for {
		fd := -1
		err := raw.Read(func(socket uintptr) bool {
			fd, _, err = unix.Accept4(int(socket), unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
			return err != unix.EAGAIN
		})
		if err != nil { // it is closed
			return
		}
		if fd < 0 {
			time.Sleep(10 * time.Millisecond) // the client has gone, or we have too many open, and will have for a while
			continue
		}
		go s.hear(s.add(os.NewFile(uintptr(fd), "client")))
	}
}

func (s *server) add(socket *os.File) *client {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	c := &client{socket: socket}
	s.clients = append(s.clients, c)
	_, _ = socket.Write([]byte{Welcome}) // one that has gone is noticed later
	switch {
	case s.exit != nil:
		s.part(c)
	case s.ended:
		c.hurry()
	}
	return c
}

// hear does what a client says until it goes.
func (s *server) hear(c *client) {
	defer s.remove(c)
	message, left := make([]byte, 1+chunk), false
	for {
		n, file, err := receive(c.socket, message)
		if err != nil || n == 0 {
			break
		}
		if file != nil && message[0] != Keep { // no other message has one
			file.Close()
		}
		switch body := message[1:n]; message[0] {
		case Stdin:
			s.streams.write(body)
		case EndStdin:
			left = true
			s.streams.endInput()
		case Leave:
			left = true
		case Keep:
			if left = true; file != nil {
				go keep(file)
			}
		case Quiet:
			left = true
			c.mutex.Lock()
			c.quiet = true
			c.mutex.Unlock()
		case Resize:
			if len(body) == 4 {
				s.streams.resize(uint16(body[0])<<8|uint16(body[1]), uint16(body[2])<<8|uint16(body[3]))
			}
		}
	}
	if !left && !s.streams.is(modeTerminal) { // it was killed: there is no more to come from it
		s.streams.endInput()
	}
}

func (s *server) remove(c *client) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if i := slices.Index(s.clients, c); i >= 0 {
		s.clients = append(s.clients[:i:i], s.clients[i+1:]...)
		c.socket.Close()
	}
}

// send sends a message to every client. One that does not read keeps the container waiting, as a pipe would.
func (s *server) send(message []byte) {
	s.mutex.Lock()
	clients := s.clients
	s.mutex.Unlock()
	for _, c := range clients {
		if c.send(message) != nil {
			s.remove(c)
		}
	}
}

func (c *client) send(message []byte) error {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.quiet {
		return nil
	}
	if len(c.late) == 0 {
		_, err := c.socket.Write(message)
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
	}
	c.late = append(c.late, bytes.Clone(message))
	return nil
}

// hurry is for when the container has ended: from now on nobody waits for a client. What is still sent is kept, which
// is not more than pipes hold.
func (s *server) hurry() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.ended = true
	for _, c := range s.clients {
		c.hurry()
	}
}

func (c *client) hurry() { _ = c.socket.SetWriteDeadline(time.Unix(1, 0)) } // a socket has deadlines

// tellExit begins to tell every client what it has missed, and how the container ended.
func (s *server) tellExit(code int) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.exit = append([]byte{Exited}, strconv.Itoa(code)...)
	for _, c := range s.clients {
		s.part(c)
	}
}

// part tells one client. It takes as long as that does not read.
func (s *server) part(c *client) {
	s.partings.Go(func() {
		c.mutex.Lock()
		defer c.mutex.Unlock()
		_ = c.socket.SetWriteDeadline(time.Time{})
		for _, message := range append(c.late, s.exit) {
			if _, err := c.socket.Write(message); err != nil {
				return // it has gone
			}
		}
	})
}

// close takes the socket away, and waits for clients that are behind. They see their end of it end with this process.
func (s *server) close() {
	s.socket.Close()
	s.partings.Wait()
}
