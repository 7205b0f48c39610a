//go:build linux

package network

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// listen tries whether a program could listen at the host's side of a port, in one family. What is over but not
// forgotten (TIME_WAIT) is no hindrance.
func listen(p Port, family int) error {
	fd, err := bound(p, family)
	if err != nil {
		return err
	}
	return unix.Close(fd)
}

// freePort is a number that the kernel finds.
func freePort(p Port) (uint16, error) {
	fd, err := bound(p, p.families()[0])
	if err != nil {
		return 0, fmt.Errorf("port %s: %w", p.Exposed(), err)
	}
	defer unix.Close(fd)
	return portOf(fd)
}

// portOf is the number of a socket's port.
func portOf(fd int) (uint16, error) {
	address, err := unix.Getsockname(fd)
	if err != nil {
		return 0, fmt.Errorf("getsockname: %w", err)
	}
	switch a := address.(type) {
	case *unix.SockaddrInet4:
		return uint16(a.Port), nil
	case *unix.SockaddrInet6:
		return uint16(a.Port), nil
	}
	return 0, fmt.Errorf("getsockname: %T", address)
}

// bound is a socket at the host's side of a port.
func bound(p Port, family int) (fd int, err error) {
	kind, protocol := unix.SOCK_STREAM, int(protocols[p.Protocol])
	if p.Protocol == "udp" {
		kind = unix.SOCK_DGRAM
	}
	domain := unix.AF_INET
	if family == 6 {
		domain = unix.AF_INET6
	}
	if fd, err = unix.Socket(domain, kind|unix.SOCK_CLOEXEC, protocol); err != nil {
		return -1, err
	}
	if p.Protocol == "tcp" {
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	}
	if err == nil && family == 6 {
		err = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1)
	}
	if err == nil && family == 6 {
		address := &unix.SockaddrInet6{Port: int(p.HostPort)}
		if p.Address.IsValid() {
			address.Addr = p.Address.As16()
		}
		err = unix.Bind(fd, address)
	} else if err == nil {
		address := &unix.SockaddrInet4{Port: int(p.HostPort)}
		if p.Address.IsValid() {
			address.Addr = p.Address.As4()
		}
		err = unix.Bind(fd, address)
	}
	if err != nil {
		_ = unix.Close(fd) // there is nothing in it
		return -1, err
	}
	return fd, nil
}

// listener names the program that listens at a port, for people; "" if there is none but a resolver of ours, who does
// not mind.
func listener(p Port) string {
	inode, other := "", false
	for _, file := range []string{p.Protocol, p.Protocol + "6"} {
		text, err := os.ReadFile("/proc/thread-self/net/" + file)
		if err != nil {
			continue
		}
		for _, socket := range listening(string(text), p) {
			if !isGateway(socket.address) {
				inode, other = socket.inode, true
			}
		}
	}
	if !other && p.HostPort == 53 {
		return ""
	}
	sockets, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, path := range sockets {
		if target, _ := os.Readlink(path); inode == "" || target != "socket:["+inode+"]" {
			continue
		}
		pid := strings.Split(path, "/")[2]
		name, _ := os.ReadFile("/proc/" + pid + "/comm")
		return fmt.Sprintf("%s (process %s)", strings.TrimSpace(string(name)), pid)
	}
	return "another program"
}

// isGateway tells whether an address, as the kernel prints it, is the host's on a network of ours.
func isGateway(text string) bool {
	up, _ := listUp() // what cannot be read is nobody's
	return slices.ContainsFunc(up, func(n Network) bool {
		a := n.Gateway.As4()
		return text == fmt.Sprintf("%08X", binary.NativeEndian.Uint32(a[:]))
	})
}

// A listeningSocket is one of the kernel's list.
type listeningSocket struct{ address, inode string }

// listening reads the sockets at a port out of proc_net_tcp(5) and its like:
//
//	sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
//	 0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 12345 1 ...
func listening(text string, p Port) (list []listeningSocket) {
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) < 10 {
			continue
		}
		address, number, _ := strings.Cut(words[1], ":")
		port, err := strconv.ParseUint(number, 16, 16)
		const listens = "0A"
		if err == nil && uint16(port) == p.HostPort && (p.Protocol != "tcp" || words[3] == listens) {
			list = append(list, listeningSocket{address, words[9]})
		}
	}
	return list
}
