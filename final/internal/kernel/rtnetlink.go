//go:build linux

package kernel

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// The few messages of rtnetlink(7) that move a device, by hand: a package for all of them is initialised at each
// start of the program, which hardly ever needs one.

// A routeSocket talks to the kernel about the links of one network namespace.
type routeSocket struct {
	fd     int
	serial uint32
}

// openRoute opens one in a network namespace; nil is the calling thread's.
func openRoute(namespace *os.File) (s *routeSocket, err error) {
	open := func() error {
		fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
		s = &routeSocket{fd: fd}
		return err
	}
	if namespace == nil {
		err = open()
	} else {
		err = OnThread(func() error {
			if err := unix.Setns(int(namespace.Fd()), unix.CLONE_NEWNET); err != nil {
				return err
			}
			return open()
		})
	}
	if err != nil {
		return nil, fmt.Errorf("netlink socket: %w", err)
	}
	return s, nil
}

func (s *routeSocket) close() { _ = unix.Close(s.fd) }

// An attribute is one of a message: struct rtattr and what follows it.
type attribute struct {
	kind  uint16
	value []byte
}

func textAttribute(kind uint16, text string) attribute {
	return attribute{kind, append([]byte(text), 0)}
}

// ask sends a message and returns what the kernel answers: messages, or an acknowledgement, which is none.
func (s *routeSocket) ask(kind, flags uint16, head []byte, attributes ...attribute) ([]syscall.NetlinkMessage, error) {
	s.serial++
	body := head
	for _, a := range attributes {
		body = binary.NativeEndian.AppendUint16(body, uint16(unix.SizeofRtAttr+len(a.value)))
		body = binary.NativeEndian.AppendUint16(body, a.kind)
		body = append(body, a.value...)
		body = append(body, make([]byte, -len(body)&3)...)
	}
	message := binary.NativeEndian.AppendUint32(nil, uint32(unix.SizeofNlMsghdr+len(body)))
	message = binary.NativeEndian.AppendUint16(message, kind)
	message = binary.NativeEndian.AppendUint16(message, flags|unix.NLM_F_REQUEST|unix.NLM_F_ACK)
	message = binary.NativeEndian.AppendUint32(message, s.serial)
	message = binary.NativeEndian.AppendUint32(message, 0) // to the kernel
	if err := unix.Sendto(s.fd, append(message, body...), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, err
	}
	return s.answer()
}

// answer reads up to the acknowledgement, or to the end of a list.
func (s *routeSocket) answer() (all []syscall.NetlinkMessage, err error) {
	for {
		buffer := make([]byte, 64<<10)
		n, _, err := unix.Recvfrom(s.fd, buffer, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil, err
		}
		messages, err := syscall.ParseNetlinkMessage(buffer[:n])
		if err != nil {
			return nil, err
		}
		for _, m := range messages {
			switch {
			case m.Header.Seq != s.serial:
			case m.Header.Flags&unix.NLM_F_DUMP_INTR != 0:
				return nil, errInterrupted
			case m.Header.Type == unix.NLMSG_ERROR && len(m.Data) >= 4:
				if errno := -int32(binary.NativeEndian.Uint32(m.Data)); errno != 0 {
					return nil, unix.Errno(errno)
				}
				return all, nil
			case m.Header.Type == unix.NLMSG_DONE:
				return all, nil
			default:
				all = append(all, m)
			}
		}
	}
}

// errInterrupted says that the table changed while it was read.
var errInterrupted = errors.New("netlink: the list was interrupted")

// linkHead is a struct ifinfomsg: a link, and which of its flags are to be what.
func linkHead(index int32, flags, change uint32) []byte {
	head := binary.NativeEndian.AppendUint32(nil, unix.AF_UNSPEC) // family, and the type of the device
	head = binary.NativeEndian.AppendUint32(head, uint32(index))
	head = binary.NativeEndian.AppendUint32(head, flags)
	return binary.NativeEndian.AppendUint32(head, change)
}

// link returns the index of a link, and its flags (netdevice(7): IFF_UP and so on).
func (s *routeSocket) link(name string) (index int32, flags uint32, err error) {
	messages, err := s.ask(unix.RTM_GETLINK, 0, linkHead(0, 0, 0), textAttribute(unix.IFLA_IFNAME, name))
	if err != nil {
		return 0, 0, err
	}
	for _, m := range messages {
		if m.Header.Type == unix.RTM_NEWLINK && len(m.Data) >= unix.SizeofIfInfomsg {
			return int32(binary.NativeEndian.Uint32(m.Data[4:])), binary.NativeEndian.Uint32(m.Data[8:]), nil
		}
	}
	return 0, 0, unix.ENODEV
}

// setLink changes a link: the flags in change, and what the attributes say.
func (s *routeSocket) setLink(index int32, flags, change uint32, attributes ...attribute) error {
	_, err := s.ask(unix.RTM_NEWLINK, 0, linkHead(index, flags, change), attributes...)
	return err
}

// An address is one of a link: struct ifaddrmsg, and its attributes.
type address struct {
	head       []byte
	flags      uint32
	attributes []attribute
}

// addresses returns those of a link. A list that changed while it was read is read again; ten in a row would be a
// storm, and then the answer is an error.
func (s *routeSocket) addresses(index int32) (list []address, err error) {
	var messages []syscall.NetlinkMessage
	for range 10 {
		messages, err = s.ask(unix.RTM_GETADDR, unix.NLM_F_DUMP, make([]byte, unix.SizeofIfAddrmsg))
		if !errors.Is(err, errInterrupted) {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	for _, m := range messages {
		if m.Header.Type != unix.RTM_NEWADDR || len(m.Data) < unix.SizeofIfAddrmsg ||
			int32(binary.NativeEndian.Uint32(m.Data[4:])) != index {
			continue
		}
		a := address{head: m.Data[:unix.SizeofIfAddrmsg], flags: uint32(m.Data[2])}
		attributes, err := syscall.ParseNetlinkRouteAttr(&m)
		if err != nil {
			return nil, err
		}
		for _, found := range attributes {
			if found.Attr.Type == unix.IFA_FLAGS && len(found.Value) >= 4 {
				a.flags = binary.NativeEndian.Uint32(found.Value)
			}
			a.attributes = append(a.attributes, attribute{found.Attr.Type, found.Value})
		}
		list = append(list, a)
	}
	return list, nil
}

// scope is where the address is valid (rtnetlink(7): RT_SCOPE_UNIVERSE and so on).
func (a address) scope() byte { return a.head[3] }

// add gives a link an address that another one had.
func (s *routeSocket) add(index int32, a address) error {
	head := append([]byte(nil), a.head...)
	binary.NativeEndian.PutUint32(head[4:], uint32(index))
	var attributes []attribute
	for _, had := range a.attributes {
		switch had.kind { // not its label, which has the old name, nor what the kernel counts
		case unix.IFA_LOCAL, unix.IFA_ADDRESS, unix.IFA_BROADCAST:
			attributes = append(attributes, had)
		}
	}
	_, err := s.ask(unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_EXCL, head, attributes...)
	return err
}
