//go:build linux

package image

import (
	"errors"
	"strings"
	"testing"

	"github.com/simple-container/simple-container/final/internal/naming"
)

func TestFind(t *testing.T) {
	s := openStore(t)
	alpine := imported(t, s, "alpine:3", "1")
	other := imported(t, s, "localhost:5000/team/tool", "2")
	nameless := imported(t, s, "", "3")
	for reference, want := range map[string]*Image{
		"alpine:3": alpine, "docker.io/library/alpine:3": alpine, "library/alpine:3": alpine, "index.docker.io/library/alpine:3": alpine,
		"localhost:5000/team/tool": other, "localhost:5000/team/tool:latest": other,
		alpine.ID: alpine, Short(other.ID): other, nameless.ID[:len("sha256:")+20]: nameless, other.Digest: other,
	} {
		if got, err := s.Find(reference); err != nil || got.ID != want.ID {
			t.Errorf("%s: %v, %v; want %s", reference, got, err, want.ID)
		}
	}
	for reference, want := range map[string]string{
		"alpine": "did you mean alpine:3?", "alpin:3": "did you mean alpine:3?", "nothing": "no such image: nothing",
		"Not A Name": "no such image: Not A Name", "": "no such image", strings.Repeat("f", 64): "no such image",
	} {
		if _, err := s.Find(reference); !IsNotFound(err) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", reference, err, want)
		}
	}
	images := []*Image{{ID: "sha256:" + strings.Repeat("ab", 32)}, {ID: "sha256:ab" + strings.Repeat("cd", 31)}}
	_, err := FindIn(images, "ab")
	if ambiguous, ok := errors.AsType[*naming.AmbiguousError](err); !ok || len(ambiguous.IDs) != 2 {
		t.Errorf("a prefix of two ids: %v", err)
	}
}

func TestNames(t *testing.T) {
	for name, want := range map[string]string{
		"alpine": "docker.io/library/alpine:latest", "a/b": "docker.io/a/b:latest", "example.com/a": "example.com/a:latest",
		"localhost:5000/a:1": "localhost:5000/a:1", "docker.io/alpine": "docker.io/library/alpine:latest",
		"alpine@sha256:" + strings.Repeat("0", 64): "docker.io/library/alpine@sha256:" + strings.Repeat("0", 64),
	} {
		if got, err := FullName(name); err != nil || got != want {
			t.Errorf("%s is %s, %v; want %s", name, got, err, want)
		}
	}
	for _, name := range []string{"", "UPPER", "a b", "a:b:c", "https://example.com/a", "a@sha256:12"} {
		if got, err := FullName(name); err == nil {
			t.Errorf("%q is %s, want it refused", name, got)
		}
	}
	for full, want := range map[string]string{
		"docker.io/library/alpine:3": "alpine:3", "docker.io/a/b:latest": "a/b:latest", "example.com/a:1": "example.com/a:1",
	} {
		if got := ShortName(full); got != want {
			t.Errorf("%s in short is %s, want %s", full, got, want)
		}
	}
}
