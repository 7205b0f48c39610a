//go:build linux

// Package resolver is the name service of a network: a small process on the host that answers for the containers
// on it, and asks the host's servers about everything else.
//
// It is this program started again, and recognised by its argv[0] as boot is. It inherits its sockets, bound to the
// network's gateway address, so that no question is lost while it starts, and a locked file that tells whether it
// lives. It knows nothing but what it reads: the connections' state files (names.go), and resolv.conf
// (upstream.go). Package network starts and ends it, and starts it again where it has died.
package resolver

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"time"
)

// Name is the argv[0] of a resolver. argv[1] is the network's state directory, which it is started in; the sockets and the locked file are
// the descriptors from 3 on.
const Name = "simple-container resolver"

const (
	udpSocket = 3 + iota
	tcpSocket
)

func init() {
	if len(os.Args) != 2 || os.Args[0] != Name {
		return
	}
	err := leaveAll()
	if err == nil {
		err = serve(".")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, Name+":", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// most is how many questions are in work at once; more are dropped, and asked again by whoever wants to know.
const most = 256

// A server is a resolver at work.
type server struct {
	names *names
	busy  chan struct{}
}

func serve(dir string) error {
	udp, err := net.FilePacketConn(os.NewFile(udpSocket, "udp"))
	if err != nil {
		return fmt.Errorf("descriptor %d: %w", udpSocket, err)
	}
	tcp, err := net.FileListener(os.NewFile(tcpSocket, "tcp"))
	if err != nil {
		return fmt.Errorf("descriptor %d: %w", tcpSocket, err)
	}
	s := &server{names: &names{dir: dir}, busy: make(chan struct{}, most)}
	go s.serveTCP(tcp)
	return s.serveUDP(udp)
}

func (s *server) serveUDP(socket net.PacketConn) error {
	for {
		question := make([]byte, 4096)
		n, from, err := socket.ReadFrom(question)
		if errors.Is(err, net.ErrClosed) {
			return err
		}
		if err != nil {
			continue // it is about one datagram
		}
		select {
		case s.busy <- struct{}{}:
		default:
			continue
		}
		go func() {
			defer func() { <-s.busy }()
			if answer := s.answer(question[:n], addressOf(from), false); answer != nil {
				_, _ = socket.WriteTo(answer, from) // who does not get it asks again
			}
		}()
	}
}

func (s *server) serveTCP(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			time.Sleep(100 * time.Millisecond) // out of descriptors, as a rule
			continue
		}
		select {
		case s.busy <- struct{}{}:
			go func() {
				defer func() { <-s.busy }()
				defer conn.Close()
				s.converse(conn)
			}()
		default:
			conn.Close()
		}
	}
}

// converse answers the questions of one TCP connection (RFC 1035, 4.2.2).
func (s *server) converse(conn net.Conn) {
	for {
		_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
		question, err := readMessage(conn)
		if err != nil {
			return
		}
		answer := s.answer(question, addressOf(conn.RemoteAddr()), true)
		if answer == nil || writeMessage(conn, answer) != nil {
			return
		}
	}
}

// readMessage reads a message with its length before it.
func readMessage(conn io.Reader) ([]byte, error) {
	var length [2]byte
	if _, err := io.ReadFull(conn, length[:]); err != nil {
		return nil, err
	}
	message := make([]byte, int(length[0])<<8|int(length[1]))
	_, err := io.ReadFull(conn, message)
	return message, err
}

func writeMessage(conn io.Writer, message []byte) error {
	if len(message) > 0xffff {
		return errors.New("message of " + strconv.Itoa(len(message)) + " bytes")
	}
	_, err := conn.Write(append([]byte{byte(len(message) >> 8), byte(len(message))}, message...))
	return err
}
