//go:build linux

package engines

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/sys/mountinfo"
	"github.com/vishvananda/netlink"

	"github.com/simple-container/simple-container/final/internal/cgroup"
)

// A watcher is the world before a test: mounts, cgroups, processes and links. A test must leave it the same.
type watcher []string

func watch(t *testing.T) watcher {
	t.Helper()
	var all watcher
	mounts, err := mountinfo.GetMounts(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range mounts {
		all = append(all, "mount "+m.Mountpoint+" "+m.FSType)
	}
	layout, err := cgroup.Find(mounts)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range layout {
		_ = filepath.WalkDir(h.Dir, func(path string, entry os.DirEntry, err error) error {
			name, _ := filepath.Rel(h.Dir, path)
			if err == nil && entry.IsDir() && !slices.Contains(enginesOwn, name) {
				all = append(all, "cgroup "+path)
			}
			return nil // one that goes meanwhile is none that stays
		})
	}
	processes, err := filepath.Glob("/proc/[0-9]*/comm")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range processes {
		if name, err := os.ReadFile(file); err == nil { // the others have ended
			all = append(all, fmt.Sprintf("process %s %s", filepath.Base(filepath.Dir(file)), strings.TrimSpace(string(name))))
		}
	}
	links, err := netlink.LinkList()
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range links {
		all = append(all, "link "+link.Attrs().Name)
	}
	slices.Sort(all)
	return all
}

// compare gives what ends by itself, such as a shim, the time to do so.
func (before watcher) compare(t *testing.T) {
	t.Helper()
	if t.Failed() {
		return // who fails in the middle leaves the rest behind
	}
	var difference string
	for range 1200 {
		if difference = cmp.Diff(before, watch(t)); difference == "" {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Errorf("left behind (-before +after):\n%s", difference)
}
