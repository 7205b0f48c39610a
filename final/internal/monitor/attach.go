//go:build linux

package monitor

import (
	"os"
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
)

// chunk is the most text of a message.
const chunk = 16 << 10

// A server is the monitor's end of the attach socket.
type server struct {
	streams *streams
	socket  *os.File
	path    string

	mutex   sync.Mutex
	clients []*os.File
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
	s := &server{streams: streams, socket: socket, path: dir + "/" + AttachFile}
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
			continue // the client has gone, or we have too many open
		}
		client := os.NewFile(uintptr(fd), "client")
		s.mutex.Lock()
		s.clients = append(s.clients, client)
		_, _ = client.Write([]byte{Welcome}) // one that has gone is noticed later
		s.mutex.Unlock()
		go s.hear(client)
	}
}

// hear does what a client says until it goes.
func (s *server) hear(client *os.File) {
	defer s.remove(client)
	message, left := make([]byte, 1+chunk), false
	for {
		n, err := client.Read(message)
		if err != nil || n == 0 {
			break
		}
		switch body := message[1:n]; message[0] {
		case Stdin:
			s.streams.write(body)
		case EndStdin:
			left = true
			s.streams.endInput()
		case Leave:
			left = true
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

func (s *server) remove(client *os.File) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for i, c := range s.clients {
		if c == client {
			s.clients = append(s.clients[:i:i], s.clients[i+1:]...)
			client.Close()
			return
		}
	}
}

// send sends a message to every client. One that does not read keeps the container waiting, as a pipe would.
func (s *server) send(message []byte) {
	s.mutex.Lock()
	clients := s.clients
	s.mutex.Unlock()
	for _, client := range clients {
		if _, err := client.Write(message); err != nil {
			s.remove(client)
		}
	}
}

// tellExit tells every client how it ended; those who do not listen are not waited for.
func (s *server) tellExit(code int) {
	s.mutex.Lock()
	for _, client := range s.clients {
		_ = client.SetWriteDeadline(time.Now().Add(time.Second))
	}
	s.mutex.Unlock()
	s.send(append([]byte{Exited}, strconv.Itoa(code)...))
}

// close takes the socket away. Clients see their end of it end with this process: then all is cleared away.
func (s *server) close() {
	s.socket.Close()
}
