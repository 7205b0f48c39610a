//go:build linux

package engine

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/console"
	"github.com/simple-container/simple-container/final/internal/monitor"
)

// A person sits at a terminal: keys go in at the master, and what the program sees is the slave.
type person struct {
	*world
	master, slave *os.File

	mutex sync.Mutex
	seen  bytes.Buffer
}

func newPerson(w *world) *person {
	w.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	w.must(err)
	fd := int(master.Fd())
	w.must(unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0))
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	w.must(err)
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	w.must(err)
	w.must(unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 33, Col: 77}))
	p := &person{world: w, master: master, slave: slave}
	w.Cleanup(func() { closeAll(master, slave) })
	return p
}

// Write is for what the program prints on the terminal.
func (p *person) Write(text []byte) (int, error) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return p.seen.Write(text)
}

func (p *person) sees(text string) {
	p.Helper()
	all := func() any {
		p.mutex.Lock()
		defer p.mutex.Unlock()
		return p.seen.String()
	}
	p.eventually(text+" on the terminal", func() bool { return strings.Contains(all().(string), text) }, all)
}

func (p *person) types(keys string) {
	p.Helper()
	_, err := p.master.WriteString(keys)
	p.must(err)
}

func (p *person) modes() unix.Termios {
	p.Helper()
	modes, err := unix.IoctlGetTermios(int(p.slave.Fd()), unix.TCGETS)
	p.must(err)
	return *modes
}

// attend connects the person with a container, in the background.
func (p *person) attend(c *Container, client *monitor.Client) (ended chan error) {
	keys, err := console.ParseKeys(console.DefaultDetachKeys)
	p.must(err)
	ended = make(chan error, 1)
	go func() {
		code, err := c.Attend(client, Streams{In: p.slave, Out: p, Err: p, DetachKeys: keys})
		if err == nil && code != 0 {
			err = fmt.Errorf("code %d", code)
		}
		ended <- err
	}()
	return ended
}

// TestTerminal: the container has a terminal of the person's size and takes the keys; leaving by keys leaves it
// running, for the next one to attach; the person's terminal is as it was after each.
func TestTerminal(t *testing.T) {
	w := newWorld(t)
	c := w.create(func(o *CreateOptions) { o.Terminal, o.Stdin, o.Once = true, true, true }, "sh", "-c",
		`tty; stty size; while read line; do echo "got $line"; [ "$line" = end ] && exit 5; done`)
	p := newPerson(w)
	before := p.modes()
	client, err := c.Start(&Streams{In: p.slave})
	w.must(err)
	ended := p.attend(c, client)
	p.sees("/dev/pts/0")
	p.sees("33 77")
	p.types("hello\r")
	p.sees("got hello")
	if p.modes() == before {
		t.Error("the terminal is not raw while the container has the keys")
	}
	p.types("\x10\x11")
	if err := <-ended; !errors.Is(err, console.ErrDetached) {
		t.Fatalf("after the keys: %v", err)
	}
	if p.modes() != before {
		t.Error("the terminal is not as it was, after the keys")
	}
	if now := w.find(c.ID); now.State.Status != Running {
		t.Fatalf("after the keys it is %s", now.State.Status)
	}
	client, err = c.Attach()
	w.must(err)
	ended = p.attend(c, client)
	p.types("again\r")
	p.sees("got again")
	p.types("end\r")
	if err := <-ended; err == nil || err.Error() != "code 5" {
		t.Errorf("at the end: %v; want code 5", err)
	}
	if p.modes() != before {
		t.Error("the terminal is not as it was, at the end")
	}
}

// TestTwoAttached: both see what is written, and both may type; one that goes does not disturb the other.
func TestTwoAttached(t *testing.T) {
	w := newWorld(t)
	c := w.start(func(o *CreateOptions) { o.Stdin = true }, "sh", "-c", `while read line; do echo "got $line"; done`)
	var out [2]bytes.Buffer
	var ends [2]*os.File
	var results [2]chan error
	for i := range ends {
		client, err := c.Attach()
		w.must(err)
		in, end, err := os.Pipe()
		w.must(err)
		ends[i], results[i] = end, make(chan error, 1)
		go func() {
			_, err := c.Attend(client, Streams{In: in, Out: &out[i]})
			in.Close()
			results[i] <- err
		}()
	}
	for i, end := range ends {
		_, err := fmt.Fprintf(end, "line %d\n", i)
		w.must(err)
	}
	w.awaitLog(c, "stdout: got line 0\n")
	w.awaitLog(c, "stdout: got line 1\n")
	for _, end := range ends {
		end.Close() // the container's input stays open: it was not started with ours
	}
	w.must(c.Stop(unix.SIGKILL, nil))
	for i := range results {
		w.check(<-results[i])
		if text := out[i].String(); !strings.Contains(text, "got line 0\n") || !strings.Contains(text, "got line 1\n") {
			t.Errorf("client %d saw %q", i, text)
		}
	}
}
