//go:build linux

package image

import (
	"os"
	"runtime"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/simple-container/simple-container/final/internal/tree"
)

// TestDamage: what a disk has spoiled is said by name, is in nobody else's way, and comes anew with the next pull.
func TestDamage(t *testing.T) {
	s, f := openStore(t), newFaulty(t)
	push(t, f.host+"/x:1", imageFor(t, runtime.GOARCH, layerOf(t, file("a", noise(7, 10000)))))
	other := imported(t, s, "other", "1")
	img, err := s.Pull(t.Context(), f.host+"/x:1", PullOptions{})
	if err != nil {
		t.Fatal(err)
	}
	spoil := func(digest v1.Hash) {
		t.Helper()
		content, err := os.ReadFile(s.blob(digest))
		if err != nil {
			t.Fatal(err)
		}
		content[len(content)/2] ^= 1
		if err := os.WriteFile(s.blob(digest), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, digest := range map[string]v1.Hash{
		"the configuration": img.manifest.Config.Digest, "the manifest": img.descriptors[0].Digest,
	} {
		spoil(digest)
		if _, err := s.Find(f.host + "/x:1"); err == nil || !strings.Contains(err.Error(), f.host+"/x:1 is damaged") {
			t.Errorf("%s: %v, want the image said to be damaged", name, err)
		}
		if found, err := s.Find("other"); err != nil || found.ID != other.ID {
			t.Errorf("%s: another image: %v, %v", name, found, err)
		}
		if _, err := s.Pull(t.Context(), f.host+"/x:1", PullOptions{}); err != nil {
			t.Errorf("%s: pulled again: %v", name, err)
		}
	}
	spoil(img.manifest.Layers[0].Digest)
	if err := tree.Remove(s.layer(img.Config.RootFS.DiffIDs[0])); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Layers(img); err == nil {
		t.Error("a spoiled layer was unpacked")
	}
	pulled, err := s.Pull(t.Context(), f.host+"/x:1", PullOptions{})
	if err != nil {
		t.Fatal(err)
	}
	wantFile(t, s, pulled, "a", noise(7, 10000))
	spoil(img.manifest.Config.Digest)
	if err := s.collect(); err != nil || !s.hasBlob(img.manifest.Layers[0].Digest) {
		t.Errorf("%v; the damaged image's layer was taken for garbage: %v", err, !s.hasBlob(img.manifest.Layers[0].Digest))
	}
	if _, err := s.Remove(f.host+"/x:1", false); err == nil || !strings.Contains(err.Error(), "rmi -f") {
		t.Errorf("a damaged image without force: %v", err)
	}
	if removed, err := s.Remove(f.host+"/x:1", true); err != nil || removed.Deleted == "" {
		t.Errorf("a damaged image: %+v, %v; want it removed", removed, err)
	}
	tidy(t, s)
}
