//go:build linux

package image

import (
	"bytes"
	"io"
	"os"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

func layersForProgress() []v1.Descriptor {
	return []v1.Descriptor{{Digest: digestOf([]byte("1")), Size: 2000}, {Digest: digestOf([]byte("2")), Size: 3000}}
}

func TestProgressPlain(t *testing.T) {
	var out bytes.Buffer
	p := newProgress(&out, 2)
	for i, layer := range layersForProgress() {
		p.add(i, layer)
	}
	p.lines[1].arrived(1000)
	p.lines[1].arrived(3000)
	p.lines[1].done("Pull complete")
	p.lines[0].done("Already exists")
	p.end()
	if got, want := out.String(), "d4735e3a265e: Pull complete 3kB\n6b86b273ff34: Already exists\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestProgressTerminal: what a terminal shows is a line for each layer, the newest state of each.
func TestProgressTerminal(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	p := newProgress(w, 2)
	p.terminal = true // of 80 columns, as the pipe does not say
	for i, layer := range layersForProgress() {
		p.add(i, layer)
	}
	p.lines[0].arrived(500)
	p.lines[1].done("Already exists")
	p.lines[0].done("Pull complete")
	p.end()
	w.Close()
	drawn, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	frames := strings.Split(string(drawn), "\x1b[2A")
	first, last := frames[0], frames[len(frames)-1]
	if !strings.Contains(first, "6b86b273ff34: Downloading 500B/2kB\n") || !strings.Contains(first, "d4735e3a265e: Waiting\n") {
		t.Errorf("drawn first: %q", first)
	}
	if last != "\r\x1b[K6b86b273ff34: Pull complete 2kB\n\r\x1b[Kd4735e3a265e: Already exists\n" {
		t.Errorf("drawn last: %q", last)
	}
}
