//go:build linux

package image

import (
	"bytes"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// imported makes an image with one file.
func imported(t *testing.T, s *Store, name, content string, changes ...string) *Image {
	t.Helper()
	img, err := s.Import(bytes.NewReader(archive(t, file("a", content))), ImportOptions{Name: name, Changes: changes})
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func TestCommit(t *testing.T) {
	s := openStore(t)
	parent := imported(t, s, "base", "1", `CMD ["sh"]`)
	config := parent.Config.Config
	if err := Change(&config, []string{"ENV A=1", "WORKDIR /srv"}); err != nil {
		t.Fatal(err)
	}
	layer := archive(t, file("b", "2"), file(".wh.a", ""))
	img, err := s.Commit(parent, bytes.NewReader(layer), CommitOptions{
		Name: "made:1", Config: config, Author: "somebody", Comment: "a comment", CreatedBy: "sh -c change",
	})
	if err != nil {
		t.Fatal(err)
	}
	layers, err := s.Layers(img)
	if err != nil || len(layers) != 2 {
		t.Fatalf("layers %q, %v; want two", layers, err)
	}
	if !isHidden(unix.AT_FDCWD, layers[1]+"/a") {
		t.Error("the whiteout is none")
	}
	c := img.Config
	if c.Config.WorkingDir != "/srv" || c.Author != "somebody" || len(c.History) != 2 || c.History[1].CreatedBy != "sh -c change" ||
		!slices.Equal(c.Config.Cmd, []string{"sh"}) || !slices.Equal(c.Config.Env, []string{"A=1"}) {
		t.Errorf("configuration %+v", c)
	}
	if parent, err := s.Find("base"); err != nil || len(parent.Config.RootFS.DiffIDs) != 1 {
		t.Errorf("the parent: %v, %v", parent, err)
	}
	tidy(t, s)
}
