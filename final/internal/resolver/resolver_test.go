//go:build linux

package resolver

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// files makes a network's state directory.
func files(t *testing.T) (s *server, write func(id, text string)) {
	t.Helper()
	dir := t.TempDir()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.Mkdir(filepath.Join(dir, "endpoints"), 0o755))
	must(os.WriteFile(filepath.Join(dir, "network.json"), []byte(`{"subnet": "10.0.0.0/24", "subnet6": "fd00::/64"}`), 0o644))
	write = func(id, text string) {
		t.Helper()
		file := filepath.Join(dir, "endpoints", id+".json")
		must(os.WriteFile(file+".new", []byte(text), 0o644))
		must(os.Rename(file+".new", file))
	}
	write("0123456789abcdef", `{"id": "0123456789abcdef", "name": "web", "aliases": ["www", "both"], "ipv4": "10.0.0.2/24", "ipv6": "fd00::2/64"}`)
	write("b", `{"id": "b", "name": "db", "aliases": ["both"], "ipv4": "10.0.0.3/24", "dns": ["192.0.2.53"]}`)
	write("broken", `{`)
	return &server{names: &names{dir: dir}}, write
}

var web = netip.MustParseAddr("10.0.0.2")

// ask packs a question, and prints the answer: its code, then the records.
func ask(t *testing.T, s *server, from netip.Addr, name string, kind dnsmessage.Type, tcp bool) string {
	t.Helper()
	question := dnsmessage.Message{Header: dnsmessage.Header{ID: 4711, RecursionDesired: true}, Questions: []dnsmessage.Question{
		{Name: dnsmessage.MustNewName(name), Type: kind, Class: dnsmessage.ClassINET},
	}}
	packed, err := question.Pack()
	if err != nil {
		t.Fatal(err)
	}
	answer := s.answer(packed, from, tcp)
	if answer == nil {
		return "silence"
	}
	var m dnsmessage.Message
	if err := m.Unpack(answer); err != nil || m.ID != 4711 || !m.Response {
		t.Fatalf("%s: %+v, %v", name, m, err)
	}
	words := []string{strings.TrimPrefix(m.RCode.String(), "RCode")}
	if m.Truncated {
		words = append(words, "truncated")
	}
	for _, a := range m.Answers {
		switch body := a.Body.(type) {
		case *dnsmessage.AResource:
			words = append(words, netip.AddrFrom4(body.A).String())
		case *dnsmessage.AAAAResource:
			words = append(words, netip.AddrFrom16(body.AAAA).String())
		case *dnsmessage.PTRResource:
			words = append(words, body.PTR.String())
		}
	}
	return strings.Join(words, " ")
}

func TestAnswer(t *testing.T) {
	s, write := files(t)
	for _, test := range []struct {
		name string
		kind dnsmessage.Type
		want string
	}{
		{"web.", dnsmessage.TypeA, "Success 10.0.0.2"},
		{"WWW.", dnsmessage.TypeAAAA, "Success fd00::2"},
		{"both.", dnsmessage.TypeA, "Success 10.0.0.2 10.0.0.3"},
		{"both.", dnsmessage.TypeAAAA, "Success fd00::2"},
		{"db.", dnsmessage.TypeAAAA, "Success"}, // it is there, and has none
		{"web.", dnsmessage.TypeMX, "Success"},
		{"0123456789ab.", dnsmessage.TypeA, "Success 10.0.0.2"},
		{"2.0.0.10.in-addr.arpa.", dnsmessage.TypePTR, "Success web."},
		{"9.0.0.10.in-addr.arpa.", dnsmessage.TypePTR, "NameError"},
		{"2." + strings.Repeat("0.", 29) + "d.f.ip6.arpa.", dnsmessage.TypePTR, "Success web."},
	} {
		if got := ask(t, s, web, test.name, test.kind, false); got != test.want {
			t.Errorf("%s %s: %s, want %s", test.name, test.kind, got, test.want)
		}
	}
	if got := ask(t, s, netip.MustParseAddr("10.0.1.2"), "web.", dnsmessage.TypeA, false); got != "silence" {
		t.Errorf("for a stranger: %s", got)
	}
	write("c", `{"id": "c", "name": "new", "ipv4": "10.0.0.4/24"}`) // within the same tick of the clock, perhaps
	if got := ask(t, s, web, "new.", dnsmessage.TypeA, false); got != "Success 10.0.0.4" {
		t.Errorf("one that has just come: %s", got)
	}
	for i := range 100 {
		write(fmt.Sprint("many", i), fmt.Sprintf(`{"id": "many%d", "aliases": ["many"], "ipv4": "10.0.0.%d/24"}`, i, 100+i))
	}
	if got := ask(t, s, web, "many.", dnsmessage.TypeA, false); got != "Success truncated" {
		t.Errorf("too long for a datagram: %s", got)
	}
	if got := ask(t, s, web, "many.", dnsmessage.TypeA, true); strings.Count(got, "10.0.0.") != 100 {
		t.Errorf("by TCP: %s", got)
	}
}

// TestMalformed: nobody gets more than an error, and no answer is answered.
func TestMalformed(t *testing.T) {
	s, _ := files(t)
	for name, message := range map[string][]byte{
		"empty": {}, "short": {1, 2, 3}, "an answer": {0, 1, 0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0},
		"no question":         {0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0},
		"a question too many": {0, 1, 1, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 1, 0, 1},
		"half a question":     {0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 3, 'w'},
		"a loop":              {0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0xc0, 12, 0, 1, 0, 1},
	} {
		answer := s.answer(message, web, false)
		if answer != nil && (len(answer) < 12 || answer[3]&0xf == 0) {
			t.Errorf("%s: %v", name, answer)
		}
	}
}

func TestReverse(t *testing.T) {
	for name, want := range map[string]string{
		"2.0.192.10.in-addr.arpa": "10.192.0.2", "2.0.192.10.IN-ADDR.ARPA": "10.192.0.2",
		"0.192.10.in-addr.arpa": "", "x.0.192.10.in-addr.arpa": "", "in-addr.arpa": "", "web": "", "ip6.arpa": "",
		"1.2.ip6.arpa": "", "1." + strings.Repeat("0.", 23) + "8.b.d.0.1.0.0.2.ip6.arpa": "2001:db8::1",
	} {
		got, ok := reverse(name)
		if ok != (want != "") || ok && got.String() != want {
			t.Errorf("%s: %s, %v: want %q", name, got, ok, want)
		}
	}
}

func TestUpstream(t *testing.T) {
	if got := upstream([]string{"192.0.2.1", "2001:db8::1", "192.0.2.1"}); !slices.Equal(got, []string{"192.0.2.1:53", "[2001:db8::1]:53"}) {
		t.Errorf("%q", got)
	}
	file := filepath.Join(t.TempDir(), "resolv.conf")
	text := "# nameserver 192.0.2.9\nnameserver 127.0.0.53\n  nameserver\tfe80::1%eth0\nnameserver\nnameserver nonsense\nsearch example.org\n"
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := nameservers(file); !slices.Equal(got, []string{"127.0.0.53", "fe80::1%eth0"}) {
		t.Errorf("%q", got)
	}
	q := dnsmessage.Question{Name: dnsmessage.MustNewName("example.org."), Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}
	if answer := forward(make([]byte, 12), q, nil, false); answer != nil {
		t.Errorf("without servers: %v", answer)
	}
}
