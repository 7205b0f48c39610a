//go:build linux

package engine

import (
	"errors"
	"os"
	"testing"
)

// TestRootOfAnother: a pid that is another process's by now is not taken for the container's.
func TestRootOfAnother(t *testing.T) {
	w := newWorld(t)
	c := w.start(nil, "sleep", "1000")
	w.check(c.WithRoot(func(root string) error { _, err := os.Stat(root + "/etc/passwd"); return err }))
	c.State.Pid = os.Getpid()
	err := c.WithRoot(func(root string) error { t.Errorf("used: %s", root); return nil })
	if !errors.Is(err, ErrNotRunning) {
		t.Error(err)
	}
	w.must(w.find(c.ID).Remove(RemoveOptions{Force: true}))
}
