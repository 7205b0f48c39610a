//go:build linux

package web

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// answer has the handler answer a request, as if it came to an address of this machine.
func answer(t *testing.T, method, target, host string, header http.Header) *http.Response {
	t.Helper()
	ctx := context.WithValue(t.Context(), http.LocalAddrContextKey, net.Addr(&net.TCPAddr{IP: net.IPv4(192, 0, 2, 7), Port: 8080}))
	r := httptest.NewRequestWithContext(ctx, method, target, nil)
	r.Host = host
	for name, values := range header {
		r.Header[name] = values
	}
	w := httptest.NewRecorder()
	New(newStage().source()).Handler().ServeHTTP(w, r)
	return w.Result()
}

func TestHosts(t *testing.T) {
	for host, want := range map[string]int{
		"localhost":               200,
		"localhost:8080":          200,
		"LOCALHOST:9000":          200, // forwarded by ssh
		"127.0.0.1:8080":          200,
		"127.9.9.9":               200,
		"[::1]:8080":              200,
		"[::ffff:127.0.0.1]:8080": 200,
		"192.0.2.7:8080":          200, // the address that the connection came to
		"192.0.2.8:8080":          421,
		"evil.example":            421,
		"evil.example:8080":       421,
		"localhost.evil.example":  421,
		"localhost.":              421,
		"127.0.0.1.evil.example":  421,
		"":                        421,
		"[::1%lo]:8080":           421,
		"0.0.0.0:8080":            421,
		"2130706433":              421, // 127.0.0.1 in another spelling
	} {
		if got := answer(t, "GET", "/", host, nil); got.StatusCode != want {
			t.Errorf("host %q: %d, want %d", host, got.StatusCode, want)
		}
	}
}

func TestMethods(t *testing.T) {
	for method, want := range map[string]int{
		"GET": 200, "HEAD": 200, "POST": 405, "PUT": 405, "DELETE": 405, "OPTIONS": 405, "CONNECT": 405, "PATCH": 405, "TRACE": 405,
	} {
		for _, path := range []string{"/", "/stream?id=4f1c9ab27e30&view=figures"} {
			if method == "GET" && path != "/" {
				continue // it does not end
			}
			got := answer(t, method, path, "localhost", nil)
			if got.StatusCode != want {
				t.Errorf("%s %s: %d, want %d", method, path, got.StatusCode, want)
			}
			if want == 405 && got.Header.Get("Allow") != "GET, HEAD" {
				t.Errorf("%s %s: Allow %q", method, path, got.Header.Get("Allow"))
			}
		}
	}
}

func TestOtherSites(t *testing.T) {
	for _, row := range []struct {
		name, value string
		want        int
	}{
		{"Sec-Fetch-Site", "same-origin", 200},
		{"Sec-Fetch-Site", "none", 200},
		{"Sec-Fetch-Site", "cross-site", 403},
		{"Sec-Fetch-Site", "same-site", 403}, // another port of this machine
		{"Origin", "http://localhost:8080", 200},
		{"Origin", "http://localhost:9090", 403},
		{"Origin", "https://evil.example", 403},
		{"Origin", "null", 403},
	} {
		got := answer(t, "HEAD", "/stream", "localhost:8080", http.Header{row.name: {row.value}})
		if got.StatusCode != row.want {
			t.Errorf("%s %q: %d, want %d", row.name, row.value, got.StatusCode, row.want)
		}
	}
}

// Every answer has the headers that keep the page to itself, also one that refuses.
func TestHeaders(t *testing.T) {
	for _, row := range []struct{ method, path, host string }{
		{"GET", "/", "localhost"}, {"GET", "/main.js", "localhost"}, {"HEAD", "/stream", "localhost"},
		{"GET", "/nothing", "localhost"}, {"POST", "/", "localhost"}, {"GET", "/", "evil.example"},
	} {
		h := answer(t, row.method, row.path, row.host, nil).Header
		for name, want := range map[string]string{
			"Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store",
			"X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer", "Cross-Origin-Resource-Policy": "same-origin",
			"Cross-Origin-Opener-Policy": "same-origin", "Access-Control-Allow-Origin": "",
		} {
			if h.Get(name) != want {
				t.Errorf("%s: %s: %q, want %q", row, name, h.Get(name), want)
			}
		}
	}
	if strings.Contains(policy, "unsafe") || strings.Contains(policy, "*") {
		t.Errorf("the policy allows what it should not: %s", policy)
	}
}

func TestFiles(t *testing.T) {
	for path, want := range map[string]string{
		"/":                          "text/html; charset=utf-8",
		"/index.html":                "text/html; charset=utf-8",
		"/main.js":                   "text/javascript; charset=utf-8",
		"/style.css":                 "text/css; charset=utf-8",
		"/icon.svg":                  "image/svg+xml",
		"/server.go":                 "",
		"/page":                      "",
		"/page/main.js":              "",
		"/%2e%2e/server.go":          "",
		"/..%2fserver.go":            "",
		"/stream/../../etc/passwd":   "",
		"/main.js/":                  "",
		"/\x00.js":                   "",
		"/<script>alert(1)</script>": "",
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.URL.Path, r.Host = path, "localhost"
		w := httptest.NewRecorder()
		guard(http.HandlerFunc(file)).ServeHTTP(w, r)
		kind, status := want, 200
		if want == "" {
			kind, status = "text/plain; charset=utf-8", 404
		}
		if got := w.Header().Get("Content-Type"); w.Code != status || got != kind {
			t.Errorf("%q: %d %q, want %d %q", path, w.Code, got, status, kind)
		}
	}
}

// A body is refused unread, however long it takes to come.
func TestBody(t *testing.T) {
	r := httptest.NewRequest("GET", "/", strings.NewReader("name=value"))
	r.Host = "localhost"
	w := httptest.NewRecorder()
	New(newStage().source()).Handler().ServeHTTP(w, r)
	if w.Code != http.StatusBadRequest || w.Header().Get("Connection") != "close" {
		t.Errorf("%d, Connection %q", w.Code, w.Header().Get("Connection"))
	}
}
