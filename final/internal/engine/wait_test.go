//go:build linux

package engine

import (
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/monitor"
)

// TestWaitWithRemove: who waits is told the exit code of a container that has gone with its end.
func TestWaitWithRemove(t *testing.T) {
	w := newWorld(t)
	c := w.start(func(o *CreateOptions) { o.AutoRemove, o.Stdin, o.Once = true, true, true }, "sh", "-c", "read line; exit 3")
	type end struct {
		code int
		err  error
	}
	ended := make(chan end, 2)
	for range 2 {
		waiting := w.find(c.ID)
		go func() {
			code, err := waiting.Wait()
			ended <- end{code, err}
		}()
	}
	w.eventually("two are connected", func() bool { return w.connections() == 2 }, func() any { return w.connections() })
	quiet, err := c.Attach() // one that waits and is killed does not end the input
	w.must(err)
	w.must(quiet.Send(monitor.Quiet))
	quiet.Close()
	select {
	case got := <-ended:
		t.Fatalf("it has ended already: %+v", got)
	case <-time.After(300 * time.Millisecond):
	}
	client, err := c.Attach()
	w.must(err)
	_, err = client.Write([]byte("go\n"))
	w.must(err)
	for range 2 {
		if got := <-ended; got.code != 3 || got.err != nil {
			t.Errorf("code %d, %v; want 3", got.code, got.err)
		}
	}
	client.Close()
}

// connections counts those to the only monitor: beside its socket, each has one by the same name.
func (w *world) connections() int {
	w.Helper()
	table, err := os.ReadFile("/proc/net/unix")
	w.must(err)
	return strings.Count(string(table), "/"+monitor.AttachFile+"\n") - 1
}

// TestWaitTooLate: what the monitor has told whoever is connected is heard, also by one that has not said a word when
// the monitor ends.
func TestWaitTooLate(t *testing.T) {
	w := newWorld(t)
	c := w.start(func(o *CreateOptions) { o.AutoRemove, o.Stdin = true, true }, "cat")
	client, err := c.Attach()
	w.must(err)
	defer client.Close()
	later, err := c.Attach()
	w.must(err)
	defer later.Close()
	_, err = later.Write([]byte("both are heard\n")) // they are let in one after the other
	w.must(err)
	w.awaitLog(c, "stdout: both are heard\n")
	w.must(c.Kill(unix.SIGKILL)) // and waits for the monitor's end
	if code, known, err := hearExitFrom(client); code != 137 || !known || err != nil {
		t.Errorf("code %d, known %v, %v; want 137", code, known, err)
	}
}

// TestSlowClient: somebody who is attached and does not read keeps nobody from stopping and removing the container, and
// gets all the same what it wrote, and its exit code, when reading again.
func TestSlowClient(t *testing.T) {
	w := newWorld(t)
	c := w.create(nil, "sh", "-c", "trap 'exit 9' TERM; while :; do echo a line that nobody reads; done")
	client, err := c.Start(&Streams{})
	w.must(err)
	defer client.Close()
	size := func() int64 { return logBytes(w, c) }
	for before := int64(-1); size() != before; time.Sleep(300 * time.Millisecond) { // until the container waits
		before = size()
	}
	w.must(w.find(c.ID).Stop(unix.SIGTERM, new(1)))
	now := w.find(c.ID)
	if now.State.Status != Exited {
		t.Errorf("it is %s", now.State.Status)
	}
	logged := 0
	w.check(now.Logs(LogOptions{Tail: -1}, func(e Entry) error { logged += len(e.Text); return nil }))
	w.must(now.Remove(RemoveOptions{}))
	code, err := c.Attend(client, Streams{Out: &counter{&logged}, Err: io.Discard})
	if err != nil || code != now.State.ExitCode {
		t.Errorf("code %d, %v; want %d", code, err, now.State.ExitCode)
	}
	if logged != 0 {
		t.Errorf("the log has %d bytes more than who was attached was told", logged)
	}
}

// A counter counts down what is written to it.
type counter struct{ left *int }

func (c *counter) Write(text []byte) (int, error) {
	*c.left -= len(text)
	return len(text), nil
}

// TestWhoLooksIsNoMonitor: a container that does not run can be started and removed while others look whether it does.
func TestWhoLooksIsNoMonitor(t *testing.T) {
	w := newWorld(t)
	c := w.start(nil, "true")
	w.must(c.awaitMonitor())
	stop := make(chan struct{})
	looked := make(chan struct{})
	go func() {
		defer close(looked)
		for {
			select {
			case <-stop:
				return
			default:
				_, run, _ := c.monitored()
				closeAll(run)
				_ = c.awaitMonitor()
			}
		}
	}()
	for range 5 {
		now := w.find(c.ID)
		_, err := now.Start(nil)
		w.check(err)
		w.check(now.awaitMonitor())
	}
	w.check(w.find(c.ID).Remove(RemoveOptions{}))
	close(stop)
	<-looked
}

func logBytes(w *world, c *Container) (size int64) {
	w.Helper()
	w.check(c.Logs(LogOptions{Tail: -1}, func(e Entry) error { size += int64(len(e.Text)); return nil }))
	return size
}
