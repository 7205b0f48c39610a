//go:build linux

package engine

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestRestart: a container with --rm is restarted and does not go, until it ends by itself.
func TestRestart(t *testing.T) {
	w := newWorld(t)
	c := w.start(func(o *CreateOptions) { o.AutoRemove = true }, "sleep", "1000")
	before := c.State.Pid
	w.must(c.Restart(func() error { return c.Stop(unix.SIGKILL, nil) }))
	now := w.find(c.ID)
	if now.State.Status != Running || now.State.Pid == before {
		t.Errorf("state %+v", now.State)
	}
	w.must(now.Kill(unix.SIGKILL))
	if _, err := w.Find(c.ID); !IsNotFound(err) {
		t.Errorf("after its end: %v", err)
	}
}

// TestCopyBeforeStart: files can be put into a container with --rm that has not been started.
func TestCopyBeforeStart(t *testing.T) {
	w := newWorld(t)
	file := filepath.Join(w.TempDir(), "file")
	w.must(os.WriteFile(file, []byte("text\n"), 0o600))
	c := w.create(func(o *CreateOptions) { o.AutoRemove = true }, "cat", "/file")
	w.must(c.CopyIn(&file, nil, "/", CopyOptions{}))
	client, err := c.Start(&Streams{})
	w.must(err)
	var out strings.Builder
	if code, err := c.Attend(client, Streams{Out: &out}); code != 0 || err != nil || out.String() != "text\n" {
		t.Errorf("%q, code %d, %v", out.String(), code, err)
	}
}

// TestRestartKilled: if who restarts it is killed in between, a container with --rm goes.
func TestRestartKilled(t *testing.T) {
	w := newWorld(t)
	c := w.start(func(o *CreateOptions) { o.AutoRemove = true }, "sleep", "1000")
	killed := c.Restart(func() error {
		w.must(c.Stop(unix.SIGKILL, nil))
		if now := w.find(c.ID); now.State.Status != Exited {
			t.Errorf("it is %s", now.State.Status)
		}
		return unix.EINTR
	})
	if killed == nil {
		t.Error("no error")
	}
	if _, err := w.Find(c.ID); !IsNotFound(err) {
		t.Errorf("after its end: %v", err)
	}
}
