//go:build linux

package console

import (
	"strings"
	"testing"
)

func TestParseKeys(t *testing.T) {
	for text, want := range map[string]string{
		"ctrl-p,ctrl-q": "\x10\x11", "a": "a", "ctrl-a,d": "\x01d", "ctrl-@": "\x00", "ctrl-[": "\x1b", "ctrl-_": "\x1f",
	} {
		if got, err := ParseKeys(text); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v; want %q", text, got, err, want)
		}
	}
	for _, text := range []string{"", "ctrl-", "ctrl-1", "ctrl-pp", "ab", "a,,b"} {
		if got, err := ParseKeys(text); err == nil || !strings.Contains(err.Error(), "--detach-keys") {
			t.Errorf("%q: %q, %v; want an error", text, got, err)
		}
	}
}

// TestKeyFilter: what is typed arrives but for the keys, however they are cut.
func TestKeyFilter(t *testing.T) {
	for _, test := range []struct {
		keys, typed, pass string
		found             bool
	}{
		{"\x10\x11", "hello", "hello", false},
		{"\x10\x11", "he\x10\x11llo", "he", true},
		{"\x10\x11", "a\x10b\x10\x10\x11", "a\x10b\x10", true},
		{"aab", "aaab", "a", true},
		{"aab", "aacaab", "aac", true},
		{"abab", "ababab", "", true},
		{"abac", "ababac", "ab", true},
		{"", "\x10\x11", "\x10\x11", false},
	} {
		for piece := 1; piece <= len(test.typed); piece++ {
			f := KeyFilter{Keys: []byte(test.keys)}
			var got strings.Builder
			found := false
			for rest := test.typed; len(rest) > 0 && !found; {
				n := min(piece, len(rest))
				var text []byte
				text, found = f.Pass([]byte(rest[:n]))
				got.Write(text)
				rest = rest[n:]
			}
			if got.String() != test.pass || found != test.found {
				t.Errorf("keys %q, typed %q in pieces of %d: %q, %v; want %q, %v",
					test.keys, test.typed, piece, got.String(), found, test.pass, test.found)
			}
		}
	}
}
