//go:build linux

package web

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// stream sends server-sent events (the HTML standard, section 9.2): the list of the containers, and a view of one
// of them, if the query names one. A page has one stream, and asks for another when its reader goes on.
func (s *Server) stream(w http.ResponseWriter, r *http.Request) {
	id, name := r.URL.Query().Get("id"), r.URL.Query().Get("view")
	v, known := s.views()[name]
	if id != "" && !known {
		http.Error(w, fmt.Sprintf("dashboard: view %q: there is none", name), http.StatusNotFound)
		return
	}
	out := &events{to: w, control: http.NewResponseController(w)}
	w.Header().Set("Content-Type", "text/event-stream")
	if r.Method == http.MethodHead {
		return
	}
	page, err := s.feeds.open()
	if err != nil {
		w.Header().Set("Retry-After", "5")
		http.Error(w, "dashboard: "+err.Error(), http.StatusServiceUnavailable)
		return
	}
	defer s.feeds.close()
	defer s.feeds.join(page, "", s.watch, nil)()
	if id != "" {
		fill, greet := v(id)
		defer s.feeds.join(page, name+" "+id, fill, greet)()
	}
	out.follow(r.Context(), page)
}

// events writes them.
type events struct {
	to      http.ResponseWriter
	control *http.ResponseController
}

// follow writes what a reader gets, until either end has enough.
func (e *events) follow(ctx context.Context, page *reader) {
	alive := time.NewTicker(5 * time.Second) // so that a connection that is dead is noticed
	defer alive.Stop()
	for {
		text := []byte(":\n\n")
		select {
		case <-ctx.Done():
			return
		case <-page.late:
			return
		case <-alive.C:
		case text = <-page.messages:
		}
		if e.write(text) != nil {
			return
		}
	}
}

func (e *events) write(text []byte) error {
	if err := e.control.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if _, err := e.to.Write(text); err != nil {
		return err
	}
	return e.control.Flush()
}

// message makes an event. JSON has no line breaks, so it is one line of data.
func message(kind string, value any) []byte {
	var text bytes.Buffer
	fmt.Fprintf(&text, "event: %s\ndata: ", kind)
	if err := json.NewEncoder(&text).Encode(value); err != nil { // it ends the line
		return message("problem", err.Error())
	}
	text.WriteByte('\n')
	return text.Bytes()
}
