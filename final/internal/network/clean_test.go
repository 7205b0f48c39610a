//go:build linux

package network

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// TestClean: what crashes have left goes, and what lives stays.
func TestClean(t *testing.T) {
	w := newWorld(t)
	_, err := w.Create(Network{Name: "mine"})
	w.must(err)
	clean := func(dryRun bool) (said []string) {
		w.Helper()
		w.must(w.Clean(dryRun, func(kind, name string) { said = append(said, kind+" "+name) }))
		return said
	}
	if said := clean(false); said != nil {
		t.Errorf("nothing is there: %q", said)
	}
	alive := w.container(publishing("alive", "8081:80"))
	dead := w.container(publishing("dead", "8080:80"))
	alone := w.container(publishing("alone"), func(e *Endpoint) { e.Network = "mine" })
	for _, c := range []*Connection{dead, alone} {
		link, err := w.handle("").LinkByName(c.Link)
		w.must(err)
		w.must(w.handle("").LinkDel(link))
	}
	want := []string{
		"connection dead " + dead.IPv4.Addr().String(), "connection alone " + alone.IPv4.Addr().String(), "network mine " + alone.Bridge,
	}
	for _, dryRun := range []bool{true, false} {
		if said := clean(dryRun); !slices.Equal(said, want) {
			t.Errorf("dry run %v: %q, want %q", dryRun, said, want)
		}
	}
	if said := clean(false); said != nil {
		t.Errorf("again: %q", said)
	}
	w.serve(alive.Namespace, ":80")
	w.says("", "tcp", "127.0.0.1:8081", alive.Gateway.String())

	// Somebody tidies up below /run.
	n, err := w.Inspect("")
	w.must(err)
	w.must(w.stopResolver(n))
	w.must(os.RemoveAll(stateDir))
	said := strings.Join(clean(false), "\n")
	for _, want := range []string{"link " + alive.Bridge, "link " + alive.Link, "table inet simple_container"} {
		if !strings.Contains(said, want) {
			t.Errorf("%q: want %q", said, want)
		}
	}
	w.must(w.restoreForTest())
}

// restoreForTest puts back what those files would have told.
func (w *world) restoreForTest() error {
	wire, err := w.wire()
	if err != nil {
		return err
	}
	defer wire.Close()
	if hasIPv6() {
		if err := w.Door.Set("/proc/sys/net/ipv6/conf/all/forwarding", "0"); err != nil {
			return err
		}
	}
	return w.restore(wire)
}
