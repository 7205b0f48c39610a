//go:build linux

package web

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// policy is what the browser may do for the page: load what this server has, and nothing else from anywhere.
// Nothing inline runs, so text of a container that became markup by a mistake of ours would still do nothing.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"

// guard answers only what the page itself asks.
//
// A browser on this machine may have any site open, and each of them may send requests to 127.0.0.1. The answers
// are kept from a site of another origin, except if its name is made to point here: DNS rebinding. Then the
// request has that name as its Host. So the name must be one that can only mean this machine.
func guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		if status, reason := refusal(r); status != 0 {
			if status == http.StatusMethodNotAllowed {
				h.Set("Allow", "GET, HEAD")
			}
			if r.ContentLength != 0 {
				h.Set("Connection", "close") // the body is not read
			}
			http.Error(w, "dashboard: "+reason, status)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// refusal says why a request is not answered; status 0 if it is.
func refusal(r *http.Request) (status int, reason string) {
	site, origin := r.Header.Get("Sec-Fetch-Site"), r.Header.Get("Origin")
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		return http.StatusMethodNotAllowed, fmt.Sprintf("method %q: it only shows: GET and HEAD", r.Method)
	case r.ContentLength != 0:
		return http.StatusBadRequest, "a body: want none"
	case !ours(r.Host, localAddress(r)):
		advice := "open it as localhost, or by the address it listens on"
		return http.StatusMisdirectedRequest, fmt.Sprintf("host %q: %s", r.Host, advice)
	case site != "" && site != "same-origin" && site != "none": // none: typed by the user
		return http.StatusForbidden, "asked for by another site: type the address into the browser"
	case origin != "" && origin != "http://"+r.Host:
		return http.StatusForbidden, fmt.Sprintf("origin %q: want this page's own", origin)
	}
	return 0, ""
}

// ours tells whether a Host header names this machine: by a name of the loopback, or by the address that the
// connection came to. Any port will do: ssh and virtual machines forward others, and a port is not resolved.
func ours(host string, local netip.Addr) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	} else {
		name = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	}
	if strings.EqualFold(name, "localhost") {
		return true
	}
	address, err := netip.ParseAddr(name)
	if err != nil || address.Zone() != "" {
		return false
	}
	return address.Unmap().IsLoopback() || local.IsValid() && address.Unmap() == local
}

// localAddress is our end of the request's connection.
func localAddress(r *http.Request) netip.Addr {
	at, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	address, _ := netip.AddrFromSlice(at.IP)
	return address.Unmap()
}
