//go:build linux

package resolver

import (
	"bytes"
	"crypto/rand"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

const (
	attempt = 1500 * time.Millisecond // for one server, which a station asks us for again after 5 s
	rounds  = 2                       // through all of them
)

// upstream are the servers that are asked for what the network does not know: those that the station wants, or
// the host's. We are in the host's network, so that also a server on its 127.0.0.1 is within reach, as
// systemd-resolved's on 127.0.0.53; should it not answer, those that it would ask are tried.
func upstream(wanted []string) (servers []string) {
	if len(wanted) == 0 {
		wanted = append(nameservers("/etc/resolv.conf"), nameservers("/run/systemd/resolve/resolv.conf")...)
	}
	for _, server := range wanted {
		if server = net.JoinHostPort(server, "53"); !slices.Contains(servers, server) {
			servers = append(servers, server)
		}
	}
	return servers
}

// nameservers reads a resolv.conf(5); there may be none.
func nameservers(path string) (servers []string) {
	text, _ := os.ReadFile(path)
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		if len(words) < 2 || words[0] != "nameserver" {
			continue
		}
		if _, err := netip.ParseAddr(words[1]); err == nil {
			servers = append(servers, words[1])
		}
	}
	return servers
}

// forward asks the servers one after the other. It returns the first good answer, or the last bad one; nil, and
// at once where the host is offline, if there is none.
func forward(message []byte, question dnsmessage.Question, servers []string, tcp bool) (answer []byte) {
	for range rounds {
		timeout := false
		for _, server := range servers {
			got, err := exchange(message, question, server, tcp)
			if err == nil {
				if answer = got; good(got) {
					return answer
				}
				continue
			}
			if e, ok := err.(net.Error); ok && e.Timeout() {
				timeout = true
			}
		}
		if !timeout {
			break // the same again would be the same
		}
	}
	return answer
}

// good tells whether another server could know no better.
func good(answer []byte) bool {
	code := dnsmessage.RCode(answer[3] & 0xf)
	return code == dnsmessage.RCodeSuccess || code == dnsmessage.RCodeNameError
}

// exchange asks one server, with a number and from a port that nobody can guess, and passes over what is no answer
// to it. All else in the message stays as it is, both ways.
func exchange(message []byte, question dnsmessage.Question, server string, tcp bool) ([]byte, error) {
	network := "udp"
	if tcp {
		network = "tcp"
	}
	conn, err := net.DialTimeout(network, server, attempt)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(attempt)); err != nil {
		return nil, err
	}
	asked := bytes.Clone(message)
	_, _ = rand.Read(asked[:2]) // it never fails
	if tcp {
		err = writeMessage(conn, asked)
	} else {
		_, err = conn.Write(asked)
	}
	for buffer := make([]byte, 0xffff); err == nil; {
		var answer []byte
		if tcp {
			answer, err = readMessage(conn)
		} else {
			var n int
			n, err = conn.Read(buffer)
			answer = buffer[:n]
		}
		if err == nil && answers(answer, asked, question) {
			return append(message[:2:2], answer[2:]...), nil
		}
	}
	return nil, err
}

// answers tells whether a message is the answer to one.
func answers(answer, asked []byte, question dnsmessage.Question) bool {
	var parser dnsmessage.Parser
	header, err := parser.Start(answer)
	if err != nil || !header.Response || !bytes.Equal(answer[:2], asked[:2]) {
		return false
	}
	got, err := parser.Question()
	return err == nil && got.Type == question.Type && got.Class == question.Class &&
		strings.EqualFold(got.Name.String(), question.Name.String())
}
