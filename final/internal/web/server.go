//go:build linux

package web

import (
	"context"
	"embed"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"path"
	"time"

	"golang.org/x/net/netutil"
)

//go:embed page
var page embed.FS

const (
	patience        = 10 * time.Second // with a client that does not read or write
	mostConnections = 128
)

// A Server shows what a Source says. It changes nothing.
type Server struct {
	source Source
	feeds  feeds
	book   book
	every  time.Duration // between two looks
}

// New makes a server; nothing is looked at before a page is open.
func New(source Source) *Server {
	return &Server{source: source, every: time.Second, book: book{rings: map[string]*ring{}}}
}

// Handler answers requests.
//
//	GET /                        the page, and what belongs to it
//	GET /stream?id=ID&view=VIEW  the list of the containers, and a view of one, as server-sent events
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/stream", s.stream)
	mux.HandleFunc("/", file)
	return guard(mux)
}

// Serve answers until the context is done, and then ends the streams.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	server := &http.Server{
		Handler:           s.Handler(),
		ReadHeaderTimeout: patience,
		WriteTimeout:      patience, // a stream moves it on with each message
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(netutil.LimitListener(listener, mostConnections)) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	err := server.Shutdown(grace)
	if errors.Is(err, context.DeadlineExceeded) {
		err = server.Close()
	}
	s.feeds.fillers.Wait()
	return err
}

// types are those of the page's files. What the machine has in /etc/mime.types is no matter.
var types = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml",
}

// file answers with a file of the page.
func file(w http.ResponseWriter, r *http.Request) {
	name := r.URL.Path
	if name == "/" {
		name = "/index.html"
	}
	opened, err := page.Open("page" + name) // it takes no path that leads elsewhere
	kind, known := types[path.Ext(name)]
	if err != nil || !known {
		http.Error(w, "dashboard: there is no such page", http.StatusNotFound)
		return
	}
	defer opened.Close()
	w.Header().Set("Content-Type", kind)
	body, ok := opened.(io.ReadSeeker)
	if !ok {
		http.Error(w, "dashboard: "+fs.ErrInvalid.Error(), http.StatusInternalServerError)
		return
	}
	http.ServeContent(w, r, name, time.Time{}, body)
}
