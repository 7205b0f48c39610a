//go:build linux

package image

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func TestTagAndRemove(t *testing.T) {
	s := openStore(t)
	used := map[string][]string{}
	s.Users = func(id string) ([]string, error) { return used[id], nil }
	img := imported(t, s, "one", "1")
	for _, name := range []string{"two", "three"} {
		if err := s.Tag("one", name); err != nil {
			t.Fatal(err)
		}
	}
	want := func(what string, names ...string) {
		t.Helper()
		found, err := s.Find(img.ID)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		var have []string
		for _, full := range found.Names {
			have = append(have, strings.TrimSuffix(ShortName(full), ":latest"))
		}
		slices.Sort(have)
		if diff := cmp.Diff(names, have); diff != "" {
			t.Errorf("%s: names (-want +got):\n%s", what, diff)
		}
	}
	want("tagged", "one", "three", "two")
	if _, err := s.Remove(img.ID, false); err == nil || !strings.Contains(err.Error(), "several names") {
		t.Errorf("by id with several names: %v", err)
	}
	if removed, err := s.Remove("two", false); err != nil || removed.Deleted != "" || len(removed.Untagged) != 1 {
		t.Errorf("one name: %+v, %v", removed, err)
	}
	want("untagged", "one", "three")
	used[img.ID] = []string{"web"}
	if _, err := s.Remove("three", false); err != nil {
		t.Errorf("a name that is not the last, of an image in use: %v", err)
	}
	if _, err := s.Remove("one", false); err == nil || !strings.Contains(err.Error(), "web") {
		t.Errorf("the last name of an image in use: %v", err)
	}
	if removed, err := s.Remove("one", true); err != nil || removed.Deleted != "" || len(removed.Untagged) != 1 {
		t.Errorf("by force: %+v, %v; want the name alone gone", removed, err)
	}
	want("by force")
	if _, err := s.Remove(img.ID, true); err == nil {
		t.Error("an image in use, without a name, was removed")
	}
	used[img.ID] = nil
	if removed, err := s.Remove(Short(img.ID), false); err != nil || removed.Deleted != img.ID {
		t.Errorf("unused: %+v, %v", removed, err)
	}
	if _, err := s.Remove("one", false); !IsNotFound(err) {
		t.Errorf("what is not there: %v", err)
	}
	if err := s.Tag("one", "two"); !IsNotFound(err) {
		t.Errorf("tag what is not there: %v", err)
	}
	tidy(t, s)
	if left, _ := filepath.Glob(s.images + "/blobs/sha256/*"); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

// TestRemoveWhilePulling: what a pull has brought, but not named yet, stays; what was removed meanwhile goes when it
// has ended.
func TestRemoveWhilePulling(t *testing.T) {
	s, f := openStore(t), newFaulty(t)
	old := imported(t, s, "old", "1")
	push(t, f.host+"/x", imageFor(t, runtime.GOARCH, layerOf(t, file("a", "1"), file("b", "2"))))
	unlock, err := s.lock(blobsLock, unix.LOCK_SH) // as a pull has it
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.putBlob([]byte("brought by the pull")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Remove("old", false); err != nil {
		t.Fatal(err)
	}
	if !s.hasBlob(digestOf([]byte("brought by the pull"))) {
		t.Error("a removal took a blob away from a pull")
	}
	if _, err := os.Stat(s.layer(old.Config.RootFS.DiffIDs[0])); err != nil {
		t.Errorf("while somebody pulls: %v, want the layer left", err)
	}
	unlock()
	if _, err := s.Pull(t.Context(), f.host+"/x", PullOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(s.layer(old.Config.RootFS.DiffIDs[0])); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after the pull: %v, want the layer gone", err)
	}
	tidy(t, s)
}

// TestUse: an image is not removed while a container of it is made, and then the container keeps it.
func TestUse(t *testing.T) {
	s := openStore(t)
	img := imported(t, s, "one", "1")
	var made atomic.Bool
	s.Users = func(string) ([]string, error) {
		if made.Load() {
			return []string{"web"}, nil
		}
		return nil, nil
	}
	removed := make(chan error, 1)
	err := s.Use(img, func() error {
		go func() {
			_, err := s.Remove("one", false)
			removed <- err
		}()
		select {
		case err := <-removed:
			t.Errorf("the image was removed while it was taken into use: %v", err)
		case <-time.After(50 * time.Millisecond):
		}
		made.Store(true)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := <-removed; !isInUse(err) {
		t.Errorf("removed after it was taken into use: %v", err)
	}
	made.Store(false)
	if _, err := s.Remove("one", false); err != nil {
		t.Fatal(err)
	}
	if err := s.Use(img, func() error { t.Error("a container was made of an image that is gone"); return nil }); !IsNotFound(err) {
		t.Errorf("an image that was removed: %v", err)
	}
}
