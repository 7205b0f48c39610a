//go:build linux

package resolver

import (
	"net/netip"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

// answer is what a station gets for its question; nil for nothing at all.
func (s *server) answer(message []byte, from netip.Addr, tcp bool) []byte {
	if _, ours := s.names.at(from); !ours {
		return nil // from another network: it has its own
	}
	var parser dnsmessage.Parser
	header, err := parser.Start(message)
	if err != nil || header.Response {
		return nil
	}
	questions, err := parser.AllQuestions()
	switch {
	case err != nil || len(questions) != 1:
		return reply(header, nil, dnsmessage.RCodeFormatError, nil, tcp)
	case header.OpCode != 0:
		return reply(header, questions, dnsmessage.RCodeNotImplemented, nil, tcp)
	}
	question := questions[0]
	if question.Class == dnsmessage.ClassINET {
		if resources, code, ok := s.local(question); ok {
			return reply(header, questions, code, resources, tcp)
		}
	}
	if answer := forward(message, question, upstream(s.names.servers(from)), tcp); answer != nil {
		return answer
	}
	return reply(header, questions, dnsmessage.RCodeServerFailure, nil, tcp)
}

// local answers what the network knows itself. A name of its own has no other kinds of record than addresses; a
// name of a station is nobody else's business.
func (s *server) local(q dnsmessage.Question) (resources []dnsmessage.Resource, code dnsmessage.RCode, ok bool) {
	name := strings.TrimSuffix(q.Name.String(), ".")
	if address, ok := reverse(name); ok {
		if q.Type != dnsmessage.TypePTR {
			return nil, 0, false
		}
		station, ours := s.names.at(address)
		if !ours {
			return nil, 0, false
		}
		target, err := dnsmessage.NewName(station + ".")
		if station == "" || err != nil {
			return nil, dnsmessage.RCodeNameError, true
		}
		return []dnsmessage.Resource{{Header: head(q), Body: &dnsmessage.PTRResource{PTR: target}}}, 0, true
	}
	addresses := s.names.called(name)
	if len(addresses) == 0 {
		return nil, 0, false
	}
	for _, address := range addresses {
		switch {
		case q.Type == dnsmessage.TypeA && address.Is4():
			resources = append(resources, dnsmessage.Resource{Header: head(q), Body: &dnsmessage.AResource{A: address.As4()}})
		case q.Type == dnsmessage.TypeAAAA && address.Is6():
			resources = append(resources, dnsmessage.Resource{Header: head(q), Body: &dnsmessage.AAAAResource{AAAA: address.As16()}})
		}
	}
	return resources, 0, true
}

// head is a record's; it is valid for now, because the station may have another address at its next start.
func head(q dnsmessage.Question) dnsmessage.ResourceHeader {
	return dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 0}
}

// reply packs an answer. A datagram that would be longer than everybody takes says so, and is asked for again by TCP.
func reply(asked dnsmessage.Header, questions []dnsmessage.Question, code dnsmessage.RCode, resources []dnsmessage.Resource, tcp bool) []byte {
	message := dnsmessage.Message{
		Header: dnsmessage.Header{
			ID: asked.ID, Response: true, OpCode: asked.OpCode, Authoritative: code == 0 && resources != nil,
			RecursionDesired: asked.RecursionDesired, RecursionAvailable: true, RCode: code,
		},
		Questions: questions, Answers: resources,
	}
	packed, err := message.Pack()
	if err != nil {
		return nil
	}
	const longest = 512
	if !tcp && len(packed) > longest {
		message.Truncated, message.Answers = true, nil
		if packed, err = message.Pack(); err != nil {
			return nil
		}
	}
	return packed
}

// reverse reads an address out of its name for PTR (RFC 1035, 3.5; RFC 3596, 2.5):
//
//	2.0.192.10.in-addr.arpa
//	1.0.0.0.(...)8.b.d.0.1.0.0.2.ip6.arpa
func reverse(name string) (netip.Addr, bool) {
	name = strings.ToLower(name)
	text := ""
	if digits, ok := strings.CutSuffix(name, ".in-addr.arpa"); ok {
		for part := range strings.SplitSeq(digits, ".") {
			text = part + "." + text
		}
		text = strings.TrimSuffix(text, ".")
	} else if digits, ok := strings.CutSuffix(name, ".ip6.arpa"); ok {
		for i, part := range strings.Split(digits, ".") {
			if i > 0 && i%4 == 0 {
				text = ":" + text
			}
			text = part + text
		}
	}
	address, err := netip.ParseAddr(text)
	return address, err == nil
}
