//go:build linux

package web

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const deadline = 30 * time.Second

// An event is one that a stream has sent.
type event struct{ kind, data string }

// listen opens a stream, and returns what comes.
func listen(t *testing.T, url string) (events <-chan event, hangUp func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	request, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != 200 || response.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("%s: %s, %s", url, response.Status, response.Header)
	}
	out := make(chan event, 1000)
	go func() {
		defer response.Body.Close()
		defer close(out)
		lines := bufio.NewScanner(response.Body)
		lines.Buffer(nil, 16<<20)
		e := event{}
		for lines.Scan() {
			key, value, _ := strings.Cut(lines.Text(), ": ")
			switch key {
			case "event":
				e.kind = value
			case "data":
				e.data = value
			case "":
				if e.kind != "" {
					out <- e
				}
				e = event{}
			}
		}
	}()
	return out, cancel
}

// next is the next event of a kind.
func next(t *testing.T, events <-chan event, kind string) event {
	t.Helper()
	late := time.After(deadline)
	for {
		select {
		case e, ok := <-events:
			if !ok {
				t.Fatalf("the stream ended before an event %q", kind)
			}
			if e.kind == kind {
				return e
			}
		case <-late:
			t.Fatalf("no event %q", kind)
		}
	}
}

func until(t *testing.T, what string, true func() bool) {
	t.Helper()
	for end := time.Now().Add(deadline); !true(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

// quick looks more often than people can.
func quick(s *Server) *Server {
	s.every = 20 * time.Millisecond
	return s
}

func (f *feeds) count() (feeds, readers int) {
	f.lock.Lock()
	defer f.lock.Unlock()
	return len(f.byName), f.readers
}

func TestStream(t *testing.T) {
	st := newStage()
	url := serve(t, quick(st.server()))
	for view, want := range map[string]string{
		"figures": "history", "files": "files", "namespaces": "namespaces", "mounts": "mounts",
		"processes": "processes", "path": "path", "calls": "calls",
	} {
		events, hangUp := listen(t, url+"stream?id=4f1c9ab27e30&view="+view)
		if e := next(t, events, want); !json.Valid([]byte(e.data)) {
			t.Errorf("%s: %s", view, e.data)
		}
		var l list
		if err := json.Unmarshal([]byte(next(t, events, "list").data), &l); err != nil {
			t.Fatal(err)
		}
		if len(l.Containers) != 3 || l.Containers[0].Name != "web" {
			t.Errorf("%s: list %+v", view, l)
		}
		hangUp()
	}
}

// A page that opens has the history at once, and then what follows, without a hole.
func TestHistory(t *testing.T) {
	url := serve(t, newStage().server())
	events, _ := listen(t, url+"stream?id=4f1c9ab27e30&view=figures")
	var before, after past
	if err := json.Unmarshal([]byte(next(t, events, "history").data), &before); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(next(t, events, "figures").data), &after); err != nil {
		t.Fatal(err)
	}
	if n := len(before.Points); n < 100 || n > history {
		t.Fatalf("%d points", n)
	}
	gap := after.Points[0].Time - before.Points[len(before.Points)-1].Time
	if gap <= 0 || gap > deadline.Milliseconds() {
		t.Errorf("%d ms between the history and what follows", gap)
	}
	if before.Limits != (limits{0.5, 64 * mebibyte, 32}) {
		t.Errorf("limits %+v", before.Limits)
	}
}

// What nobody looks at is not measured, and not traced.
func TestOnlyWhileSomebodyLooks(t *testing.T) {
	st := newStage()
	s := quick(st.server())
	url := serve(t, s)
	if n, _ := s.feeds.count(); n != 0 {
		t.Fatalf("%d feeds before there is a page", n)
	}
	first, hangUpFirst := listen(t, url+"stream?id=4f1c9ab27e30&view=calls")
	second, hangUpSecond := listen(t, url+"stream?id=4f1c9ab27e30&view=calls")
	next(t, first, "calls")
	next(t, second, "calls")
	if n := st.tracers(); n != 1 {
		t.Errorf("%d tracers for two pages, want 1", n)
	}
	hangUpFirst()
	until(t, "one page left", func() bool { _, readers := s.feeds.count(); return readers == 1 })
	if n := st.tracers(); n != 1 {
		t.Errorf("%d tracers for the page that is left, want 1", n)
	}
	hangUpSecond()
	until(t, "no tracer", func() bool { return st.tracers() == 0 })
	until(t, "no feed", func() bool { n, readers := s.feeds.count(); return n == 0 && readers == 0 })
	s.feeds.fillers.Wait()
	st.lock.Lock()
	looks := st.looks
	st.lock.Unlock()
	time.Sleep(10 * s.every)
	st.lock.Lock()
	defer st.lock.Unlock()
	if st.looks != looks {
		t.Errorf("looked %d times at the figures when no page was open", st.looks-looks)
	}
}

func TestTooManyPages(t *testing.T) {
	s := quick(newStage().server())
	url := serve(t, s)
	var hangUp func()
	for range mostReaders {
		_, hangUp = listen(t, url+"stream")
	}
	response, err := http.Get(url + "stream")
	if err != nil {
		t.Fatal(err)
	}
	text, _ := io.ReadAll(response.Body) // it is short
	response.Body.Close()
	if response.StatusCode != 503 || response.Header.Get("Retry-After") == "" || !strings.Contains(string(text), "too many") {
		t.Errorf("%s %q", response.Status, text)
	}
	hangUp()
	until(t, "room for one more", func() bool { _, n := s.feeds.count(); return n == mostReaders-1 })
	events, _ := listen(t, url+"stream")
	next(t, events, "list")
}

// Who does not read is dropped, and the others do not wait for it.
func TestSlowPage(t *testing.T) {
	f := &feeds{}
	slow, err := f.open()
	if err != nil {
		t.Fatal(err)
	}
	quick, err := f.open()
	if err != nil {
		t.Fatal(err)
	}
	defer f.join(slow, "", nil, nil)()
	defer f.join(quick, "", nil, nil)()
	for n := range 10 * backlog {
		f.publishTo("", func() []byte { return fmt.Append(nil, n) })
		if got := string(<-quick.messages); got != fmt.Sprint(n) {
			t.Fatalf("message %s, want %d", got, n)
		}
	}
	select {
	case <-slow.late:
	default:
		t.Error("a reader that is far behind is still kept")
	}
	select {
	case <-quick.late:
		t.Error("a reader that keeps up was dropped")
	default:
	}
}

// Open streams do not keep the server from ending.
func TestEnd(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	s := newStage().server()
	go func() { ended <- s.Serve(ctx, listener) }()
	events, _ := listen(t, "http://"+listener.Addr().String()+"/stream")
	next(t, events, "list")
	stop()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(deadline):
		t.Fatal("it does not end")
	}
	for range events { // until the stream ends
	}
}

func TestUnknown(t *testing.T) {
	for path, want := range map[string]int{
		"stream?id=x&view=nothing": 404, "stream?id=x": 404,
	} {
		r := httptest.NewRequest("GET", "http://localhost/"+path, nil)
		w := httptest.NewRecorder()
		New(newStage().source()).Handler().ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("%s: %d, want %d", path, w.Code, want)
		}
	}
}

// A container that cannot be looked at says why, where its view would be.
func TestProblem(t *testing.T) {
	st := newStage()
	source := st.source()
	source.Processes = func(string) (Processes, error) { return Processes{}, fmt.Errorf("open /proc/1: %w", unix.EACCES) }
	url := serve(t, quick(New(source)))
	events, _ := listen(t, url+"stream?id=4f1c9ab27e30&view=processes")
	if e := next(t, events, "problem"); e.data != `"open /proc/1: permission denied"` {
		t.Errorf("%s", e.data)
	}
	events, _ = listen(t, url+"stream?id=gone&view=calls")
	if e := next(t, events, "calls"); !strings.Contains(e.data, "file does not exist") {
		t.Errorf("%s", e.data)
	}
}

// Names are the container's, and may be anything: in a message they are one line of JSON.
func TestHostileNames(t *testing.T) {
	name := "</script><script>alert(1)</script>\n\nevent: list\ndata: {}\r\u2028\x00" + string([]byte{0xff})
	text := string(message("list", list{Containers: []line{{Container: Container{Name: name}}}}))
	if n := strings.Count(text, "\n"); n != 3 || strings.ContainsAny(text, "<>\r\x00") || !strings.HasSuffix(text, "}\n\n") {
		t.Errorf("%d lines: %q", n, text)
	}
	if strings.Count(text, "\nevent:")+strings.Count(text, "\ndata:") != 1 {
		t.Errorf("a name made an event: %q", text)
	}
}
