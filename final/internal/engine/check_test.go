//go:build linux

package engine

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/simple-container/simple-container/final/internal/image"
	"github.com/simple-container/simple-container/final/internal/ocispec"
)

// TestCheck: what can be known to be wrong leaves no container behind.
func TestCheck(t *testing.T) {
	w := newWorld(t)
	for want, change := range map[string]func(*CreateOptions){
		"no such container: nobody":          func(o *CreateOptions) { o.PID = "container:nobody" },
		"a container needs 6m at least":      func(o *CreateOptions) { o.Resources.Memory = 1 << 20 },
		"--device /dev/nosuch":               func(o *CreateOptions) { o.Devices = []ocispec.Device{{Host: "/dev/nosuch", Container: "/dev/x"}} },
		"want at most 64 letters":            func(o *CreateOptions) { o.Hostname = "not a name" },
		"not together with --pid host":       func(o *CreateOptions) { o.PID, o.Userns = "host", ocispec.Userns{First: 100000, Size: 65536} },
		"want an absolute path in the conta": func(o *CreateOptions) { o.Workdir = "relative" },
	} {
		o := CreateOptions{Image: image.LabName}
		o.Args = []string{"true"}
		change(&o)
		if _, err := w.Create(context.Background(), o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	if entries, err := os.ReadDir(w.containers()); err != nil || len(entries) > 0 || len(w.Names()) > 0 {
		t.Errorf("left behind: %v, names %v, %v", entries, w.Names(), err)
	}
}
