//go:build linux

package image

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/docker/go-units"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/term"
)

// A progress shows a line for each layer: on a terminal they are drawn again as things change, elsewhere each is
// written once, when its layer is done.
type progress struct {
	mu       sync.Mutex
	out      io.Writer
	terminal bool
	lines    []*line
	shown    []*line
	drawn    int // lines on the terminal
	last     time.Time
}

type line struct {
	of    *progress
	name  string
	size  int64
	got   int64
	state string
	ended bool
}

func newProgress(out io.Writer, layers int) *progress {
	if out == nil {
		out = io.Discard
	}
	f, isFile := out.(*os.File)
	return &progress{out: out, terminal: isFile && term.IsTerminal(int(f.Fd())), lines: make([]*line, layers)}
}

// add adds the line of the i-th layer.
func (p *progress) add(i int, layer v1.Descriptor) {
	p.lines[i] = &line{of: p, name: Short(layer.Digest.String()), size: layer.Size, state: "Waiting"}
	p.shown = append(p.shown, p.lines[i])
}

func (l *line) arrived(n int64) {
	l.of.mu.Lock()
	defer l.of.mu.Unlock()
	l.got = n
	l.state = "Downloading"
	if n == l.size {
		l.state = "Extracting"
	}
	l.of.draw(false)
}

func (l *line) say(state string) {
	l.of.mu.Lock()
	defer l.of.mu.Unlock()
	l.state = state
	l.of.draw(false)
}

func (l *line) done(state string) {
	l.of.mu.Lock()
	defer l.of.mu.Unlock()
	l.state, l.ended = state, true
	if !l.of.terminal {
		fmt.Fprintln(l.of.out, l.String())
	}
	l.of.draw(true)
}

func (l *line) String() string {
	text := l.name + ": " + l.state
	switch {
	case l.state == "Downloading":
		return fmt.Sprintf("%s %s/%s", text, units.HumanSize(float64(l.got)), units.HumanSize(float64(l.size)))
	case l.ended && l.state == "Pull complete":
		return text + " " + units.HumanSize(float64(l.size))
	}
	return text
}

// draw writes all lines over those of before, not more often than the eye can see.
func (p *progress) draw(now bool) {
	if !p.terminal || !now && time.Since(p.last) < 50*time.Millisecond {
		return
	}
	p.last = time.Now()
	width, height, err := term.GetSize(int(p.out.(*os.File).Fd()))
	if err != nil || width <= 0 {
		width, height = 80, 24
	}
	shown := p.shown[max(0, len(p.shown)-max(1, height-1)):] // what scrolled off cannot be written over
	var out strings.Builder
	if p.drawn > 0 {
		fmt.Fprintf(&out, "\x1b[%dA", p.drawn)
	}
	for _, l := range shown {
		text := l.String()
		fmt.Fprintf(&out, "\r\x1b[K%s\n", text[:min(len(text), width-1)])
	}
	p.drawn = len(shown)
	_, _ = io.WriteString(p.out, out.String()) // who does not see it misses nothing else
}

func (p *progress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.draw(true)
}
